"""Files of named tensors that others wrote: safetensors, npz, PyTorch. Nothing in them is run."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from connectome.errors import DataError

_LEAST_TORCH = "2.6"  # before, loading weights alone could run code (CVE-2025-32434)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a file by name, as they are stored, on the CPU.

    Raises DataError for a damaged file, and for one that holds more than tensors by name: pickles
    that would run code and arrays of objects are refused before anything in them is run.
    """
    return _READERS[path.suffix](path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable safetensors file ({error}); fetch it again"
        ) from error


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except Exception as error:  # what is no such file fails in many ways
        raise DataError(
            f"{path}: not a readable file of plain arrays ({_first_line(error)}); objects in it "
            "are never loaded"
        ) from error


def _read_pt(path: Path) -> dict[str, Tensor]:
    check_torch(torch.__version__)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what is no such file fails in many ways
        raise DataError(
            f"{path}: it is damaged, or a pickle of more than tensors, which is never executed "
            f"({_first_line(error)}); save the state dict of the dictionary alone"
        ) from error
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: it holds a {type(content).__name__}, not tensors by name")
    for name, value in content.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise DataError(
                f"{path}: {name!r} is of type {type(value).__name__} and no tensor: an interrupted "
                "run left it, whose scaling is not folded yet; train to the end"
            )
    return dict(content)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


_READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".pt": _read_pt,
}


def check_torch(version: str) -> None:
    """Raise DataError for a PyTorch that might execute what lies in a pickle."""
    if torch.torch_version.TorchVersion(version) < _LEAST_TORCH:
        raise DataError(
            f"PyTorch {version} may run code when it loads a .pt file; {_LEAST_TORCH} or later is "
            "needed"
        )
