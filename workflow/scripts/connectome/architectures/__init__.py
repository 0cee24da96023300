"""Architectures: one module each, found by the `model_type` of config.json.

A module offers `dimensions(config)`, `shapes(config)` (tensor names and shapes of a checkpoint),
`raw(config, tensors)` (the same weights by role), `PREFIX` (of tensor names, which some checkpoints
leave out), `BUFFERS` (a pattern of tensors that hold no weights of their own) and `HANDLED` (values of
the keys of config.json that change the arithmetic). It needs nothing beyond the standard library: shapes are checked when the workflow is
parsed. Adding an architecture is adding one file here.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from connectome.errors import ModelError


@dataclass(frozen=True)
class Dimensions:
    """Sizes and constants of a model."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    hidden: int
    vocabulary: int
    context: int
    activation: str
    eps: float
    centred: bool  # LayerNorm subtracts the mean, RMSNorm does not
    rotary_base: float | None


@dataclass(frozen=True)
class RawNorm:
    """Gain (d,) and bias (d,) or None."""

    gain: Any
    bias: Any


@dataclass(frozen=True)
class RawAttention:
    """Matrices act from the right: query (d, H*w), key and value (d, Hkv*w), output (H*w, d)."""

    norm: RawNorm
    query: Any
    query_bias: Any
    key: Any
    key_bias: Any
    value: Any
    value_bias: Any
    output: Any
    output_bias: Any


@dataclass(frozen=True)
class RawMlp:
    """up (d, n), gate (d, n) or None, down (n, d)."""

    norm: RawNorm
    gate: Any
    gate_bias: Any
    up: Any
    up_bias: Any
    down: Any
    down_bias: Any


@dataclass(frozen=True)
class Raw:
    """Weights of a model by role, as they stand in the checkpoint."""

    embedding: Any  # (vocabulary, d)
    positions: Any  # (context, d) or None
    blocks: list[tuple[RawAttention, RawMlp]]
    final_norm: RawNorm
    unembedding: Any  # (vocabulary, d)


def supported() -> list[str]:
    """Architectures that have a module here."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def adapter(config: Mapping[str, Any], directory: Path) -> ModuleType:
    """The module of a config's `model_type`.

    Raises ModelError naming the architecture and those supported, or the setting of the config
    that is not handled.
    """
    kind = config.get("model_type")
    if kind not in supported():
        raise ModelError(
            f"{directory}: architecture {kind!r} is not supported; supported: "
            f"{', '.join(supported())}"
        )
    module = importlib.import_module(f"{__name__}.{kind}")
    for key, handled in module.HANDLED.items():
        value: Any = config
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        value = handled[0] if value is None else value
        if value not in handled:
            raise ModelError(
                f"{directory}/config.json: {key} = {value!r} changes the arithmetic in a way that "
                f"is not handled; handled: {', '.join(map(repr, handled))}"
            )
    return module
