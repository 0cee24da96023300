"""npz and JSON files: arrays and small records, with the stamp of what made them.

NumPy and the standard library alone, since graph-tool's interpreter loads this module too.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from connectome.command import atomic
from connectome.errors import DataError

_META = "__meta__"


def write_npz(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    stamp: Mapping[str, str],
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Write named arrays; `meta` and the stamp travel as JSON inside the file."""
    text = json.dumps({**(meta or {}), "made_by": dict(stamp)}, sort_keys=True, allow_nan=False)
    content = dict(sorted(arrays.items()))
    content[_META] = np.frombuffer(text.encode(), dtype=np.uint8)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **content)  # type: ignore[arg-type]  # its hints forget the arrays


def read_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata of a file of `write_npz`.

    Raises DataError where the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable array file ({error}); make it again") from error
    return arrays, meta


def read_meta(path: Path) -> dict[str, Any]:
    """The metadata of a file of `write_npz`, its arrays left on disk.

    Raises DataError where the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(file[_META].tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable array file ({error}); make it again") from error


def read_tensor(path: Path, name: str) -> np.ndarray:
    """One tensor of a safetensors file. Raises DataError where file or tensor cannot be read."""
    from safetensors import SafetensorError, safe_open  # graph-tool's interpreter has none

    try:
        with safe_open(path, "numpy") as file:
            return file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: no readable tensor {name!r} ({error})") from error


def write_json(path: Path, record: Mapping[str, Any], stamp: Mapping[str, str]) -> None:
    """Write a record with sorted keys; NaN and infinity are refused (use None and a reason)."""
    text = json.dumps({**record, "made_by": dict(stamp)}, sort_keys=True, indent=1, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Record of a JSON file. Raises DataError where it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable JSON file ({error}); make it again") from error
