"""The library behind the workflow: plain functions on arrays and tables, no Snakemake.

`connectome.open(folder)` reads finished results by name (reading.py).
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    # by name, not by an import: what reads results is no part of what makes them
    if name == "open":
        return import_module("connectome.reading").open
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
