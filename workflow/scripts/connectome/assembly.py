"""Weights written by hand: a GPT-2 whose heads do what their author says, among others that do not.

A design (`known.design`) says what each known head reads and writes. Two spare dimensions of the
stream hold a constant that is large against all else: every norm then scales by nearly the same
factor (`Size.unit`), whatever the modules write, and a plain pre-norm GPT-2 computes what was
meant. Heads without a role and all MLPs hold small random weights, and the known heads a little
noise, so that no effect is exactly zero. The constant belongs to the input: zero ablation takes it
away, and with it the meaning of every norm. NumPy and the standard library alone.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from connectome.known.design import CONSTANT, Copy, Design, Head, Size

Array = np.ndarray

SHARPNESS = 2.0  # logit of a token per unit of its dimension in the last stream
NOISE_KNOWN = 0.01  # standard deviation of the noise on the matrices of known heads
NOISE_ATTENTION = 0.7  # of the queries and keys of the other heads: they attend unevenly
NOISE_WRITING = 0.025  # of what the other heads and the MLPs write for one value that they read


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
        tokens[np.arange(design.vocabulary), design.spaces[space].start + np.array(values)] = 1
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
