"""The handle of a model: one small JSON record with where its files lie and what they are."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectome import arrays


@dataclass(frozen=True)
class Handle:
    """A described model: its directory on this machine and the record of model.json."""

    directory: Path
    record: Mapping[str, Any]

    @property
    def layers(self) -> int:
        """Number of transformer blocks."""
        return int(self.record["layers"])

    @property
    def context(self) -> int:
        """Longest prompt in tokens, the start token included."""
        return int(self.record["context"])


def open_handle(path: Path) -> Handle:
    """Read model.json; a directory below the results is stored relative to it."""
    record = arrays.read_json(path)
    return Handle((Path(path).parent / record["directory"]).resolve(), record)


def stored_directory(directory: Path, handle: Path) -> str:
    """How model.json names `directory`: relative below its own folder, else absolute."""
    folder, target = handle.resolve().parent, directory.resolve()
    if target.is_relative_to(folder):
        return os.path.relpath(target, folder)
    return str(target)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
