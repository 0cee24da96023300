"""The handle of a model: one small JSON record with where its files lie and what they are."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from connectome import architectures, arrays, checkpoint, hub, tokenizer
from connectome.errors import ModelError, NotFetchedError


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
    """Read model.json. Raises ModelError where the directory that it names is not there.

    A hub model is then taken from this machine's own cache, at the commit that was described.
    """
    record = arrays.read_json(path)
    directory = (Path(path).resolve().parent / record["directory"]).resolve()
    if not directory.is_dir() and record.get("hub"):
        with contextlib.suppress(NotFetchedError):
            directory = hub.cached_model(record["hub"], record["revision"], None).directory
    if not directory.is_dir():
        raise ModelError(
            f"{path} says that the model lies in {directory}, and no folder is there; were the "
            "results moved without it? Bring the model there, or delete this file: the model is "
            "then described where the configuration has it, and what hangs on it made again"
        )
    return Handle(directory, record)


def describe(
    name: str,
    source: Mapping[str, Any],
    directory: Path,
    handle: Path,
    commit: str | None = None,
) -> dict[str, Any]:
    """Content of model.json for the model in `directory`; reads and checks every weight.

    commit: that of a hub model.
    Raises ModelError where the directory is incomplete or damaged, or where the tokenizer knows
    more tokens than the model.
    """
    config = checkpoint.config_of(directory)
    size = architectures.adapter(config, directory).dimensions(config)
    tensors = checkpoint.Tensors(directory)
    words = tokenizer.load(directory)
    if words.reach > size.vocabulary:
        raise ModelError(
            f"{directory}: the tokenizer has {words.reach} tokens, but the model embeds only "
            f"{size.vocabulary}; they do not belong together"
        )
    kind = next(key for key in ("train", "build", "checkpoint", "path", "hub") if key in source)
    return {
        "name": name,
        "source": {"train": "trained", "build": "built"}.get(kind, kind),
        "hub": source.get("hub"),
        "revision": commit,
        "directory": _stored_directory(directory, handle),
        "files": {path.name: file_digest(path) for path in checkpoint.files_of(directory)},
        "architecture": config["model_type"],
        "parameters": tensors.count(),
        "start_token": words.start,
        **asdict(size),
    }


def _stored_directory(directory: Path, handle: Path) -> str:
    """How model.json names `directory`: from its own folder where the two travel together.

    They do where the model lies below the handle, and where both are named from the folder in
    which the run works: that folder moves as a whole.
    """
    folder, target = handle.resolve().parent, directory.resolve()
    if target.is_relative_to(folder):
        return os.path.relpath(target, folder)
    if not directory.is_absolute() and not handle.is_absolute():
        return os.path.relpath(directory.absolute(), folder)  # a link stays a link
    return str(target)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
