"""Weights written by hand: a GPT-2 whose heads do what their author says, among others that do not.

The residual stream is laid out in named subspaces (tokens, positions, what heads write), each with
one dimension per value, so that a head is a table of which value it reads and what it writes. Two
spare dimensions hold a constant that is large against all else: every norm then scales by nearly
the same factor (`unit`), whatever the modules write, and a plain pre-norm GPT-2 computes what was
meant. Heads without a role and all MLPs hold small random weights, and the known heads a little
noise, so that no effect is exactly zero. The constant belongs to the input: zero ablation takes it
away, and with it the meaning of every norm. NumPy and the standard library alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from connectome.errors import ConfigError

Array = np.ndarray

CONSTANT = 8.0  # of the two spare dimensions, one of each sign; values elsewhere are about 1
LOUD = 2.0  # what heads write for later heads, so that it stands out from what others write there
SHARPNESS = 2.0  # logit of a token per unit of its dimension in the last stream
NOISE_KNOWN = 0.01  # standard deviation of the noise on the matrices of known heads
NOISE_ATTENTION = 0.7  # of the queries and keys of the other heads: they attend unevenly
NOISE_WRITING = 0.025  # of what the other heads and the MLPs write for one value that they read


@dataclass(frozen=True)
class Size:
    """Shape of a built model."""

    layers: int
    heads: int
    head_width: int
    hidden: int
    context: int

    @property
    def width(self) -> int:
        """Width d of the residual stream."""
        return self.heads * self.head_width

    @property
    def unit(self) -> float:
        """Factor by which a norm scales a stream that holds a token, a position, the constants."""
        return float(np.sqrt(self.width / (2 * CONSTANT**2 + 2)))


def layout(size: Size, **dimensions: int) -> dict[str, slice]:
    """Subspaces of the stream by name, one after the other; the last two dimensions stay spare.

    Raises ConfigError where they do not fit the width.
    """
    result, first = {}, 0
    for name, count in dimensions.items():
        result[name] = slice(first, first + count)
        first += count
    if first + 2 > size.width:
        raise ConfigError(
            f"a built model needs {first + 2} dimensions but is {size.width} wide; give it wider "
            "heads"
        )
    return result


class Copy(NamedTuple):
    """Values of a subspace of the stream that a head reads into, or writes from, its dimensions."""

    space: slice
    first: int = 0  # dimension of the head that belongs to the first value
    gain: float = 1.0


@dataclass(frozen=True)
class Head:
    """A known head: which queries meet which keys, and what is copied where.

    The score of a query and a key that meet in one dimension is `strength`; keys and queries may
    meet in several. `seeks` are dimensions in which every query is present with a gain, whatever
    the token: the place of keys that are sought always, and of the resting place (`rest`).
    """

    query: tuple[Copy, ...]
    key: tuple[Copy, ...]
    value: tuple[Copy, ...]
    output: tuple[Copy, ...]
    strength: float
    seeks: Mapping[int, float]


@dataclass(frozen=True)
class Design:
    """What a built model is made of: where things stand in the stream, and its known heads."""

    size: Size
    spaces: Mapping[str, slice]  # `position` among them
    tokens: Mapping[str, Array]  # subspace -> what each token has there (vocabulary, dimensions)
    heads: Mapping[str, Head]  # by name, `a0.h1`

    @property
    def vocabulary(self) -> int:
        """Number of tokens, the start token among them."""
        return len(next(iter(self.tokens.values())))


def matrix(size: Size, copies: Iterable[Copy]) -> Array:
    """Matrix (d, w) of copies, gains as stated."""
    result = np.zeros((size.width, size.head_width))
    for space, first, gain in copies:
        values = np.arange(space.start, space.stop)
        result[values, first + np.arange(len(values))] += gain
    return result


class HeadWeights(NamedTuple):
    """Matrices of one head; they act from the right."""

    query: Array  # (d, w)
    query_bias: Array  # (w,)
    key: Array  # (d, w)
    value: Array  # (d, w)
    output: Array  # (w, d)


def known_head(size: Size, head: Head, rng: np.random.Generator) -> HeadWeights:
    """Weights of a known head, with a little noise."""
    # a query and a key of one unit meet with sqrt(w) strength, which the head divides by sqrt(w)
    meeting = np.sqrt(head.strength * np.sqrt(size.head_width))
    bias = np.zeros(size.head_width)
    for dimension, gain in head.seeks.items():
        bias[dimension] = meeting * gain

    def noisy(weights: Array) -> Array:
        return weights + NOISE_KNOWN * _reading(size, size.head_width, rng)

    return HeadWeights(
        noisy(meeting / size.unit * matrix(size, head.query)),
        bias,
        noisy(meeting / size.unit * matrix(size, head.key)),
        noisy(matrix(size, head.value) / size.unit),
        noisy(matrix(size, head.output)).T,
    )


def _reading(size: Size, columns: int, rng: np.random.Generator) -> Array:
    """Random matrix (d, columns) of unit normal weights that leaves the constant alone.

    Read by random weights, it would drown all that differs between tokens.
    """
    result = rng.standard_normal((size.width, columns))
    result[-2:] = 0
    return result


def other_head(size: Size, rng: np.random.Generator) -> HeadWeights:
    """A head without a role: it attends unevenly and writes small random vectors."""
    d, w = size.width, size.head_width
    return HeadWeights(
        NOISE_ATTENTION * _reading(size, w, rng),
        np.zeros(w),
        NOISE_ATTENTION * _reading(size, w, rng),
        _reading(size, w, rng) / np.sqrt(w),
        NOISE_WRITING * rng.standard_normal((w, d)),
    )


def assemble(design: Design, seed: int) -> dict[str, Array]:
    """Tensors of the checkpoint, float32, by the names of transformers' GPT-2.

    The same seed gives the same weights.
    """
    rng = np.random.default_rng(seed)
    size, d = design.size, design.size.width
    tokens, positions = np.zeros((design.vocabulary, d)), np.zeros((size.context, d))
    for space, values in design.tokens.items():
        tokens[:, design.spaces[space]] = values
    positions[:, design.spaces["position"]] = np.eye(size.context)
    positions[:, -2:] = (CONSTANT, -CONSTANT)
    tensors = {"wte.weight": tokens, "wpe.weight": positions}
    for layer in range(size.layers):
        built = []
        for number in range(size.heads):
            known = design.heads.get(f"a{layer}.h{number}")
            built.append(known_head(size, known, rng) if known else other_head(size, rng))
        block = {
            **_norm("ln_1", d),
            "attn.c_attn.weight": np.hstack(
                [np.hstack([getattr(h, role) for h in built]) for role in ("query", "key", "value")]
            ),
            "attn.c_attn.bias": np.concatenate([*(h.query_bias for h in built), np.zeros(2 * d)]),
            "attn.c_proj.weight": np.vstack([h.output for h in built]),
            "attn.c_proj.bias": np.zeros(d),
            **_norm("ln_2", d),
            **_mlp(size, rng),
        }
        tensors |= {f"h.{layer}.{name}": tensor for name, tensor in block.items()}
    tensors |= _norm("ln_f", d, SHARPNESS / size.unit)
    return {
        f"transformer.{name}": np.ascontiguousarray(tensor, dtype=np.float32)
        for name, tensor in tensors.items()
    }


def _norm(name: str, width: int, gain: float = 1.0) -> dict[str, Array]:
    return {f"{name}.weight": np.full(width, gain), f"{name}.bias": np.zeros(width)}


def _mlp(size: Size, rng: np.random.Generator) -> dict[str, Array]:
    """Hidden units that read everything and write small random vectors."""
    d, n = size.width, size.hidden
    return {
        "mlp.c_fc.weight": _reading(size, n, rng),
        "mlp.c_fc.bias": 0.5 * rng.standard_normal(n),
        "mlp.c_proj.weight": NOISE_WRITING / np.sqrt(n) * rng.standard_normal((n, d)),
        "mlp.c_proj.bias": np.zeros(d),
    }


def config(design: Design) -> dict[str, Any]:
    """config.json: a plain GPT-2, embedding and unembedding tied."""
    size = design.size
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "vocab_size": design.vocabulary,
        "n_positions": size.context,
        "n_embd": size.width,
        "n_layer": size.layers,
        "n_head": size.heads,
        "n_inner": size.hidden,
        "layer_norm_epsilon": 1e-05,
        "scale_attn_weights": True,
        "tie_word_embeddings": True,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "dtype": "float32",
        **generation_config(),
    }


def generation_config() -> dict[str, Any]:
    """generation_config.json: one token opens, ends and pads."""
    return dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0)
