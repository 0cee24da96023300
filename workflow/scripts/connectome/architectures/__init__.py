"""Architectures: one module each, found by the `model_type` of config.json.

A module offers `dimensions(config)`, `shapes(config)` (tensor names and shapes of a checkpoint),
`raw(config, tensors)` (the same weights by role), `PREFIX` (of tensor names, which some checkpoints
leave out), `BUFFERS` (a pattern of tensors that hold no weights of their own), `TIED` (embedding
and unembedding), `SQUARE` (whether the heads' widths must add up to the model's), `MODULES` (paths
of the modules of transformers whose output is that of a site) and `HANDLED` (values of the keys of
config.json that change the arithmetic, or ANY); where checkpoints disagree on a name, `ALIASES`
(other names of a tensor). It needs nothing beyond the standard library: shapes
are checked when the workflow is parsed. Adding an architecture is adding one file.
"""

import importlib
import math
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from connectome.errors import ModelError

ANY: tuple[Any, ...] = ()  # in HANDLED: the module reads this key, whatever its value

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
    "use_bidirectional_attention": (None, False),
    "use_parallel_residual": (None, False),
    "use_qk_norm": (None, False),
}


@dataclass(frozen=True)
class Stretch:
    """How rotary frequencies are divided for contexts longer than those of the first training.

    All by `factor`; with `original`, its context, only those of long wavelength: above `original` /
    `low` by the whole factor, below `original` / `high` not at all, in between in proportion.
    """

    factor: float
    low: float | None = None
    high: float | None = None
    original: float | None = None


@dataclass(frozen=True)
class Dimensions:
    """Sizes and constants of a model; what has a default is absent where it stands at it."""

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
    rotary_width: int | None = None  # directions of a head that turn, its first; None: all
    rotary_stretch: Stretch | None = None
    windows: tuple[int | None, ...] = ()  # per layer: keys that a query sees, its own the last
    window_rotary_base: float | None = None  # of layers with a window, where it is another
    parallel: bool = False  # the MLP of a block reads what its attention reads
    score_scale: float | None = None  # factor of attention scores; None: head_width ** -0.5
    score_cap: float | None = None  # scores s become cap * tanh(s / cap)
    logit_cap: float | None = None  # so do logits
    embedding_scale: float | None = None  # factor of token embeddings, not of the unembedding

    def window(self, layer: int) -> int | None:
        """Keys that a query of a layer sees, None for all."""
        return self.windows[layer] if self.windows else None


@dataclass(frozen=True)
class RawNorm:
    """Gain (d,) and bias (d,) or None."""

    gain: Any
    bias: Any


@dataclass(frozen=True)
class RawAttention:
    """Matrices act from the right: query (d, H*w), key and value (d, Hkv*w), output (H*w, d).

    query_gain and key_gain (w,): of an RMSNorm of each head's query and key before they turn.
    post_gain (d,): of an RMSNorm of what the module writes, which then has no constant.
    """

    norm: RawNorm
    query: Any
    query_bias: Any
    key: Any
    key_bias: Any
    value: Any
    value_bias: Any
    output: Any
    output_bias: Any
    query_gain: Any = None
    key_gain: Any = None
    post_gain: Any = None


@dataclass(frozen=True)
class RawMlp:
    """up (d, n), gate (d, n) or None, down (n, d); post_gain as in RawAttention."""

    norm: RawNorm
    gate: Any
    gate_bias: Any
    up: Any
    up_bias: Any
    down: Any
    down_bias: Any
    post_gain: Any = None


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
        inner = config.get("text_config")
        part = inner.get("model_type") if isinstance(inner, Mapping) else None
        hint = f"; save its language part ({part}) as a model of its own" if part else ""
        raise ModelError(
            f"{directory}: architecture {kind!r} is not supported; supported: "
            f"{', '.join(supported())}{hint}"
        )
    module = importlib.import_module(f"{__name__}.{kind}")
    for key, handled in (_NEUTRAL | module.HANDLED).items():
        value: Any = config
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if handled is ANY:
            continue
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


def tensor_name(module: ModuleType, stored: str) -> str:
    """The name that a module gives to a tensor stored under another."""
    name = stored.removeprefix(module.PREFIX)
    aliases: Mapping[str, str] = getattr(module, "ALIASES", {})
    return aliases.get(name, name)


_WHOLE_NUMBERS = ("layers", "width", "heads", "kv_heads", "head_width", "hidden", "vocabulary")
_NUMBERS = ("eps", "rotary_base", "window_rotary_base", "score_scale", "score_cap", "logit_cap")


def _size_fault(module: ModuleType, config: Mapping[str, Any]) -> str | None:
    """What is wrong with the sizes of a config, if anything."""
    try:
        size = module.dimensions(config)
    except KeyError as error:
        return f"{error} is missing"
    except ModelError as error:
        return str(error)
    except (TypeError, ValueError, ZeroDivisionError, AttributeError):
        return "a size is not a positive whole number"
    stretch = {} if size.rotary_stretch is None else asdict(size.rotary_stretch)
    positive: list[tuple[str, Any, type]] = [
        (name, getattr(size, name), int) for name in (*_WHOLE_NUMBERS, "context")
    ]
    positive += [(name, getattr(size, name), float) for name in _NUMBERS]
    positive += [(f"rotary stretch: {name}", value, float) for name, value in stretch.items()]
    positive += [("window", window, int) for window in size.windows]
    for name, value, kind in positive:
        if value is None and kind is float or name == "window" and value is None:
            continue
        if not _positive(value, kind):
            whole = "whole " if kind is int else ""
            return f"{name} = {value!r} is not a positive {whole}number"
    if size.windows and len(size.windows) != size.layers:
        return f"layer_types names {len(size.windows)} layers, not {size.layers}"
    if size.heads % size.kv_heads:
        return f"{size.heads} heads cannot share {size.kv_heads} key-value heads evenly"
    if module.SQUARE and size.heads * size.head_width != size.width:
        return f"width {size.width} is not a multiple of {size.heads} heads"
    turning = size.head_width if size.rotary_width is None else size.rotary_width
    if size.rotary_base is not None and (turning % 2 or not 0 < turning <= size.head_width):
        what = "an even head width" if turning == size.head_width else "an even part of the head"
        return f"rotary positions need {what}, not {turning}"
    return None


def _positive(value: Any, kind: type) -> bool:
    kinds = (int,) if kind is int else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf


FULL, SLIDING = "full_attention", "sliding_attention"


def layer_windows(
    config: Mapping[str, Any], window: int | None, sliding: Callable[[int], bool]
) -> tuple[int | None, ...]:
    """Window of each layer: `layer_types` where the config has them, else `sliding(layer)`.

    Raises ModelError for a layer type that is neither full nor sliding attention.
    """
    kinds = config.get("layer_types")
    if kinds is None:
        kinds = [SLIDING if sliding(i) else FULL for i in range(config["num_hidden_layers"])]
    if not set(kinds) <= {FULL, SLIDING}:
        found = ", ".join(sorted(set(map(str, kinds))))
        raise ModelError(f"layer_types {found} are not handled; handled: {FULL}, {SLIDING}")
    windows = tuple(window if kind == SLIDING else None for kind in kinds)
    return windows if any(found is not None for found in windows) else ()
