"""Direct effects within one prompt: what each token and hidden unit adds to each later one.

The local replacement model of attribution graphs (Ameisen et al. 2025): attention patterns, the
scales of norms and, where an MLP has gates, these are frozen at the values of this prompt. What an
MLP's unit reads, and each logit, is then exactly linear in what was written before: embeddings,
outputs of units at earlier layers, biases. A direct effect goes from a writer to a reader through
attention and the stream, through no other MLP. Units are the native basis, so nothing is left over;
those that are not singled out are one remainder per layer and position.

A unit is read before its activation function; behind a gate it is read as it is written, gate times
linear factor. Logits are read less the mean over the vocabulary, before a cap where there is one.

Axes: t positions, d width, h heads, w head width, r readers, c writers. One prompt at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectome import transformer
from connectome.blocks import ACTIVATIONS, Attention, Mlp, normalise
from connectome.errors import DataError
from connectome.gradients import SLOPES
from connectome.transformer import Trace, Transformer

EMBED = "embed"
ROWS = 256  # readers that are traced back at a time


class Readers(NamedTuple):
    """Linear functions of the stream at single positions, behind a norm with its scale frozen."""

    stream: int  # number of the stream that they read, as in Trace.streams
    position: Tensor  # (r,) int64
    vector: Tensor  # (r, d) on the bare normed stream
    constant: Tensor  # (r,)


class Writers(NamedTuple):
    """Vectors added to the stream at single positions by one site."""

    position: Tensor  # (c,) int64
    vector: Tensor  # (c, d)


def mlp_sites(model: Transformer) -> list[str]:
    """Sites of the MLPs in order."""
    return [site for site in model.sites if site.startswith("mlp")]


def frozen(model: Transformer, ids: Sequence[int]) -> Trace:
    """The pass over one prompt whose patterns, scales and gates are frozen.

    Raises DataError for a prompt without tokens.
    """
    from connectome.prompts import Batch

    if not ids:
        raise DataError("a prompt needs at least one token")
    return transformer.forward(model.native, Batch.of([list(ids)]))


def _scale(model: Transformer, trace: Trace, stream: int) -> Tensor:
    """Scale (t, 1) of the bare norm over a stream."""
    return normalise(trace.streams[stream], model.size).scale[0]


def _through_norm(model: Transformer, gradient: Tensor, scale: Tensor) -> Tensor:
    """Gradient (..., d) at a stream from that behind its norm, the scale (..., 1) frozen."""
    if model.size.centred:
        gradient = gradient - gradient.mean(-1, keepdim=True)
    return gradient * scale


def _written(trace: Trace, site: str, module: Attention | Mlp) -> Tensor:
    """Factor (t, d), or a number, of what a site writes: the frozen norm behind it and its gain."""
    if module.gain is None:
        return torch.ones((), dtype=trace.streams[0].dtype, device=trace.streams[0].device)
    return trace.behind[site].scale[0] * module.gain


def unit_values(trace: Trace, site: str) -> Tensor:
    """Values (t, units) of the hidden units of an MLP."""
    return trace.activated[site].hidden[0, 0]


def unit_writers(model: Transformer, trace: Trace, site: str, units: Tensor) -> Writers:
    """What single units write; units (c, 2): position and number of each."""
    module = model.module(site)
    position, unit = units.unbind(1)
    factor = _written(trace, site, module).expand(trace.streams[0][0].shape)
    value = unit_values(trace, site)[position, unit]
    return Writers(position, value[:, None] * module.output[unit] * factor[position])


def remainder(model: Transformer, trace: Trace, site: str, units: Tensor) -> Writers:
    """What all other units of an MLP write, a writer per position."""
    module = model.module(site)
    value = unit_values(trace, site).clone()
    value[units[:, 0], units[:, 1]] = 0
    written = value @ module.output * _written(trace, site, module)
    return Writers(torch.arange(len(value), device=value.device), written)


def embedding_writers(trace: Trace) -> Writers:
    """Token with position embedding, a writer per position."""
    stream = trace.streams[0][0]
    return Writers(torch.arange(len(stream), device=stream.device), stream)


def unit_readers(model: Transformer, trace: Trace, site: str, units: Tensor) -> Readers:
    """What single units read; units (r, 2): position and number of each."""
    module = model.module(site)
    assert isinstance(module, Mlp)
    position, unit = units.unbind(1)
    vector = module.up[unit]
    constant = torch.zeros_like(vector[:, 0]) if module.up_bias is None else module.up_bias[unit]
    if module.gate is not None:
        gate = _gate(model, trace, site)[position, unit]
        vector, constant = vector * gate[:, None], constant * gate
    return Readers(model.reads(site), position, vector, constant)


def unit_inputs(model: Transformer, trace: Trace, site: str, units: Tensor) -> Tensor:
    """What these units read in the pass itself (r,): the sum of all effects and the constant."""
    left = trace.activated[site]
    read = left.up if left.gate is None else left.hidden
    return read[0, 0][units[:, 0], units[:, 1]]


def _gate(model: Transformer, trace: Trace, site: str) -> Tensor:
    gate = trace.activated[site].gate
    assert gate is not None
    return ACTIVATIONS[model.size.activation](gate[0, 0])


def logit_readers(model: Transformer, trace: Trace, tokens: Sequence[int]) -> Readers:
    """Logits of tokens at the last position, less the mean over the vocabulary."""
    chosen = torch.tensor(list(tokens), device=model.device)
    mean, bias = model.unembedding.mean(1), model.unembedding_bias
    last = torch.full_like(chosen, trace.streams[0].shape[1] - 1)
    vector = (model.unembedding[:, chosen] - mean[:, None]).T
    return Readers(len(model.sites), last, vector, bias[chosen] - bias.mean())


class Gradient(NamedTuple):
    """Gradient at the stream behind a site (`embed`: at the first stream), on the way back."""

    site: str
    value: Tensor  # (r, t, d)


def trace_back(
    model: Transformer, trace: Trace, readers: Readers, units: bool = False
) -> Iterator[Gradient]:
    """Gradients of readers at what each site before them wrote, last site first.

    Through frozen attention alone, or with `units` through the slopes of hidden units as well.
    """
    length, width = trace.streams[0].shape[1:]
    rows = torch.arange(len(readers.position), device=readers.vector.device)
    scale = _scale(model, trace, readers.stream)[readers.position]
    gradient = readers.vector.new_zeros(len(rows), length, width)
    gradient[rows, readers.position] = _through_norm(model, readers.vector, scale)
    waiting: dict[int, Tensor] = {}  # gradients at streams further back: blocks may be parallel
    for number in range(readers.stream - 1, -1, -1):
        site = model.sites[number]
        yield Gradient(site, gradient)
        module = model.module(site)
        if isinstance(module, Attention) or units:
            through = _attention_back if isinstance(module, Attention) else _mlp_back
            inner = through(model, trace, site, gradient)  # type: ignore[operator]
            found = _through_norm(model, inner, trace.normed[site].scale[0])
            read = model.reads(site)
            waiting[read] = waiting[read] + found if read in waiting else found
        if number in waiting:
            gradient = gradient + waiting.pop(number)
    yield Gradient(EMBED, gradient)


def _attention_back(model: Transformer, trace: Trace, site: str, gradient: Tensor) -> Tensor:
    """Gradient (r, t, d) at the normed input of attention with its pattern frozen."""
    module = model.module(site)
    assert isinstance(module, Attention)
    pattern = trace.attended[site].pattern[:, 0]  # (h, q, k)
    scaled = gradient * _written(trace, site, module)
    of_z = torch.einsum("rqd,hwd->rhqw", scaled, module.output)
    return torch.einsum("hqk,rhqw,hwd->rkd", pattern, of_z, module.value)


def _mlp_back(model: Transformer, trace: Trace, site: str, gradient: Tensor) -> Tensor:
    """Gradient (r, t, d) at the normed input of an MLP, its gates frozen."""
    module, left = model.module(site), trace.activated[site]
    assert isinstance(module, Mlp)
    of_hidden = gradient * _written(trace, site, module) @ module.output.T
    if module.gate is None:
        slope = SLOPES[model.size.activation](left.up[0, 0])
    else:
        slope = _gate(model, trace, site)
    return of_hidden * slope @ module.up


class Effects(NamedTuple):
    """Direct effects on readers; with `constant` they add up to what the readers read."""

    by_site: Mapping[str, Tensor]  # (r, c) of the writers of each site
    constant: Tensor  # (r,) biases, those written on the way included


def effects(
    model: Transformer, trace: Trace, readers: Readers, writers: Mapping[str, Sequence[Writers]]
) -> Effects:
    """Direct effects of writers on readers, 0 where a writer comes too late.

    writers: those of `embed` and of MLP sites, in groups whose columns are laid side by side.
    """
    parts = [
        _effects(model, trace, Readers(readers.stream, *some), writers)
        for some in zip(
            *(x.split(ROWS) for x in (readers.position, readers.vector, readers.constant)),
            strict=True,
        )
    ]
    by_site = {site: torch.cat([part.by_site[site] for part in parts]) for site in writers}
    return Effects(by_site, torch.cat([part.constant for part in parts]))


def _effects(
    model: Transformer, trace: Trace, readers: Readers, writers: Mapping[str, Sequence[Writers]]
) -> Effects:
    constant = readers.constant.clone()
    by_site = {
        site: readers.vector.new_zeros(
            len(readers.position), sum(len(group.position) for group in groups)
        )
        for site, groups in writers.items()
    }
    for site, gradient in trace_back(model, trace, readers):
        if site != EMBED:
            constant += gradient.sum(1) @ model.module(site).constant
        if site in writers:
            every = Writers(*(torch.cat(x) for x in zip(*writers[site], strict=True)))
            for position in range(gradient.shape[1]):
                here = (every.position == position).nonzero()[:, 0]
                by_site[site][:, here] = gradient[:, position] @ every.vector[here].T
    return Effects(by_site, constant)


def choose_units(
    model: Transformer, trace: Trace, readers: Readers, weights: Tensor, count: int
) -> dict[str, Tensor]:
    """The `count` units whose gradient times value moves the readers most, (c, 2) by MLP site.

    weights (r,) of the readers. Gradients pass through hidden units by their slopes; this only says
    which units become nodes. Ordered by position, then number; ties by site and place.
    """
    scores = {}
    for site, gradient in trace_back(model, trace, readers, units=True):
        if site.startswith("mlp"):
            module = model.module(site)
            along = gradient * _written(trace, site, module) @ module.output.T  # (r, t, units)
            moved = (along * unit_values(trace, site)).abs()
            scores[site] = torch.einsum("r,rtu->tu", weights.to(moved.dtype), moved)
    sites = mlp_sites(model)
    flat = np.concatenate([scores[site].double().flatten().cpu().numpy() for site in sites])
    order = np.argsort(-flat, kind="stable")[:count]
    keep = np.zeros(len(flat), dtype=bool)
    keep[order] = flat[order] > 0
    found, first = {}, 0
    for site in sites:
        size = scores[site].numel()
        mask = torch.from_numpy(keep[first : first + size].reshape(scores[site].shape))
        found[site] = mask.nonzero().to(model.device)
        first += size
    return found


class Outputs(NamedTuple):
    """Tokens whose logits are traced."""

    tokens: list[int]
    probability: list[float]  # in the model's own output
    target: list[bool]  # whether it is a right answer


def outputs(
    model: Transformer,
    trace: Trace,
    right: Sequence[int],
    wrong: Sequence[int],
    share: float,
    most: int,
) -> Outputs:
    """The likeliest next tokens, up to a share of probability and a number, then the first right
    and the first wrong answer where they are not among them."""
    logits = transformer.unembed(model, trace.streams[-1][0, -1])
    probability = logits.double().softmax(-1)
    order = torch.argsort(-probability, stable=True)[:most]
    enough = int((probability[order].cumsum(0) < share).sum()) + 1
    chosen = dict.fromkeys([*order[:enough].tolist(), *right[:1], *wrong[:1]])
    tokens = [int(token) for token in chosen]
    found = [float(probability[token]) for token in tokens]
    return Outputs(tokens, found, [token in set(right) for token in tokens])


class Graph(NamedTuple):
    """Direct effects among the nodes of one prompt, nodes in an order from early to late.

    Embeddings by position; per layer the units, by position, then the remainders by position; then
    logits. `kind` is "embedding", "unit", "error" or "logit".
    """

    kind: list[str]
    layer: np.ndarray  # (N,) of units and errors; -1 of embeddings, the number of layers of logits
    number: np.ndarray  # (N,) of a unit, or token id; -1 of errors
    position: np.ndarray  # (N,)
    value: np.ndarray  # (N,) of units; NaN of others
    effects: np.ndarray  # (N, N) a row per target
    constant: np.ndarray  # (N,) of units and logits: what no node writes


def graph(
    model: Transformer, trace: Trace, ids: Sequence[int], found: Outputs, count: int
) -> Graph:
    """Direct effects among embeddings, `count` units, remainders and logits of one prompt."""
    readers = logit_readers(model, trace, found.tokens)
    weights = torch.tensor(found.probability, device=model.device)
    chosen = choose_units(model, trace, readers, weights, count)
    length, sites = len(ids), mlp_sites(model)
    writers = {EMBED: [embedding_writers(trace)]}
    for site in sites:
        writers[site] = [
            unit_writers(model, trace, site, chosen[site]),
            remainder(model, trace, site, chosen[site]),
        ]
    rows = [_Rows("embedding", -1, list(ids), list(range(length)))]
    for layer, site in enumerate(sites):
        position, unit = (x.tolist() for x in chosen[site].unbind(1))
        value = unit_values(trace, site)[chosen[site][:, 0], chosen[site][:, 1]].tolist()
        reads = unit_readers(model, trace, site, chosen[site])
        rows.append(_Rows("unit", layer, unit, position, value, reads))
        rows.append(_Rows("error", layer, [-1] * length, list(range(length))))
    rows.append(_Rows("logit", len(sites), found.tokens, [length - 1] * len(found.tokens)))
    rows[-1] = rows[-1]._replace(reads=readers)
    return _assembled(model, trace, rows, writers)


class _Rows(NamedTuple):
    """Nodes of one kind and layer."""

    kind: str
    layer: int
    number: list[int]
    position: list[int]
    value: list[float] | None = None
    reads: Readers | None = None


def _assembled(
    model: Transformer,
    trace: Trace,
    rows: Sequence[_Rows],
    writers: Mapping[str, Sequence[Writers]],
) -> Graph:
    """The graph of these nodes; columns of writers stand in the order of the rows."""
    size = sum(len(group.number) for group in rows)
    matrix, constant = np.zeros((size, size)), np.zeros(size)
    first = 0
    for group in rows:
        last = first + len(group.number)
        if group.reads is not None and last > first:
            by_site, bias = effects(model, trace, group.reads, writers)
            joined = torch.cat([by_site[site] for site in writers], dim=1)
            matrix[first:last, : joined.shape[1]] = joined.double().cpu().numpy()
            constant[first:last] = bias.double().cpu().numpy()
        first = last

    def column(name: str, kind: type) -> np.ndarray:
        return np.array([x for group in rows for x in getattr(group, name)], dtype=kind)

    values = [group.value or [float("nan")] * len(group.number) for group in rows]
    return Graph(
        [group.kind for group in rows for _ in group.number],
        np.array([group.layer for group in rows for _ in group.number]),
        column("number", int),
        column("position", int),
        np.array([x for some in values for x in some]),
        matrix,
        constant,
    )
