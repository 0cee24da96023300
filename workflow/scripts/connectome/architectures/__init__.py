"""Architectures: one module each, found by the `model_type` of config.json.

A module offers `dimensions(config)`, `shapes(config)` (tensor names and shapes of a checkpoint),
`raw(config, tensors)` (the same weights by role), `PREFIX` (of tensor names, which some checkpoints
leave out), `BUFFERS` (a pattern of tensors that hold no weights of their own), `TIED` (embedding
and unembedding), `SQUARE` (whether the heads' widths must add up to the model's) and `HANDLED`
(values of the keys of config.json that change the arithmetic). It needs nothing beyond the standard
library: shapes are checked when the workflow is parsed. Adding an architecture is adding one file.
"""

import importlib
import math
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from connectome.errors import ModelError

# Settings of other decoders that would change the arithmetic, and the values that change nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "attention_multiplier": (None,),
    "attn_logit_softcapping": (None,),
    "clip_qkv": (None,),
    "embedding_multiplier": (None, 1),
    "final_logit_softcapping": (None,),
    "logit_scale": (None, 1),
    "logits_scaling": (None, 1),
    "num_local_experts": (None,),
    "partial_rotary_factor": (None, 1),
    "quantization_config": (None,),
    "query_pre_attn_scalar": (None,),
    "residual_multiplier": (None, 1),
    "rope_parameters.partial_rotary_factor": (None, 1),
    "sliding_window": (None,),
    "use_parallel_residual": (None, False),
    "use_qk_norm": (None, False),
}


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
    blocks: Iterable[tuple[RawAttention, RawMlp]]  # read one after the other, once
    final_norm: RawNorm
    unembedding: Any  # (vocabulary, d)


def supported() -> list[str]:
    """Architectures that have a module here."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def adapter(config: Mapping[str, Any], directory: Path) -> ModuleType:
    """The module of a config's `model_type`.

    Raises ModelError naming the architecture and those supported, the setting of the config that is
    not handled, or the size that is missing or cannot be.
    """
    kind = config.get("model_type")
    if kind not in supported():
        raise ModelError(
            f"{directory}: architecture {kind!r} is not supported; supported: "
            f"{', '.join(supported())}"
        )
    module = importlib.import_module(f"{__name__}.{kind}")
    for key, handled in (_NEUTRAL | module.HANDLED).items():
        value: Any = config
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        value = handled[0] if value is None else value
        if value not in handled:
            raise ModelError(
                f"{directory}/config.json: {key} = {value!r} changes the arithmetic in a way that "
                f"is not handled; handled: {', '.join(map(repr, handled))}"
            )
    fault = _size_fault(module, config)
    if fault:
        raise ModelError(f"{directory}/config.json: {fault}")
    return module


def _size_fault(module: ModuleType, config: Mapping[str, Any]) -> str | None:
    """What is wrong with the sizes of a config, if anything."""
    try:
        size = module.dimensions(config)
    except KeyError as error:
        return f"{error} is missing"
    except (TypeError, ValueError, ZeroDivisionError):
        return "a size is not a positive whole number"
    for name, value in asdict(size).items():
        kind = {"eps": (int, float), "rotary_base": (int, float)}.get(name, (int,))
        if name in ("activation", "centred") or (name == "rotary_base" and value is None):
            continue
        if not isinstance(value, kind) or isinstance(value, bool) or not 0 < value < math.inf:
            return (
                f"{name} = {value!r} is not a positive {'' if kind != (int,) else 'whole '}number"
            )
    if size.heads % size.kv_heads:
        return f"{size.heads} heads cannot share {size.kv_heads} key-value heads evenly"
    if module.SQUARE and size.heads * size.head_width != size.width:
        return f"width {size.width} is not a multiple of {size.heads} heads"
    if size.rotary_base is not None and size.head_width % 2:
        return f"rotary positions need an even head width, not {size.head_width}"
    return None
