"""The engine's own forward pass: folded weights, prompts, and what a pass leaves behind.

Weights are folded on loading (folding.py), so that norms only centre and scale and single value
dimensions mean something; what each module computes stands in blocks.py.

Axes in names and comments: n prompts, t or q, k positions, d width, h heads, w head width, f hidden
units, p parts, m features of a part.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from connectome import architectures, checkpoint, devices, folding, precision
from connectome.architectures import Dimensions, Raw, RawAttention, RawMlp
from connectome.blocks import (
    WHOLE,
    Activated,
    Attended,
    Attention,
    Group,
    Mlp,
    Normed,
    Rotary,
    activate,
    attend,
    join_heads,
    normalise,
)
from connectome.errors import DataError
from connectome.prompts import Batch


@dataclass(frozen=True)
class Transformer:
    """Folded weights of a pre-norm transformer whose blocks run attention, then MLP."""

    size: Dimensions
    embedding: Tensor  # (vocabulary, d)
    positions: Tensor | None  # (context, d)
    blocks: Sequence[tuple[Attention, Mlp]]  # a layer may lie on another device until asked for
    unembedding: Tensor  # (d, vocabulary)
    unembedding_bias: Tensor  # (vocabulary,)

    @property
    def device(self) -> torch.device:
        """Where the stream and all that is computed of it live."""
        return self.embedding.device

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
        return self.module(site).output.flatten(0, -2)


def load(
    directory: Path, dtype: str | torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Transformer:
    """Read and fold the checkpoint in `directory`, layer by layer.

    dtype is one of devices.FORMATS. Several cards are shared by a model that one cannot hold. Takes
    the memory of the model in its own numbers and of one layer in float64 (of the embeddings, where
    they are larger). Raises ModelError where the checkpoint is not complete, DeviceError where the
    device is not there or too small.
    """
    places, numbers = devices.resolve(device), devices.number_format(dtype)
    config = checkpoint.config_of(directory)
    adapter = architectures.adapter(config, directory)
    size = adapter.dimensions(config)
    raw = adapter.raw(config, checkpoint.Tensors(directory))
    layers, ends = raw.blocks, _ends(raw, numbers, places[0])
    del raw  # the embeddings in float64
    blocks = devices.lay_out(
        _folded(layers, size, numbers),
        size.layers,
        sum(x.nbytes for x in ends.values() if x is not None),
        places,
    )
    return Transformer(size, blocks=blocks, **ends)  # type: ignore[arg-type]


def _folded(
    layers: Iterable[tuple[RawAttention, RawMlp]], size: Dimensions, dtype: torch.dtype
) -> Iterator[tuple[Attention, Mlp]]:
    """Folded layers, one after the other, always by the CPU: the same directions on any device."""

    def module(kind: type, folded: tuple[Tensor | None, ...]) -> Any:
        return kind(*(None if x is None else x.to(dtype).contiguous() for x in folded))

    for attention, mlp in layers:
        yield (
            module(Attention, folding.attention(attention, size)),
            module(Mlp, folding.mlp(mlp)),
        )


def _ends(raw: Raw, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor | None]:
    """What stands before the layers and behind them."""

    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(dtype).to(device).contiguous()

    unembedding, bias = folding.fold(raw.final_norm, raw.unembedding.T, None)
    return {
        "embedding": cast(raw.embedding),
        "positions": None if raw.positions is None else cast(raw.positions),
        "unembedding": cast(unembedding),
        "unembedding_bias": cast(bias),
    }


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


def compute(
    model: Transformer,
    site: str,
    x: Tensor,
    turn: Rotary,
    hidden_keys: Tensor,
    group: Group = WHOLE,
) -> Tensor:
    """Features (p, n, t, m) of each part of a site on its normed inputs x (s, p, n, t, d)."""
    module = model.module(site)
    if isinstance(module, Attention):
        return join_heads(attend(module, x, turn, hidden_keys, group).z, group.count)
    return activate(module, x[0], model.size.activation, group).hidden


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
        return join_heads(trace.attended[site].z, 1)[0]
    return trace.activated[site].hidden[0]


def forward(
    model: Transformer,
    batch: Batch,
    stream: Tensor | None = None,
    visit: Callable[[str, Trace], None] | None = None,
) -> Trace:
    """Run the body. `stream` (n, t, d) replaces the embedding of the batch (integrated paths).

    With `visit`, what a module leaves behind is handed to it after the module and then let go: only
    the streams stay.
    """
    batch = batch.to(model.device)
    if stream is None:
        stream = embed(model, batch)
    turn, hidden_keys = rotary(model, batch), batch.hidden_keys
    trace = Trace(batch, turn, [stream], {}, {}, {})
    for site in model.sites:
        module = model.module(site)
        trace.normed[site] = normalise(stream, model.size)
        x = trace.normed[site].x
        if isinstance(module, Attention):
            trace.attended[site] = attend(module, x[None, None], turn, hidden_keys)
        else:
            trace.activated[site] = activate(module, x[None], model.size.activation)
        stream = stream + features_of(trace, site) @ model.writing(site) + module.constant
        trace.streams.append(stream)
        if visit is not None:
            visit(site, trace)
            for left in (trace.normed, trace.attended, trace.activated):
                left.pop(site, None)
    return trace


def answers(model: Transformer, batch: Batch) -> Tensor:
    """Logits (n, vocabulary) at the last position of each prompt, nothing else kept of the pass."""
    return logits_at_answer(model, forward(model, batch, visit=lambda site, trace: None))


def logits_at_answer(model: Transformer, trace: Trace) -> Tensor:
    """Logits (n, vocabulary) at the last position of each prompt."""
    prompts = torch.arange(len(trace.batch.last), device=trace.batch.last.device)
    return unembed(model, trace.streams[-1][prompts, trace.batch.last])


def unembed(model: Transformer, stream: Tensor) -> Tensor:
    """Logits (..., vocabulary) of a stream (..., d), in float32 where the model is narrower."""
    x = normalise(precision.widen(stream), model.size).x
    return precision.product(x, model.unembedding) + model.unembedding_bias
