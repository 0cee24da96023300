"""Headers of files of named tensors: what lies in them, without reading it. Standard library alone.

A file that ends early, or is longer than its header says, is told before anything runs.
"""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

from connectome.errors import DataError


def safetensors_header(path: Path) -> dict[str, dict[str, Any]]:
    """Entries of a safetensors file by tensor name: dtype, shape, data_offsets.

    Raises DataError where it cannot be read, or its length is not what its header promises.
    """
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size:
                raise DataError(f"{path} is truncated: its header alone is {length} bytes")
            header: dict[str, dict[str, Any]] = json.loads(file.read(length))
        header.pop("__metadata__", None)
        ends = [entry["data_offsets"][1] for entry in header.values() if entry["shape"] is not None]
        needed = 8 + length + max(ends, default=0)
    except (OSError, struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: not a readable safetensors file ({error})") from error
    if size != needed:
        raise DataError(
            f"{path} is damaged: {size} bytes, but its header promises {needed}; fetch it again"
        )
    return header


def shapes_of(path: Path) -> dict[str, tuple[int, ...]] | None:
    """Shapes of the tensors of a file by name, or None where only reading it would tell.

    Raises DataError for a damaged file.
    """
    if path.suffix == ".safetensors":
        return {name: tuple(e["shape"]) for name, e in safetensors_header(path).items()}
    if path.suffix == ".npz" and not zipfile.is_zipfile(path):
        raise DataError(f"{path} is damaged: it is no whole npz file; fetch it again")
    return None
