"""What the modules of a block compute: norms, attention and MLP, for groups of parts at once.

Each part of a group reads an input of its own; the plain module is the group of one part that holds
all of it. Axes as in transformer.py: n prompts, t or q, k positions, d width, h heads, w head
width, f hidden units, p parts, m features of a part.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from connectome.architectures import Dimensions
from connectome.precision import widen

ACTIVATIONS = {
    "gelu": functional.gelu,
    # the same formula with sqrt(2 / pi) cut off after ten digits
    "gelu_fast": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
}


@dataclass(frozen=True)
class Attention:
    """Heads with their value directions in order of singular value; a row (d,) per direction.

    Gains are None where there is no such norm.
    """

    query: Tensor  # (h, w, d)
    query_bias: Tensor  # (h, w)
    key: Tensor  # (h, w, d)
    key_bias: Tensor  # (h, w)
    value: Tensor  # (h, w, d)
    output: Tensor  # (h, w, d)
    constant: Tensor  # (d,)
    query_gain: Tensor | None = None  # (w,) of the norm of each head's query, before it turns
    key_gain: Tensor | None = None  # (w,)
    gain: Tensor | None = None  # (d,) of the norm behind the module, whose constant is 0


@dataclass(frozen=True)
class Mlp:
    """Hidden units, a row (d,) each; `gate` is None in an MLP without gate."""

    gate: Tensor | None  # (f, d)
    gate_bias: Tensor | None  # (f,)
    up: Tensor  # (f, d)
    up_bias: Tensor  # (f,)
    output: Tensor  # (f, d)
    constant: Tensor  # (d,)
    gain: Tensor | None = None  # (d,) of the norm behind the module, whose constant is 0
    norm_gain: Tensor | None = None  # (d,) of the norm before it, which is folded into the rest
    norm_bias: Tensor | None = None  # (d,)


class Writer(Protocol):
    """What features are written by: a module, or a dictionary of its output."""

    @property
    def output(self) -> Tensor:
        """Writing directions (units, ..., d)."""

    @property
    def constant(self) -> Tensor:
        """What is written whatever is read (d,)."""

    @property
    def gain(self) -> Tensor | None:
        """(d,) of a norm behind the sum of what the features write."""


@dataclass(frozen=True)
class Group:
    """Neighbouring parts of a site that run as one batch: each has as many heads (or units)."""

    parts: slice  # their numbers within the site
    units: Tensor | slice  # heads or hidden units, those of one part after those of another
    kept: Tensor | None  # (p, 1, 1, m) 1 for the value directions of the part; None where all are
    beside: bool = False  # of a dictionary: they hold more than features

    @property
    def count(self) -> int:
        """Number of parts."""
        return int(self.parts.stop - self.parts.start)


WHOLE = Group(slice(0, 1), slice(None), None, beside=True)


def take(x: Tensor, index: Tensor | slice, dim: int = 0) -> Tensor:
    """Entries of one axis: all of them, without a copy, for slice(None).

    Copying whole rows is several times faster than indexing with brackets.
    """
    return x if isinstance(index, slice) else x.index_select(dim, index)


def rows(matrix: Tensor, group: Group) -> Tensor:
    """Rows (p, m, d) that belong to each part, of a module's (units, ..., d)."""
    return take(matrix, group.units).reshape(group.count, -1, matrix.shape[-1])


def of_parts(writer: Writer, features: Tensor, group: Group) -> Tensor:
    """Features (p, n, t, m) of each part, of all features (n, t, features) of a site.

    Value directions of a head that the part touches but does not own are 0.
    """
    by_unit = features.unflatten(2, (len(writer.output), -1))
    n, t = features.shape[:2]
    found = take(by_unit, group.units, 2).reshape(n, t, group.count, -1).movedim(2, 0)
    return found if group.kept is None else found * group.kept


class Normed(NamedTuple):
    """Output of a bare norm and the factor that scaled it."""

    x: Tensor  # (..., d)
    scale: Tensor  # (..., 1)


def normalise(x: Tensor, size: Dimensions) -> Normed:
    """LayerNorm or RMSNorm without gain and bias."""
    if size.centred:
        normed, _, scale = torch.native_layer_norm(x, [size.width], None, None, size.eps)
        return Normed(normed, scale)
    return rms_normalise(x, size.eps)


def rms_normalise(x: Tensor, eps: float) -> Normed:
    """RMSNorm without gain."""
    wide = widen(x)  # squares leave the range of float16
    scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return Normed((wide * scale).to(x.dtype), scale)


def normalise_backward(grad: Tensor, normed: Normed, size: Dimensions) -> Tensor:
    """Gradient at the norm's input from the gradient at its output, which is overwritten.

    Shapes broadcast: grad (..., n, t, d) for norms of (n, t, d).
    """
    if size.centred:
        grad -= grad.mean(-1, keepdim=True)
    return rms_backward(grad, normed)


def rms_backward(grad: Tensor, normed: Normed) -> Tensor:
    """Gradient at the input of an RMSNorm without gain; as `normalise_backward`."""
    along = torch.linalg.vecdot(grad, normed.x)[..., None]
    grad.addcmul_(normed.x, along, value=-1 / normed.x.shape[-1])
    return grad.mul_(normed.scale)


class Rotary(NamedTuple):
    """Cosine and sine (n, t, r) of each position's angles; empty for learned positions.

    The first r directions of a head turn.
    """

    cosine: Tensor | None
    sine: Tensor | None


class Sight(NamedTuple):
    """What follows from the places of the tokens for the queries and keys of a layer."""

    turn: Rotary
    hidden_keys: Tensor  # bool (n, q, k): keys that a query must not see

    def repeated(self, count: int) -> "Sight":
        """The same for `count` runs of each prompt, run by run."""
        if count == 1:
            return self
        turn = (None if part is None else part.repeat(count, 1, 1) for part in self.turn)
        return Sight(Rotary(*turn), self.hidden_keys.repeat(count, 1, 1))


def rotate(x: Tensor, turn: Rotary, back: bool = False) -> Tensor:
    """Turn queries or keys (..., n, t, w) by their positions, or gradients back."""
    if turn.cosine is None or turn.sine is None:
        return x
    width = turn.cosine.shape[-1]
    first, half = x[..., :width], width // 2
    swapped = torch.cat([-first[..., half:], first[..., :half]], dim=-1)
    turned = first * turn.cosine + swapped * (-turn.sine if back else turn.sine)
    return turned if width == x.shape[-1] else torch.cat([turned, x[..., width:]], dim=-1)


class Attended(NamedTuple):
    """What heads leave behind; the first axis runs over heads (or pairs of part and head)."""

    query: Tensor  # (h, n, t, w), turned
    key: Tensor  # (h, n, t, w), turned
    value: Tensor  # (h, n, t, w)
    pattern: Tensor  # (h, n, q, k)
    z: Tensor  # (h, n, t, w)
    query_norm: Normed | None = None  # over (h, n, t, w), before gain and turn
    key_norm: Normed | None = None


def read(x: Tensor, matrix: Tensor, bias: Tensor | None, group: Group) -> Tensor:
    """What each part reads, (p, n, t, m), of its normed input x (p, n, t, d)."""
    flat, matrices = x.flatten(1, 2), rows(matrix, group).mT  # (p, n t, d), (p, d, m)
    if bias is None:
        found = torch.bmm(flat, matrices)
    else:
        own = take(bias, group.units).reshape(group.count, 1, -1)
        found = torch.baddbmm(own, flat, matrices)
    return found.unflatten(1, x.shape[1:3])


def split_heads(x: Tensor, width: int) -> Tensor:
    """(p, n, t, k w) for parts of k heads as (p k, n, t, w)."""
    return x.unflatten(3, (-1, width)).permute(0, 3, 1, 2, 4).flatten(0, 1)


def join_heads(x: Tensor, parts: int) -> Tensor:
    """(p k, n, t, w) as (p, n, t, k w)."""
    return x.unflatten(0, (parts, -1)).permute(0, 2, 3, 1, 4).flatten(3)


def with_gain(x: Tensor, gain: Tensor | None, eps: float) -> tuple[Tensor, Normed | None]:
    """Queries or keys (..., w) behind their RMSNorm, where there is one, and what it leaves."""
    if gain is None:
        return x, None
    normed = rms_normalise(x, eps)
    return normed.x * gain, normed


def scores(query: Tensor, key: Tensor, cap: float | None) -> Tensor:
    """Attention scores (..., q, k) of turned queries and keys (..., w)."""
    found = query @ (key.transpose(-1, -2) * query.shape[-1] ** -0.5)
    return found if cap is None else found.div_(cap).tanh_().mul_(cap)


def attend(
    module: Attention, x: Tensor, sight: Sight, size: Dimensions, group: Group = WHOLE
) -> Attended:
    """Run the heads of each part on its normed inputs x (s, p, n, t, d).

    s is 1, or 3 where queries, keys and values have inputs of their own.
    """
    width = module.query.shape[1]
    of_query, of_key, of_value = x.expand(3, *x.shape[1:])
    query = split_heads(read(of_query, module.query, module.query_bias, group), width)
    key = split_heads(read(of_key, module.key, module.key_bias, group), width)
    value = split_heads(read(of_value, module.value, None, group), width)
    query, query_norm = with_gain(query, module.query_gain, size.eps)
    key, key_norm = with_gain(key, module.key_gain, size.eps)
    query, key = rotate(query, sight.turn), rotate(key, sight.turn)
    found = scores(query, key, size.score_cap)
    pattern = found.masked_fill_(sight.hidden_keys, float("-inf")).softmax(-1)
    return Attended(query, key, value, pattern, pattern @ value, query_norm, key_norm)


class Activated(NamedTuple):
    """What an MLP leaves behind."""

    gate: Tensor | None  # (p, n, t, m) before the activation
    up: Tensor  # (p, n, t, m) before the activation (no gate) or the linear factor (gate)
    hidden: Tensor  # (p, n, t, m)


def activate(module: Mlp, x: Tensor, activation: str, group: Group = WHOLE) -> Activated:
    """Run the hidden units of each part on its normed input x (p, n, t, d)."""
    act = ACTIVATIONS[activation]
    up = read(x, module.up, module.up_bias, group)
    if module.gate is None:
        return Activated(None, up, act(up))
    gate = read(x, module.gate, module.gate_bias, group)
    return Activated(gate, up, act(gate) * up)
