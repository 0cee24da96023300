"""The engine's own forward pass: folded weights, prompts, and what a pass leaves behind.

On loading, in float64, every inner norm's gain and bias is folded into the matrices that read it,
so that norms only centre and scale; what an attention head writes whatever it attends to (value
biases, norm bias) goes into the module's constant; and each head's value-output product
diag(gain) W_V W_O is rewritten by its singular value decomposition: values read by U S, written by
the orthonormal rows of V^T, largest entry positive. Single value dimensions then mean something.

Axes in names and comments: n prompts, t or q, k positions, d width, h heads, w head width, f hidden
units, p parts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from connectome import architectures, checkpoint
from connectome.architectures import Dimensions, RawAttention, RawMlp, RawNorm
from connectome.errors import DataError
from connectome.prompts import Batch

ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
}


@dataclass(frozen=True)
class Attention:
    """Heads with their value directions in order of singular value."""

    query: Tensor  # (h, d, w)
    query_bias: Tensor  # (h, 1, w)
    key: Tensor  # (h, d, w)
    key_bias: Tensor  # (h, 1, w)
    value: Tensor  # (h, d, w)
    output: Tensor  # (h, w, d)
    constant: Tensor  # (d,)


@dataclass(frozen=True)
class Mlp:
    """Hidden units; `gate` is None in an MLP without gate."""

    gate: Tensor | None  # (d, f), a unit's column contiguous in memory, as in `up`
    gate_bias: Tensor | None  # (f,)
    up: Tensor  # (d, f)
    up_bias: Tensor  # (f,)
    down: Tensor  # (f, d)
    constant: Tensor  # (d,)


@dataclass(frozen=True)
class Transformer:
    """Folded weights of a pre-norm transformer whose blocks run attention, then MLP."""

    size: Dimensions
    embedding: Tensor  # (vocabulary, d)
    positions: Tensor | None  # (context, d)
    blocks: tuple[tuple[Attention, Mlp], ...]
    unembedding: Tensor  # (d, vocabulary)
    unembedding_bias: Tensor  # (vocabulary,)

    @property
    def sites(self) -> tuple[str, ...]:
        """Modules in the order in which they write, the embedding left out."""
        return tuple(f"{kind}.{i}" for i in range(self.size.layers) for kind in ("attn", "mlp"))

    def module(self, site: str) -> Attention | Mlp:
        """Weights of `attn.l` or `mlp.l`."""
        kind, layer = site.split(".")
        return self.blocks[int(layer)][kind == "mlp"]

    def features(self, site: str) -> int:
        """Native features of a site: value directions or hidden units."""
        if site.startswith("attn"):
            return self.size.heads * self.size.head_width
        return self.size.hidden

    def writing(self, site: str) -> Tensor:
        """Writing directions (features, d) of a site."""
        module = self.module(site)
        return module.output.flatten(0, 1) if isinstance(module, Attention) else module.down


def load(
    directory: Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Transformer:
    """Read and fold the checkpoint in `directory`. Raises ModelError where it is not complete."""
    config = checkpoint.config_of(directory)
    adapter = architectures.adapter(config, directory)
    size = adapter.dimensions(config)
    raw = adapter.raw(config, checkpoint.read_tensors(directory))

    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(device=device, dtype=dtype).contiguous()

    blocks = tuple(
        (
            Attention(*map(cast, _fold_attention(attention, size))),
            _by_unit(*(None if tensor is None else cast(tensor) for tensor in _fold_mlp(mlp))),
        )
        for attention, mlp in raw.blocks
    )
    unembedding, bias = _fold(raw.final_norm, raw.unembedding.T, None)
    return Transformer(
        size,
        cast(raw.embedding),
        None if raw.positions is None else cast(raw.positions),
        blocks,
        cast(unembedding),
        cast(bias),
    )


def _fold(norm: RawNorm, matrix: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Matrix (d, m) and bias (m,) that read the bare norm, not the norm with gain and bias."""
    total = torch.zeros(matrix.shape[1], dtype=matrix.dtype) if bias is None else bias
    if norm.bias is not None:
        total = total + norm.bias @ matrix
    return norm.gain[:, None] * matrix, total


def _fold_attention(raw: RawAttention, size: Dimensions) -> tuple[Tensor, ...]:
    width = size.head_width

    def heads(matrix: Tensor, bias: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        folded, total = _fold(raw.norm, matrix, bias)
        folded = folded.reshape(size.width, count, width).transpose(0, 1)  # (count, d, w)
        total = total.reshape(count, 1, width)
        repeat = size.heads // count  # grouped-query attention: each head gets its own key
        return folded.repeat_interleave(repeat, 0), total.repeat_interleave(repeat, 0)

    query, query_bias = heads(raw.query, raw.query_bias, size.heads)
    key, key_bias = heads(raw.key, raw.key_bias, size.kv_heads)
    value, value_bias = heads(raw.value, raw.value_bias, size.kv_heads)
    output = raw.output.reshape(size.heads, width, size.width)
    # weights of a pattern sum to 1: a value bias writes the same whatever is attended to
    constant = (value_bias @ output).sum(dim=(0, 1))
    if raw.output_bias is not None:
        constant = constant + raw.output_bias
    value, output = _singular_directions(value, output)
    return query, query_bias, key, key_bias, value, output, constant


def _singular_directions(value: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """U S (h, d, w) and V^T (h, w, d) of value @ output, by way of two small QR factors."""
    left, right = torch.linalg.qr(value)
    back, corner = torch.linalg.qr(output.transpose(1, 2))
    u, s, vt = torch.linalg.svd(right @ corner.transpose(1, 2))
    reading = left @ (u * s[:, None, :])
    writing = vt @ back.transpose(1, 2)
    largest = writing.gather(2, writing.abs().argmax(dim=2, keepdim=True))  # (h, w, 1)
    sign = torch.where(largest < 0, -1.0, 1.0).to(writing.dtype)
    return reading * sign.transpose(1, 2), writing * sign


def _by_unit(gate, gate_bias, up, up_bias, down, constant) -> Mlp:
    """An MLP whose columns are contiguous, so that the units of a part are picked by rows."""
    gate = None if gate is None else gate.T.contiguous().T
    return Mlp(gate, gate_bias, up.T.contiguous().T, up_bias, down, constant)


def take(x: Tensor, index: Tensor | slice, dim: int = 0) -> Tensor:
    """Entries of one axis: all of them, without a copy, for slice(None).

    Copying whole rows is several times faster than indexing with brackets.
    """
    return x if isinstance(index, slice) else x.index_select(dim, index)


def _fold_mlp(raw: RawMlp) -> tuple[Tensor | None, ...]:
    gate, gate_bias = (None, None) if raw.gate is None else _fold(raw.norm, raw.gate, raw.gate_bias)
    up, up_bias = _fold(raw.norm, raw.up, raw.up_bias)
    constant = torch.zeros_like(raw.norm.gain) if raw.down_bias is None else raw.down_bias
    return gate, gate_bias, up, up_bias, raw.down, constant


class Normed(NamedTuple):
    """Output of a bare norm and the factor that scaled it."""

    x: Tensor  # (..., d)
    scale: Tensor  # (..., 1)


def normalise(x: Tensor, size: Dimensions) -> Normed:
    """LayerNorm or RMSNorm without gain and bias."""
    if size.centred:
        normed, _, scale = torch.native_layer_norm(x, [size.width], None, None, size.eps)
        return Normed(normed, scale)
    scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + size.eps)
    return Normed(x * scale, scale)


def normalise_backward(grad: Tensor, normed: Normed, size: Dimensions) -> Tensor:
    """Gradient at the norm's input from the gradient at its output, which is overwritten.

    Shapes broadcast: grad (..., n, t, d) for norms of (n, t, d).
    """
    along = torch.linalg.vecdot(grad, normed.x)[..., None]
    grad.addcmul_(normed.x, along, value=-1 / size.width)
    if size.centred:
        grad -= grad.mean(-1, keepdim=True)
    return grad.mul_(normed.scale)


class Rotary(NamedTuple):
    """Cosine and sine (n, t, w) of each position's angles; empty for learned positions."""

    cosine: Tensor | None
    sine: Tensor | None


def rotary(model: Transformer, batch: Batch) -> Rotary:
    """Angles of rotary position embedding, half-split convention (Su et al. 2021).

    In float32 whatever the weights are, as the models were trained and as transformers computes.
    """
    if model.size.rotary_base is None:
        return Rotary(None, None)
    width, dtype = model.size.head_width, model.embedding.dtype
    step = torch.arange(0, width, 2, device=batch.ids.device, dtype=torch.float32) / width
    frequency = 1.0 / model.size.rotary_base**step  # (w / 2,)
    angle = batch.positions[..., None].float() * frequency  # (n, t, w / 2)
    angle = torch.cat([angle, angle], dim=-1)
    return Rotary(angle.cos().to(dtype), angle.sin().to(dtype))


def rotate(x: Tensor, turn: Rotary, back: bool = False) -> Tensor:
    """Turn queries or keys (..., n, t, w) by their positions, or gradients back."""
    if turn.cosine is None or turn.sine is None:
        return x
    half = x.shape[-1] // 2
    swapped = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * turn.cosine + swapped * (-turn.sine if back else turn.sine)


def embed(model: Transformer, batch: Batch) -> Tensor:
    """What the `input` part writes: token and position embedding (n, t, d), 0 at padding.

    Raises DataError for a prompt longer than the context or an id outside the vocabulary.
    """
    longest, ids = int(batch.lengths.max()), batch.ids * batch.real
    if longest > model.size.context:
        raise DataError(
            f"a prompt has {longest} tokens, more than the model's context of {model.size.context}"
        )
    for token in (int(ids.min()), int(ids.max())):
        if not 0 <= token < model.size.vocabulary:
            raise DataError(
                f"token id {token} is not among the model's 0 to {len(model.embedding) - 1}"
            )
    stream = model.embedding[ids]
    if model.positions is not None:
        stream = stream + model.positions[batch.positions]
    return stream * batch.real[..., None]


class Attended(NamedTuple):
    """What heads leave behind; the first axis runs over heads (or pairs of part and head)."""

    query: Tensor  # (h, n, t, w), turned
    key: Tensor  # (h, n, t, w), turned
    value: Tensor  # (h, n, t, w)
    pattern: Tensor  # (h, n, q, k)
    z: Tensor  # (h, n, t, w)


def attend(
    module: Attention, x: Tensor, turn: Rotary, hidden_keys: Tensor, heads: Tensor | slice
) -> Attended:
    """Run heads on normed inputs x (1 or heads, n, t, d); one input serves all where it is one."""

    def read(matrix: Tensor, bias: Tensor | None) -> Tensor:
        flat = x.flatten(1, 2)  # (1 or h, n t, d)
        result = flat @ matrix if bias is None else flat @ matrix + bias
        return result.unflatten(1, x.shape[1:3])

    query = rotate(read(take(module.query, heads), take(module.query_bias, heads)), turn)
    key = rotate(read(take(module.key, heads), take(module.key_bias, heads)), turn)
    value = read(take(module.value, heads), None)
    scores = query @ (key.transpose(-1, -2) * module.query.shape[-1] ** -0.5)
    pattern = scores.masked_fill_(hidden_keys, float("-inf")).softmax(-1)
    return Attended(query, key, value, pattern, pattern @ value)


class Activated(NamedTuple):
    """What an MLP leaves behind."""

    gate: Tensor | None  # (n, t, f) before the activation
    up: Tensor  # (n, t, f) before the activation (no gate) or the linear factor (gate)
    hidden: Tensor  # (n, t, f)


def activate(module: Mlp, x: Tensor, activation: str, units: Tensor | slice) -> Activated:
    """Hidden units on normed inputs x (..., d)."""
    act = ACTIVATIONS[activation]
    up = x @ take(module.up.T, units).T + take(module.up_bias, units)
    if module.gate is None or module.gate_bias is None:
        return Activated(None, up, act(up))
    gate = x @ take(module.gate.T, units).T + take(module.gate_bias, units)
    return Activated(gate, up, act(gate) * up)


class Trace(NamedTuple):
    """A forward pass on a batch: the stream after each module and what each module left."""

    batch: Batch
    turn: Rotary
    streams: list[Tensor]  # (n, t, d) before each module in order, and after the last
    normed: dict[str, Normed]  # per site, over (n, t, d)
    attended: dict[str, Attended]
    activated: dict[str, Activated]


def features_of(trace: Trace, site: str) -> Tensor:
    """Native features (n, t, features) of a site in a pass."""
    if site in trace.attended:
        return trace.attended[site].z.permute(1, 2, 0, 3).flatten(2)
    return trace.activated[site].hidden


def forward(model: Transformer, batch: Batch, stream: Tensor | None = None) -> Trace:
    """Run the body. `stream` (n, t, d) replaces the embedding of the batch (integrated paths)."""
    if stream is None:
        stream = embed(model, batch)
    turn, hidden_keys = rotary(model, batch), batch.hidden_keys
    trace = Trace(batch, turn, [stream], {}, {}, {})
    for site in model.sites:
        module = model.module(site)
        trace.normed[site] = normalise(stream, model.size)
        x = trace.normed[site].x
        if isinstance(module, Attention):
            trace.attended[site] = attend(module, x[None], turn, hidden_keys, slice(None))
        else:
            trace.activated[site] = activate(module, x, model.size.activation, slice(None))
        stream = stream + features_of(trace, site) @ model.writing(site) + module.constant
        trace.streams.append(stream)
    return trace


def logits_at_answer(model: Transformer, trace: Trace) -> Tensor:
    """Logits (n, vocabulary) at the last position of each prompt."""
    rows = torch.arange(len(trace.batch.last), device=trace.batch.last.device)
    return unembed(model, trace.streams[-1][rows, trace.batch.last])


def unembed(model: Transformer, stream: Tensor) -> Tensor:
    """Logits (..., vocabulary) of a stream (..., d)."""
    return normalise(stream, model.size).x @ model.unembedding + model.unembedding_bias
