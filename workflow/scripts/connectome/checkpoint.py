"""Model directories: config.json and safetensors weights, checked, never repaired.

A missing tensor, a wrong shape, a truncated file is an error, not something to fill in; pickles
are never loaded. What runs when the workflow is parsed needs the standard library alone.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectome import architectures
from connectome.command import atomic
from connectome.errors import DataError, ModelError
from connectome.tensor_headers import safetensors_header

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
SIDE_FILES = ("generation_config.json", "tokenizer.json", "tokenizer_config.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_FORMATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # bytes of a number


def config_of(directory: Path) -> dict[str, Any]:
    """config.json of a model directory. Raises ModelError where it is missing or damaged."""
    return _json_object(Path(directory) / "config.json")


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing; a model directory needs it") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: it holds no JSON object")
    return content


def dimensions(directory: Path) -> architectures.Dimensions:
    """Sizes and constants of a model directory."""
    config = config_of(directory)
    return architectures.adapter(config, directory).dimensions(config)


def weight_files(directory: Path) -> list[Path]:
    """Safetensors files of a directory, in order; one file, or the shards of its index.

    Raises ModelError where there is none; a pickle is named and refused.
    """
    directory = Path(directory)
    if (directory / _INDEX).is_file():
        shards = _json_object(directory / _INDEX).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise ModelError(f"{directory / _INDEX}: it has no weight_map")
        files = [directory / name for name in sorted(set(map(str, shards.values())))]
        for path in files:
            if not path.is_file():
                raise ModelError(f"{path} is missing; {_INDEX} names it")
        return files
    if (directory / _WEIGHTS).is_file():
        return [directory / _WEIGHTS]
    pickles = sorted(path.name for pattern in PICKLES for path in directory.glob(pattern))
    if pickles:
        raise ModelError(
            f"{directory} has only the pickle {pickles[0]}, which is never loaded; save the model "
            f"as {_WEIGHTS} (save_pretrained of transformers does)"
        )
    raise ModelError(f"{directory / _WEIGHTS} is missing; a model directory needs its weights")


def files_of(directory: Path) -> list[Path]:
    """Files that make the model what it is: config, weights, tokenizer."""
    directory = Path(directory)
    index = [directory / _INDEX] if (directory / _INDEX).is_file() else []
    side = [directory / name for name in SIDE_FILES if (directory / name).is_file()]
    return [directory / "config.json", *index, *weight_files(directory), *side]


def check_header(directory: Path) -> None:
    """Check a model directory without reading its weights (standard library alone).

    Raises ModelError naming file and fault: no config, an unsupported architecture or setting, no
    weights, a truncated file, a tensor that is missing, unknown or of a wrong shape.
    """
    config = config_of(directory)
    adapter = architectures.adapter(config, directory)
    found: dict[str, tuple[int, ...]] = {}
    for path in weight_files(directory):
        for stored, entry in _header(path).items():
            name = architectures.tensor_name(adapter, stored)
            if name in found:
                raise ModelError(f"{path}: tensor {stored!r} is stored twice")
            found[name] = tuple(entry["shape"])
            if name in adapter.shapes(config):
                _check_format(path, stored, entry)
    _check_shapes(Path(directory), adapter.shapes(config), found, adapter.BUFFERS)


def _header(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return safetensors_header(path)
    except DataError as error:
        raise ModelError(str(error)) from error


def _check_format(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Refuse numbers that are no plain floats (quantised weights need factors stored elsewhere)."""
    if entry["dtype"] not in _FORMATS:
        raise ModelError(
            f"{path}: tensor {name!r} has number format {entry['dtype']}; handled: "
            f"{', '.join(_FORMATS)}"
        )
    first, last = entry["data_offsets"]
    if last - first != math.prod(entry["shape"]) * _FORMATS[entry["dtype"]]:
        raise ModelError(f"{path} is damaged: tensor {name!r} has {last - first} bytes")


def _check_shapes(
    directory: Path,
    expected: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    buffers: str,
) -> None:
    for name, shape in expected.items():
        if name not in found:
            raise ModelError(f"{directory}: tensor {name!r} is missing from the weights")
        if found[name] != shape:
            raise ModelError(
                f"{directory}: tensor {name!r} has shape {found[name]}, but config.json asks for "
                f"{shape}"
            )
    for name in found:
        if name not in expected and not re.search(buffers, name):
            raise ModelError(
                f"{directory}: tensor {name!r} is unknown to this architecture; the checkpoint is "
                "of another kind than its config.json says"
            )


class Tensors(Mapping[str, Any]):
    """Tensors that the architecture needs, by the names of the adapter, each read when asked for.

    A tensor comes in float64 and is kept nowhere here: a pass over a model takes the memory of its
    largest tensor. Opening raises ModelError as `check_header` does, and for a stored unembedding
    that differs from the embedding to which the config ties it; reading, for a value that is not
    finite.
    """

    def __init__(self, directory: Path) -> None:
        check_header(directory)
        config = config_of(directory)
        adapter = architectures.adapter(config, directory)
        self._expected = adapter.shapes(config)
        self._places = {  # name -> file and name in it
            architectures.tensor_name(adapter, stored): (path, stored)
            for path in weight_files(directory)
            for stored in _header(path)
        }
        embedding, unembedding = adapter.TIED
        if unembedding in self._expected or unembedding not in self._places:
            return
        # torch takes seconds to import, and the header checks run at every parse of the workflow
        import torch

        if not torch.equal(self._read(unembedding), self._read(embedding)):
            raise ModelError(
                f"{directory}: config.json ties {unembedding!r} to {embedding!r}, but the weights "
                "hold two different ones"
            )

    def _read(self, name: str) -> Any:
        """A tensor as it is stored; its file is mapped only as long as the tensor lives."""
        from safetensors import safe_open

        path, stored = self._places[name]
        with safe_open(path, "pt") as file:
            tensor = file.get_tensor(stored)
        if not tensor.isfinite().all():
            raise ModelError(f"{path}: tensor {stored!r} has NaN or infinite values")
        return tensor

    def __getitem__(self, name: str) -> Any:
        if name not in self._expected:
            raise KeyError(name)
        return self._read(name).double()

    def __iter__(self) -> Iterator[str]:
        return iter(self._expected)

    def __len__(self) -> int:
        return len(self._expected)

    def count(self) -> int:
        """Number of weights; every tensor is read and checked."""
        return sum(int(self._read(name).numel()) for name in self)


def write(
    directory: Path, files: Mapping[str, Mapping[str, Any]], tensors: Mapping[str, Any]
) -> None:
    """Write a model directory as transformers reads it: JSON `files` by name, and NumPy weights."""
    from safetensors.numpy import save

    for name, content in files.items():
        with atomic(directory / name) as temporary:
            text = json.dumps(content, indent=2, sort_keys=True)
            temporary.write_text(text + "\n", encoding="utf-8")
    with atomic(directory / _WEIGHTS) as temporary:
        temporary.write_bytes(save(dict(tensors), {"format": "pt"}))
