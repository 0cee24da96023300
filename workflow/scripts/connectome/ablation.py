"""Ablation runs: forward passes in which every part sees its own masked input.

A part that is cut from another receives that part's ablated value a_u instead of its current one;
a kept edge carries the CURRENT value (C-18). Differences c'_u - a_u are written once into one
buffer; the input of part v is the fully ablated stream plus the masked sum of those differences,
so nothing written for one part can leak into another (C-20, C-21).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectome.errors import ConfigError
from connectome.parts import PartGraph
from connectome.prompts import Prompts
from connectome.transformer import (
    Attention,
    Batch,
    Mlp,
    Rotary,
    Transformer,
    activate,
    attend,
    embed,
    features_of,
    forward,
    normalise,
    rotary,
    unembed,
)

MEMORY = 500_000_000  # bytes of the buffer of differences, by default


@dataclass(frozen=True)
class Ablated:
    """Values a_u at feature level: what a cut edge carries."""

    input: Tensor  # (n or 1, t or 1, d)
    features: Mapping[str, Tensor]  # per site (n or 1, t or 1, features)

    def rows(self, chosen: slice) -> "Ablated":
        """The values for some of the prompts."""

        def some(values: Tensor) -> Tensor:
            return values if len(values) == 1 else values[chosen]

        return Ablated(
            some(self.input), {site: some(values) for site, values in self.features.items()}
        )


def ablated_values(
    model: Transformer, prompts: Prompts, kind: str, discovery: Prompts | None = None
) -> Ablated:
    """Ablated values for `prompts`: "counterfactual" (the corrupted run's), "mean" or "zero".

    Means run over all positions of the clean prompts of `discovery`, one vector per feature (C-6).
    Raises ConfigError for another kind.
    """
    if kind == "counterfactual":
        trace = forward(model, prompts.corrupted)
        return Ablated(trace.streams[0], {site: features_of(trace, site) for site in model.sites})
    if kind == "zero":
        zero = model.embedding.new_zeros(1, 1, model.size.width)
        return Ablated(
            zero, {site: zero.new_zeros(1, 1, model.features(site)) for site in model.sites}
        )
    if kind != "mean" or discovery is None:
        raise ConfigError(f"ablation {kind!r} is not known; known: counterfactual, mean, zero")
    trace = forward(model, discovery.clean)
    real = discovery.clean.real

    def mean(values: Tensor) -> Tensor:
        return values[real].mean(0)[None, None]

    return Ablated(
        mean(trace.streams[0]), {site: mean(features_of(trace, site)) for site in model.sites}
    )


class Pairs(NamedTuple):
    """Pairs of (part, head) of an attention site: a part reads through each head it touches."""

    part: Tensor  # (k,) number of the part within its site
    head: Tensor  # (k,)
    kept: Tensor | None  # (k, 1, 1, w) 1 for the part's value directions; None where all are


class SiteParts(NamedTuple):
    """Where the parts of a site stand in the graph, and what they are made of."""

    low: int  # first node
    high: int  # one past the last node
    pairs: Pairs | None  # attention
    units: list[Tensor] | None  # MLP: hidden units of each part


def wiring(model: Transformer, graph: PartGraph) -> dict[str, SiteParts]:
    """The parts of each site as index tensors on the model's device."""
    device, dtype = model.embedding.device, model.embedding.dtype
    result = {}
    for site in graph.sites:
        low, high = graph.bounds[site]
        local = graph.members[site] - low  # (features,)
        if site.startswith("attn"):
            by_head = local.reshape(model.size.heads, -1)  # (h, w)
            found = [(p, h) for h, row in enumerate(by_head) for p in np.unique(row)]
            found.sort()
            part, head = (torch.tensor(column, device=device) for column in zip(*found))
            kept = np.stack([by_head[h] == p for p, h in found])[:, None, None, :]
            mask = None if kept.all() else torch.tensor(kept, device=device).to(dtype)
            result[site] = SiteParts(low, high, Pairs(part, head, mask), None)
        else:
            units = [
                torch.tensor(np.flatnonzero(local == p), device=device) for p in range(high - low)
            ]
            result[site] = SiteParts(low, high, None, units)
    return result


def write(model: Transformer, site: str, parts: SiteParts, features: Tensor) -> Tensor:
    """What each part of a site writes, (p, n, t, d), from features (n, t, features)."""
    module = model.module(site)
    n, t = features.shape[:2]
    if isinstance(module, Mlp):
        assert parts.units is not None
        return torch.stack([features[..., s] @ module.down[s] for s in parts.units])
    assert parts.pairs is not None
    z = features.unflatten(2, module.output.shape[:2]).permute(2, 0, 1, 3)  # (h, n, t, w)
    return _write_pairs(module, parts, z[parts.pairs.head], n, t)


def _write_pairs(module: Attention, parts: SiteParts, z: Tensor, n: int, t: int) -> Tensor:
    pairs = parts.pairs
    assert pairs is not None
    if pairs.kept is not None:
        z = z * pairs.kept
    written = z.flatten(1, 2) @ module.output[pairs.head]  # (k, n t, d)
    if len(pairs.part) == parts.high - parts.low:
        return written.unflatten(1, (n, t))
    total = written.new_zeros(parts.high - parts.low, *written.shape[1:])
    return total.index_add_(0, pairs.part, written).unflatten(1, (n, t))


def run_parts(
    model: Transformer, site: str, parts: SiteParts, x: Tensor, turn: Rotary, hidden_keys: Tensor
) -> Tensor:
    """What each part of a site writes on inputs of its own: x and result (p, n, t, d)."""
    module = model.module(site)
    normed = normalise(x, model.size).x
    if isinstance(module, Mlp):
        assert parts.units is not None
        return torch.stack(
            [
                activate(module, normed[p], model.size.activation, s).hidden @ module.down[s]
                for p, s in enumerate(parts.units)
            ]
        )
    assert parts.pairs is not None
    pairs = parts.pairs
    own = normed if len(pairs.part) == len(normed) else normed[pairs.part]  # (k, n, t, d)
    attended = attend(module, own, turn, hidden_keys, pairs.head)
    return _write_pairs(module, parts, attended.z, *x.shape[1:3])


def ablated_streams(model: Transformer, ablated: Ablated, n: int, t: int) -> dict[str, Tensor]:
    """The fully ablated stream (n, t, d) before each site, and before `logits`."""
    stream = ablated.input.expand(n, t, -1)
    result = {}
    for site in model.sites:
        result[site] = stream
        stream = stream + (
            ablated.features[site] @ model.writing(site) + model.module(site).constant
        )
    result["logits"] = stream
    return result


def _chunks(circuits: int, prompts: int, cell: int, memory: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of (circuits, prompts) whose buffers of `cell` bytes per pair fit the memory."""
    room = max(1, memory // cell)
    per_prompts = min(prompts, room)
    per_circuits = max(1, min(circuits, room // per_prompts))
    for first in range(0, circuits, per_circuits):
        for row in range(0, prompts, per_prompts):
            yield slice(first, first + per_circuits), slice(row, row + per_prompts)


@torch.inference_mode()
def run_edges(
    model: Transformer,
    prompts: Prompts,
    graph: PartGraph,
    masks: np.ndarray,
    ablated: Ablated,
    memory: int = MEMORY,
    start: str | None = None,
) -> Tensor:
    """Logits at the answers (c, n, vocabulary) of circuits given by edge masks (c, readers, writers).

    `start`: parts of sites before it are known to keep all their inputs (their values are the
    clean run's): only the rest is run. Chunking over circuits and prompts changes nothing.
    """
    circuits, n, t = len(masks), len(prompts), prompts.clean.ids.shape[1]
    parts = wiring(model, graph)
    keep = torch.tensor(masks & graph.exists, device=model.embedding.device)
    keep = keep.to(model.embedding.dtype)
    cell = graph.writers * t * model.size.width * model.embedding.element_size()
    result = model.embedding.new_empty(circuits, n, model.unembedding.shape[1])
    for chosen, rows in _chunks(circuits, n, cell, memory):
        result[chosen, rows] = _run_block(
            model, prompts.clean.rows(rows), parts, keep[chosen], ablated.rows(rows), start
        )
    return result


def _run_block(
    model: Transformer,
    batch: Batch,
    parts: Mapping[str, SiteParts],
    keep: Tensor,
    ablated: Ablated,
    start: str | None,
) -> Tensor:
    (c, writers, _), (n, t), d = keep.shape, batch.ids.shape, model.size.width
    base = ablated_streams(model, ablated, n, t)
    turn = rotary(model, batch)
    wide_turn = Rotary(*(None if part is None else part.repeat(c, 1, 1) for part in turn))
    hidden_keys = batch.hidden_keys.repeat(c, 1, 1)
    difference = keep.new_zeros(c, writers, n, t, d)  # c'_u - a_u
    difference[:, 0] = embed(model, batch) - ablated.input
    running = start is None
    clean = None if running else forward(model, batch)
    for site in model.sites:
        low, high = parts[site].low, parts[site].high
        running = running or site == start
        if running:
            x = keep[:, low - 1 : high - 1, :low] @ difference[:, :low].flatten(2)  # (c, p, n t d)
            x = x.unflatten(2, (n, t, d)).transpose(0, 1) + base[site]  # (p, c, n, t, d)
            written = run_parts(
                model, site, parts[site], x.flatten(1, 2), wide_turn, hidden_keys
            ).unflatten(1, (c, n))
            written = written.transpose(0, 1)  # (c, p, n, t, d)
        else:
            assert clean is not None
            written = write(model, site, parts[site], features_of(clean, site))[None]
        difference[:, low:high] = written - write(model, site, parts[site], ablated.features[site])
    rows = torch.arange(n, device=keep.device)
    final = difference[:, :, rows, batch.last]  # (c, u, n, d)
    stream = (keep[:, -1:] @ final.flatten(2)).unflatten(2, (n, d))[:, 0]  # (c, n, d)
    return unembed(model, stream + base["logits"][rows, batch.last])


@torch.inference_mode()
def run_nodes(
    model: Transformer,
    prompts: Prompts,
    graph: PartGraph,
    keep: np.ndarray,
    ablated: Ablated,
    memory: int = MEMORY,
) -> Tensor:
    """Logits at the answers (c, n, vocabulary) of node ablations: writers kept, bool (c, U).

    All readers of a run see the same stream, so one stream per circuit is enough: features of
    ablated parts are replaced by their ablated values. Equal to `run_edges` with whole columns.
    """
    circuits, n, t = len(keep), len(prompts), prompts.clean.ids.shape[1]
    device = model.embedding.device
    widest = max(model.size.hidden, model.size.heads * (model.size.head_width + t))
    cell = 6 * t * widest * model.embedding.element_size()
    result = model.embedding.new_empty(circuits, n, model.unembedding.shape[1])
    for chosen, rows in _chunks(circuits, n, cell, memory):
        batch, values = prompts.clean.rows(rows), ablated.rows(rows)
        kept, m = keep[chosen], len(batch.ids)
        c = len(kept)
        wide = Batch(batch.ids.repeat(c, 1), batch.starts.repeat(c), batch.lengths.repeat(c))
        turn, hidden_keys = rotary(model, wide), wide.hidden_keys
        first = torch.tensor(kept[:, 0], device=device)[:, None, None, None]
        stream = torch.where(first, embed(model, batch), values.input)  # (c, n, t, d)
        for site in model.sites:
            module = model.module(site)
            x = normalise(stream.flatten(0, 1), model.size).x
            if isinstance(module, Attention):
                z = attend(module, x[None], turn, hidden_keys, slice(None)).z
                features = z.permute(1, 2, 0, 3).flatten(2)
            else:
                features = activate(module, x, model.size.activation, slice(None)).hidden
            of_features = torch.tensor(kept[:, graph.members[site]], device=device)
            mixed = torch.where(
                of_features[:, None, None, :],
                features.unflatten(0, (c, m)),
                values.features[site],
            )
            stream = stream + (mixed @ model.writing(site) + module.constant)
        rows_of = torch.arange(m, device=device)
        result[chosen, rows] = unembed(model, stream[:, rows_of, batch.last])
    return result
