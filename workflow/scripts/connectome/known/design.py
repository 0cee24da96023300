"""Designs of built models: what stands where in the stream, and what each known head does.

The residual stream is laid out in named subspaces (tokens, positions, what heads write), each with
one dimension per value, so that a head is a table of which value it reads and what it writes. The
weights follow from that (`assembly`). Standard library alone: designs are read at every parse.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from connectome.errors import ConfigError

CONSTANT = 8.0  # of the two spare dimensions, one of each sign; values elsewhere are about 1
LOUD = 2.0  # what heads write for later heads, so that it stands out from what others write there


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
        return math.sqrt(self.width / (2 * CONSTANT**2 + 2))


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
    tokens: Mapping[str, Sequence[int]]  # subspace -> which value of it each token has
    heads: Mapping[str, Head]  # by name, `a0.h1`

    @property
    def vocabulary(self) -> int:
        """Number of tokens, the start token among them."""
        return len(next(iter(self.tokens.values())))


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
