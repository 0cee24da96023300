"""Errors meant for the person who runs the workflow: one clear sentence each."""


class ConnectomeError(Exception):
    """Base of all errors a run can end with by its own words."""


class ConfigError(ConnectomeError):
    """A key of the configuration is unknown or its value cannot be right."""


class DataError(ConnectomeError):
    """An input file (corpus, task, table) is missing, damaged or does not fit."""


class ModelError(ConnectomeError):
    """A model directory is incomplete, damaged or of an unsupported kind."""


class DiskError(ConnectomeError):
    """A file cannot be written: the disk is full or read-only, or the folder is not ours."""
