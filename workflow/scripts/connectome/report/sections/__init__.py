"""Sections of the report, found by name: to add one is to add a module and its fragment."""
