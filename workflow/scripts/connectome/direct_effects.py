"""Direct effects within one prompt: what each token and hidden unit adds to each later one.

The local replacement model of attribution graphs (Ameisen et al. 2025): attention patterns, the
scales of norms and, where an MLP has gates, these are frozen at the values of this prompt. What an
MLP's unit reads, and each logit, is then exactly linear in what was written before: embeddings,
outputs of units at earlier layers, biases. A direct effect goes from a writer to a reader through
attention, the skip paths of transcoders and the stream, through no other MLP. Units are hidden
units, which leave nothing over, or the features of a transcoder with its error; what is not singled
out is one remainder per layer and position.

A unit is read before its activation function; behind a gate it is read as it is written, gate times
linear factor. Logits are read less the mean over the vocabulary, before a cap where there is one.

Axes: t positions, d width, h heads, w head width, r readers, c writers. One prompt at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectome import dictionaries, transformer
from connectome.blocks import ACTIVATIONS, Attention, Mlp, normalise
from connectome.errors import DataError
from connectome.gradients import SLOPES
from connectome.prompts import Batch
from connectome.transformer import Trace, Transformer

EMBED = "embed"
ROOM = 1 << 22  # numbers of gradients that are traced back at a time


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


def with_transcoders(model: Transformer) -> Transformer:
    """The model with those of its dictionaries that stand for MLPs and read what these read.

    What an autoencoder of a module's output reads is not linear in what was written before it:
    its module stays native.
    """
    kept = {
        site: found for site, found in model.dictionaries.items() if found.dictionary.transcoder
    }
    return replace(model, dictionaries=kept)


def frozen(model: Transformer, ids: Sequence[int]) -> Trace:
    """The pass over one prompt whose patterns, scales and gates are frozen.

    Raises DataError for a prompt without tokens, or for a dictionary that is no transcoder.
    """
    if not ids:
        raise DataError("a prompt needs at least one token")
    for site, found in model.dictionaries.items():
        if not found.dictionary.transcoder:
            raise DataError(f"the dictionary of {site} is no transcoder; see with_transcoders")
    return transformer.forward(model, Batch.of([list(ids)]))


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


class Basis(NamedTuple):
    """What an MLP writes as a sum: units, a skip path, what these leave over, and a constant."""

    value: Tensor  # (t, u) of each unit
    direction: Tensor  # (u, d)
    factor: Tensor  # (t, d), or one number, of what units write
    constant: Tensor  # (d,)
    vector: Tensor  # (u, d) by which a unit reads the bare normed stream
    bias: Tensor  # (u,)
    gate: Tensor | None  # (t, u) frozen factor of what a unit reads
    read: Tensor  # (t, u) in the pass itself, the gate included
    error: Tensor | None = None  # (t, d) what the features of a transcoder leave over
    skip: Tensor | None = None  # (d, d) path of a transcoder beside its features


def basis(model: Transformer, trace: Trace, site: str) -> Basis:
    """Hidden units of an MLP, or the features of its transcoder."""
    module, found = model.module(site), model.dictionaries.get(site)
    assert isinstance(module, Mlp)
    if found is not None:
        kept, left = found.dictionary, trace.coded[site]
        features, width = left.features[0], len(found.constant)
        silent = torch.zeros_like(kept.encoder_bias)
        return Basis(
            features[:, : kept.features],
            kept.decoder,
            torch.ones_like(features[0, 0]),
            found.constant,
            found.encoder,
            kept.encoder_bias if kept.gate is None else silent,
            None,
            left.pre[0],
            features[:, -width:],
            kept.skip,
        )
    own = trace.activated[site]
    gate = None if own.gate is None else _gate(model, trace, site)
    bias = torch.zeros_like(module.up[:, 0]) if module.up_bias is None else module.up_bias
    return Basis(
        own.hidden[0, 0],
        module.output,
        _written(trace, site, module),
        module.constant,
        module.up,
        bias,
        gate,
        (own.up if gate is None else own.hidden)[0, 0],
    )


def unit_values(model: Transformer, trace: Trace, site: str) -> Tensor:
    """Values (t, units) of the units of an MLP."""
    return basis(model, trace, site).value


def unit_writers(model: Transformer, trace: Trace, site: str, units: Tensor) -> Writers:
    """What single units write; units (c, 2): position and number of each."""
    found, (position, unit) = basis(model, trace, site), units.unbind(1)
    factor = found.factor.expand(trace.streams[0][0].shape)
    value = found.value[position, unit]
    return Writers(position, value[:, None] * found.direction[unit] * factor[position])


def remainder(model: Transformer, trace: Trace, site: str, units: Tensor) -> Writers:
    """What all other units of an MLP write, and what units leave over, a writer per position."""
    found = basis(model, trace, site)
    value = found.value.clone()
    value[units[:, 0], units[:, 1]] = 0
    written = value @ found.direction * found.factor
    if found.error is not None:
        written = written + found.error
    return Writers(torch.arange(len(value), device=value.device), written)


def embedding_writers(trace: Trace) -> Writers:
    """Token with position embedding, a writer per position."""
    stream = trace.streams[0][0]
    return Writers(torch.arange(len(stream), device=stream.device), stream)


def unit_readers(model: Transformer, trace: Trace, site: str, units: Tensor) -> Readers:
    """What single units read; units (r, 2): position and number of each."""
    found, (position, unit) = basis(model, trace, site), units.unbind(1)
    vector, constant = found.vector[unit], found.bias[unit]
    if found.gate is not None:
        gate = found.gate[position, unit]
        vector, constant = vector * gate[:, None], constant * gate
    return Readers(model.reads(site), position, vector, constant)


def unit_inputs(model: Transformer, trace: Trace, site: str, units: Tensor) -> Tensor:
    """What these units read in the pass itself (r,): the sum of all effects and the constant."""
    return basis(model, trace, site).read[units[:, 0], units[:, 1]]


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
        inner = _back(model, trace, site, gradient, units)
        if inner is not None:
            found = _through_norm(model, inner, trace.normed[site].scale[0])
            read = model.reads(site)
            waiting[read] = waiting[read] + found if read in waiting else found
        if number in waiting:
            gradient = gradient + waiting.pop(number)
    yield Gradient(EMBED, gradient)


def _back(
    model: Transformer, trace: Trace, site: str, gradient: Tensor, units: bool
) -> Tensor | None:
    """Gradient (r, t, d) at the normed input of a module; None where nothing passes."""
    module = model.module(site)
    if isinstance(module, Attention):
        pattern = trace.attended[site].pattern[:, 0]  # (h, q, k)
        scaled = gradient * _written(trace, site, module)
        of_z = torch.einsum("rqd,hwd->rhqw", scaled, module.output)
        return torch.einsum("hqk,rhqw,hwd->rkd", pattern, of_z, module.value)
    found = basis(model, trace, site)
    inner = None if found.skip is None else gradient @ found.skip
    if units:
        of_value = gradient * found.factor @ found.direction.T
        through = of_value * _slope(model, site, found) @ found.vector
        inner = through if inner is None else inner + through
    return inner


def _slope(model: Transformer, site: str, found: Basis) -> Tensor:
    """Slope (t, u) of each unit's value by its linear input, gates frozen."""
    if site in model.dictionaries:
        return dictionaries.slopes(model.dictionaries[site].dictionary, found.read)
    return SLOPES[model.size.activation](found.read) if found.gate is None else found.gate


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
    rows = max(1, ROOM // trace.streams[0].numel())
    parts = [
        _effects(model, trace, Readers(readers.stream, *some), writers)
        for some in zip(
            *(x.split(rows) for x in (readers.position, readers.vector, readers.constant)),
            strict=True,
        )
    ]
    by_site = {site: torch.cat([part.by_site[site] for part in parts]) for site in writers}
    return Effects(by_site, torch.cat([part.constant for part in parts]))


def _constant(model: Transformer, site: str) -> Tensor:
    """What a module writes whatever it reads (d,); of a transcoder, its bias."""
    found = model.dictionaries.get(site)
    return model.module(site).constant if found is None else found.constant


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
            constant += gradient.sum(1) @ _constant(model, site)
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
            found = basis(model, trace, site)
            along = gradient * found.factor @ found.direction.T  # (r, t, units)
            moved = (along * found.value).abs()
            scores[site] = torch.einsum("r,rtu->tu", weights.to(moved.dtype), moved)
    sites = mlp_sites(model)
    flat = np.concatenate([scores[site].double().flatten().cpu().numpy() for site in sites])
    order = np.argsort(-flat, kind="stable")[:count]
    keep = np.zeros(len(flat), dtype=bool)
    keep[order] = flat[order] > 0
    chosen, first = {}, 0
    for site in sites:
        size = scores[site].numel()
        mask = torch.from_numpy(keep[first : first + size].reshape(scores[site].shape))
        chosen[site] = mask.nonzero().to(model.device)
        first += size
    return chosen


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
        value = unit_values(model, trace, site)[chosen[site][:, 0], chosen[site][:, 1]].tolist()
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
