"""Ablation runs: forward passes in which every part sees its own masked input.

A part that is cut from another receives that part's ablated value a_u instead of its current one;
a kept edge carries the CURRENT value. Differences c'_u - a_u are written once into one
buffer; the input of part v is the fully ablated stream plus the masked sum of those differences,
so nothing written for one part can leak into another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectome.blocks import Sight, normalise
from connectome.devices import ranges, within_memory
from connectome.errors import ConfigError
from connectome.parts import PartGraph
from connectome.precision import widen
from connectome.prompts import Batch, Prompts
from connectome.transformer import (
    Transformer,
    behind,
    compute,
    embed,
    forward,
    repeated,
    shares_of,
    sights,
    unembed,
    widest,
)
from connectome.wiring import SiteParts, run_parts, split, wiring

MEMORY = 500_000_000  # bytes of the buffer of differences, by default


@dataclass(frozen=True)
class Ablated:
    """Values a_u at feature level: what a cut edge carries; and the stream where all are cut."""

    features: Mapping[str, Tensor]  # shares per site (n or 1, t or 1, features)
    streams: Mapping[str, Tensor]  # read by each site and by `logits` (n or 1, t or 1, d)

    @property
    def input(self) -> Tensor:
        """What the `input` part writes (n or 1, t or 1, d): the stream before the first site."""
        return next(iter(self.streams.values()))

    def rows(self, chosen: slice) -> "Ablated":
        """The values for some of the prompts."""

        def some(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {site: x if len(x) == 1 else x[chosen] for site, x in values.items()}

        return Ablated(some(self.features), some(self.streams))


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
        return _zeros(model)
    if kind == "counterfactual":
        some = prompts.to(model.device)
        return _merged(_in_blocks(model, some.corrupted, lambda x, real: x, batch_pairs), torch.cat)
    if kind != "mean" or discovery is None:
        raise ConfigError(f"ablation {kind!r} is not known; known: counterfactual, mean, zero")
    blocks = _in_blocks(
        model,
        discovery.to(model.device).clean,
        lambda x, real: x[real].double().sum(0)[None, None],
        batch_pairs,
    )
    count = int(discovery.clean.lengths.sum())
    dtype = model.embedding.dtype
    return _merged(blocks, lambda x: (torch.stack(x).sum(0) / count).to(dtype))


def _zeros(model: Transformer) -> Ablated:
    streams = [model.embedding.new_zeros(1, 1, model.size.width)]
    features = {}
    for site in model.sites:
        features[site] = streams[0].new_zeros(1, 1, model.features(site))
        streams.append(streams[-1] + model.writer(site).constant)
    return Ablated(features, _read(model, streams))


def _read(model: Transformer, streams: Sequence[Tensor]) -> dict[str, Tensor]:
    """Which of the streams, before each module and after the last, each site and `logits` read."""
    return {site: streams[model.reads(site)] for site in model.sites} | {"logits": streams[-1]}


def _in_blocks(
    model: Transformer, batch: Batch, of: Callable[[Tensor, Tensor], Tensor], size: int
) -> list[Ablated]:
    """`_values` of prompts in order, `size` at a time or as many as fit the memory."""

    def run(rows: range) -> Ablated:
        return _values(model, batch.rows(slice(rows.start, rows.stop)), of)

    return list(within_memory(run, ranges(len(batch.ids), size)))


def _values(model: Transformer, batch: Batch, of: Callable[[Tensor, Tensor], Tensor]) -> Ablated:
    """`of` each site's shares and each stream (n, t, ...), given the real positions.

    Streams are linear in the shares before them: their mean is the stream of mean shares.
    """
    trace = forward(model, batch)
    features = {site: of(shares_of(trace, site), batch.real) for site in model.sites}
    streams = [of(stream, batch.real) for stream in trace.streams]
    return Ablated(features, _read(model, streams))


def _merged(blocks: Sequence[Ablated], merge: Callable[[list[Tensor]], Tensor]) -> Ablated:
    first = blocks[0]
    return Ablated(
        {site: merge([block.features[site] for block in blocks]) for site in first.features},
        {place: merge([block.streams[place] for block in blocks]) for place in first.streams},
    )


@torch.inference_mode()
def with_clean_errors(model: Transformer, prompts: Prompts, ablated: Ablated) -> Ablated:
    """Ablated values among which the errors of dictionaries are those of the clean run.

    A graph in which they are fixed runs them so in every circuit.
    """
    trace = forward(model, prompts.to(model.device).clean)
    shift = model.embedding.new_zeros(1, 1, 1)  # what the stream gains by the errors so far
    shifts, features = [shift], dict(ablated.features)
    for site in model.sites:
        if site in model.dictionaries:
            d = model.size.width
            clean, values = shares_of(trace, site), features[site]
            features[site] = torch.cat(
                [values[..., :-d].expand(*clean.shape[:2], -1), clean[..., -d:]], -1
            )
            shift = shift + (clean - values)[..., -d:]
        shifts.append(shift)
    by_place = _read(model, shifts)
    return Ablated(features, {place: x + by_place[place] for place, x in ablated.streams.items()})


def _chunks(circuits: int, prompts: int, cell: int, memory: int) -> tuple[list[slice], list[slice]]:
    """Blocks of circuits and of prompts; a pair of them fits the memory at `cell` bytes a run."""
    room = max(1, memory // cell)
    per_prompts = min(prompts, room)
    per_circuits = max(1, min(circuits, room // per_prompts))
    return _blocks(circuits, per_circuits), _blocks(prompts, per_prompts)


def _blocks(count: int, step: int) -> list[slice]:
    return [slice(first, min(first + step, count)) for first in range(0, count, step)]


class _Ground(NamedTuple):
    """What all circuits share on a block of prompts."""

    batch: Batch
    sights: Mapping[str, Sight]
    first: Tensor  # what `input` writes, minus its ablated value (n, t, d)
    values: Mapping[str, list[Tensor]]  # ablated features of each site's parts
    streams: Mapping[str, Tensor]  # where all is ablated


@torch.inference_mode()
def run_edges(
    model: Transformer,
    prompts: Prompts,
    graph: PartGraph,
    masks: np.ndarray,
    ablated: Ablated,
    memory: int = MEMORY,
) -> Tensor:
    """Answer logits (c, n, vocabulary) of circuits given by edge masks (c, readers, writers).

    Chunking over circuits and prompts, by `memory` in bytes, changes nothing.
    """
    prompts = prompts.to(model.device)
    n, t = prompts.clean.ids.shape
    parts = wiring(model, graph)
    keep = torch.tensor(masks & graph.exists, device=model.embedding.device)
    keep = keep.to(model.embedding.dtype)
    cell = graph.writers * t * model.size.width  # numbers in the buffer per circuit and prompt
    chunks = _chunks(len(keep), n, cell * keep.element_size(), memory)
    # the differences of a block: made once, since fresh memory costs as much as filling it
    buffer = keep.new_empty(chunks[0][0].stop * chunks[1][0].stop * cell)
    result = widen(keep[:0]).new_empty(len(keep), n, model.unembedding.shape[1])
    for rows in chunks[1]:
        batch, values = prompts.clean.rows(rows), ablated.rows(rows)
        ground = _Ground(
            batch,
            sights(model, batch),
            embed(model, batch) - values.input,
            {site: split(model, site, parts[site], x) for site, x in values.features.items()},
            values.streams,
        )
        for chosen in chunks[0]:
            result[chosen, rows] = _run_block(model, parts, keep[chosen], ground, buffer)
    return result


def _run_block(
    model: Transformer,
    parts: Mapping[str, SiteParts],
    keep: Tensor,
    ground: _Ground,
    buffer: Tensor,
) -> Tensor:
    """Logits (c, n, vocabulary) of circuits (c, readers, writers) on a block of prompts."""
    (c, _, writers), (n, t, d), batch = keep.shape, ground.first.shape, ground.batch
    seen_by = repeated(ground.sights, c)
    difference = buffer[: writers * c * n * t * d].view(writers, c, n, t, d)  # c'_u - a_u
    difference[0] = ground.first
    for site in model.sites:
        low, high, seen, inputs, _ = parts[site]
        x = _inputs(keep[:, inputs, :seen], difference[:seen], ground.streams[site])
        run_parts(
            *(model, site, parts[site], x, seen_by[site], ground.values[site]),
            out=difference[low:high],
        )
    rows = torch.arange(n, device=keep.device)
    final = difference[:, :, rows, batch.last]  # (u, c, n, d)
    stream = torch.einsum("cu,ucnd->cnd", keep[:, -1], final)
    base = ground.streams["logits"].expand(n, t, d)[rows, batch.last]
    return unembed(model, stream + base)


def _inputs(keep: Tensor, difference: Tensor, base: Tensor) -> Tensor:
    """Inputs (v, c, n, t, d) of readers: base plus kept (c, v, u) differences (u, c, n, t, d)."""
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
    prompts = prompts.to(model.device)
    circuits, n, t = len(keep), len(prompts), prompts.clean.ids.shape[1]
    device = model.embedding.device
    room = max(widest(model, site, t) for site in model.sites)
    cell = 6 * t * room * model.embedding.element_size()
    result = widen(model.embedding[:0]).new_empty(circuits, n, model.unembedding.shape[1])
    for chosen, rows in product(*_chunks(circuits, n, cell, memory)):
        batch, values = prompts.clean.rows(rows), ablated.rows(rows)
        kept, m = keep[chosen], len(batch.ids)
        c = len(kept)
        wide = Batch(batch.ids.repeat(c, 1), batch.starts.repeat(c), batch.lengths.repeat(c))
        seen_by = sights(model, wide)
        first = torch.tensor(kept[:, 0], device=device)[:, None, None, None]
        stream = torch.where(first, embed(model, batch), values.input)  # (c, n, t, d)
        for number, site in enumerate(model.sites):
            writer = model.writer(site)
            if model.reads(site) == number:
                x = normalise(stream.flatten(0, 1), model.size).x
            features = compute(model, site, x[None, None], seen_by[site])[0]
            if writer.gain is not None:
                features = features * behind(model, site, features).scale
            of_features = torch.tensor(kept[:, graph.members[site]], device=device)
            mixed = torch.where(
                of_features[:, None, None, :],
                features.unflatten(0, (c, m)),
                values.features[site],
            )
            stream = stream + (mixed @ model.writing(site) + writer.constant)
        rows_of = torch.arange(m, device=device)
        result[chosen, rows] = unembed(model, stream[:, rows_of, batch.last])
    return result
