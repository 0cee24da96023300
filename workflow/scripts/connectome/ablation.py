"""Ablation runs: forward passes in which every part sees its own masked input.

A part that is cut from another receives that part's ablated value a_u instead of its current one;
a kept edge carries the CURRENT value. Differences c'_u - a_u are written once into one
buffer; the input of part v is the fully ablated stream plus the masked sum of those differences,
so nothing written for one part can leak into another.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    take,
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


@torch.inference_mode()
def ablated_values(
    model: Transformer,
    prompts: Prompts,
    kind: str,
    discovery: Prompts | None = None,
    batch_pairs: int = 64,
) -> Ablated:
    """Ablated values for `prompts`: "counterfactual" (the corrupted run's), "mean" or "zero".

    Means run over all positions of the clean prompts of `discovery`, one vector per feature.
    Prompts run `batch_pairs` at a time. Raises ConfigError for another kind.
    """
    if kind == "zero":
        zero = model.embedding.new_zeros(1, 1, model.size.width)
        return Ablated(
            zero, {site: zero.new_zeros(1, 1, model.features(site)) for site in model.sites}
        )
    if kind == "counterfactual":
        blocks = [
            _values(model, some.corrupted, lambda x, real: x)
            for some in prompts.batches(batch_pairs)
        ]
        return Ablated(*_merged(blocks, lambda x: torch.cat(x)))
    if kind != "mean" or discovery is None:
        raise ConfigError(f"ablation {kind!r} is not known; known: counterfactual, mean, zero")
    blocks = [
        _values(model, some.clean, lambda x, real: x[real].double().sum(0)[None, None])
        for some in discovery.batches(batch_pairs)
    ]
    count = int(discovery.clean.lengths.sum())
    dtype = model.embedding.dtype
    return Ablated(*_merged(blocks, lambda x: (torch.stack(x).sum(0) / count).to(dtype)))


_Values = tuple[Tensor, dict[str, Tensor]]


def _values(model: Transformer, batch: Batch, of: Callable[[Tensor, Tensor], Tensor]) -> _Values:
    """`of` the embedding and each site's features (n, t, ...), given the real positions."""
    trace = forward(model, batch)
    features = {site: of(features_of(trace, site), batch.real) for site in model.sites}
    return of(trace.streams[0], batch.real), features


def _merged(blocks: Sequence[_Values], merge: Callable[[list[Tensor]], Tensor]) -> _Values:
    features = {site: merge([block[1][site] for block in blocks]) for site in blocks[0][1]}
    return merge([block[0] for block in blocks]), features


class Pairs(NamedTuple):
    """Pairs of (part, head) of an attention site: a part reads through each head it touches."""

    part: Tensor  # (k,) number of the part within its site
    head: Tensor | slice  # (k,); slice(None) where each head is one part, in order: no copies
    kept: Tensor | None  # (k, 1, 1, w) 1 for the part's value directions; None where all are


class SiteParts(NamedTuple):
    """Where the parts of a site stand in the graph, and what they are made of."""

    low: int  # first node
    high: int  # one past the last node
    pairs: Pairs | None  # attention
    units: list[Tensor | slice] | None  # MLP: hidden units of each part


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
            part, head = np.array(found).T
            kept = np.stack([by_head[h] == p for p, h in found])[:, None, None, :]
            mask = None if kept.all() else torch.tensor(kept, device=device).to(dtype)
            in_order = np.array_equal(head, np.arange(model.size.heads))
            heads = slice(None) if in_order else torch.tensor(head, device=device)
            pairs = Pairs(torch.tensor(part, device=device), heads, mask)
            result[site] = SiteParts(low, high, pairs, None)
        else:
            result[site] = SiteParts(low, high, None, _units(local, high - low, device))
    return result


def _units(local: np.ndarray, parts: int, device: torch.device) -> list[Tensor | slice]:
    if parts == 1:
        return [slice(None)]
    return [torch.tensor(np.flatnonzero(local == part), device=device) for part in range(parts)]


def write(model: Transformer, site: str, parts: SiteParts, features: Tensor) -> Tensor:
    """What each part of a site writes, (p, n, t, d), from features (n, t, features)."""
    module = model.module(site)
    if isinstance(module, Mlp):
        assert parts.units is not None
        return torch.stack([take(features, s, -1) @ take(module.down, s) for s in parts.units])
    return _write_pairs(module, parts, by_head(module, features))


def by_head(module: Attention, features: Tensor) -> Tensor:
    """Value features (n, t, features) as (h, n, t, w)."""
    return features.unflatten(2, module.output.shape[:2]).permute(2, 0, 1, 3)


def _write_pairs(module: Attention, parts: SiteParts, z: Tensor) -> Tensor:
    """What parts write (p, ..., d) from values of all heads (h, ..., w) or of the pairs."""
    pairs = parts.pairs
    assert pairs is not None
    if len(z) != len(pairs.part):
        z = take(z, pairs.head)
    if pairs.kept is not None:
        z = z * (pairs.kept if z.ndim == 4 else pairs.kept[:, None])
    written = (z.flatten(1, -2) @ take(module.output, pairs.head)).unflatten(1, z.shape[1:-1])
    return sum_pairs(parts, written)


def sum_pairs(parts: SiteParts, x: Tensor) -> Tensor:
    """Sum pairs (k, ...) into parts (p, ...)."""
    count = parts.high - parts.low
    if parts.pairs is None or len(x) == count:
        return x
    return x.new_zeros(count, *x.shape[1:]).index_add_(0, parts.pairs.part, x)


def run_parts(
    model: Transformer,
    site: str,
    parts: SiteParts,
    x: Tensor,
    turn: Rotary,
    hidden_keys: Tensor,
    ablated: Tensor,
) -> Tensor:
    """What each part of a site writes on an input of its own, minus its ablated value.

    x and result (p, c, n, t, d); turn and hidden_keys of the c n prompts; ablated: features (n or
    1, t or 1, features). Writing is linear: the difference is taken between features.
    """
    module = model.module(site)
    normed = normalise(x, model.size).x
    if isinstance(module, Mlp):
        assert parts.units is not None
        written = torch.empty_like(normed)
        for part, s in enumerate(parts.units):
            hidden = activate(module, normed[part], model.size.activation, s).hidden
            torch.matmul(hidden.sub_(take(ablated, s, -1)), take(module.down, s), out=written[part])
        return written
    assert parts.pairs is not None
    normed = normed.flatten(1, 2)
    own = normed if len(parts.pairs.part) == len(normed) else take(normed, parts.pairs.part)
    z = attend(module, own, turn, hidden_keys, parts.pairs.head).z  # (k, c n, t, w)
    reference = take(by_head(module, ablated), parts.pairs.head)  # (k, n or 1, t or 1, w)
    return _write_pairs(module, parts, z.unflatten(1, x.shape[1:3]) - reference[:, None])


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
    """Answer logits (c, n, vocabulary) of circuits given by edge masks (c, readers, writers).

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
    difference = keep.new_empty(writers, c, n, t, d)  # c'_u - a_u
    difference[0] = embed(model, batch) - ablated.input
    running = start is None
    clean = None if running else forward(model, batch)
    for site in model.sites:
        low, high = parts[site].low, parts[site].high
        running = running or site == start
        if running:
            x = _inputs(keep[:, low - 1 : high - 1, :low], difference[:low], base[site])
            difference[low:high] = run_parts(
                model, site, parts[site], x, wide_turn, hidden_keys, ablated.features[site]
            )
        else:
            assert clean is not None
            change = features_of(clean, site) - ablated.features[site]
            difference[low:high] = write(model, site, parts[site], change)[:, None]
    rows = torch.arange(n, device=keep.device)
    final = difference[:, :, rows, batch.last]  # (u, c, n, d)
    stream = torch.einsum("cu,ucnd->cnd", keep[:, -1], final)
    return unembed(model, stream + base["logits"][rows, batch.last])


def _inputs(keep: Tensor, difference: Tensor, base: Tensor) -> Tensor:
    """Inputs (p, c, n, t, d) of readers: base plus kept (c, p, u) differences (u, c, n, t, d)."""
    flat = difference.flatten(2)  # (u, c, n t d)
    # a copy always: one part and one circuit would otherwise be written into the base itself
    x = base.new_empty(keep.shape[1], *difference.shape[1:]).copy_(base)
    for circuit, kept in enumerate(keep):
        x.flatten(2)[:, circuit].addmm_(kept, flat[:, circuit])
    return x


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
