"""Errors meant for the person who runs the workflow: one clear sentence each."""

import difflib
from collections.abc import Sequence


class ConnectomeError(Exception):
    """Base of all errors a run can end with by its own words."""


class ConfigError(ConnectomeError):
    """A key of the configuration is unknown or its value cannot be right."""


class DataError(ConnectomeError):
    """An input file (corpus, task, table) is missing, damaged or does not fit."""


class ModelError(ConnectomeError):
    """A model directory is incomplete, damaged or of an unsupported kind."""


class NotFetchedError(ModelError):
    """A hub model is not in the local cache."""


class DeviceError(ConnectomeError):
    """The device that is asked for is not there, or cannot hold what should run on it."""


class DiskError(ConnectomeError):
    """A file cannot be written: the disk is full or read-only, or the folder is not ours."""


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """End of a sentence that refuses `name`: the known name most like it, else all of them."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
