"""The part graph: which parts there are, which edges between them, and which edges form a circuit.

Nodes are numbered in the order in which their modules write: `input`, the parts of each site, and
`logits`, which only reads. Writers u are 0..U-1 (all nodes but `logits`). Readers v are the inputs
of all nodes but `input`, in the same order of sites: one per node, or three (queries, keys, values)
for each part of a site with slots, slot by slot. An edge mask is bool (readers, writers). NumPy
alone.

Beside the features of a dictionary a site has its error, and a transcoder's skip path: d numbers
each, one part, `m0.error` and `m0.skip`, that counts as one feature.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from connectome.errors import DataError
from connectome.labelling import DEAD, UNGROUPED

Array = np.ndarray
Beside = Mapping[str, Mapping[str, int]]  # per site with a dictionary: numbers of skip and error
Name = Callable[[str, str, int], str]  # of a part, from its place, its site and its label
NATIVE: Beside = MappingProxyType({})
REST, SKIP, ERROR = -3, -4, -5  # marks of features that are not single nodes, and of no features
SLOTS = ("q", "k", "v")
# what errors are in a run: parts like others, the clean run's, or ablated, in every circuit alike
ERRORS = ("in-graph", "kept", "ablated")
BESIDE = {"skip": SKIP, "error": ERROR}  # in the order in which they stand behind the features
MARKS = {UNGROUPED: "ungrouped", DEAD: "dead", REST: "rest", **{x: y for y, x in BESIDE.items()}}


class Reader(NamedTuple):
    """An input of a node: its only one (slot ""), or that of its queries, keys or values."""

    node: int
    slot: str


@dataclass(frozen=True)
class PartGraph:
    """Parts of every site of a model; parts of later modules read those of earlier ones."""

    sites: tuple[str, ...]  # in the order in which they write
    names: tuple[str, ...]  # of all nodes
    site_of: tuple[str, ...]  # of all nodes: "input", a site, or "logits"
    members: Mapping[str, Array]  # per site: node number of each feature
    sizes: Array  # (U,) features per writer; `input` counts 1, so do an error and a skip path
    slotted: tuple[str, ...] = ()  # sites whose parts have an input per slot
    parallel: bool = False  # the MLP of a block does not read the attention of that block
    beside: Beside = field(default_factory=dict)
    fixed: bool = False  # errors have no edges: each writes one value in every circuit

    @property
    def writers(self) -> int:
        """Number U of writers."""
        return len(self.names) - 1

    @cached_property
    def readers(self) -> tuple[Reader, ...]:
        """All readers, in order."""
        return tuple(
            Reader(node, slot)
            for site, (low, high) in self.bounds.items()
            if low > 0
            for slot in (SLOTS if site in self.slotted else ("",))
            for node in range(low, high)
        )

    @cached_property
    def reads(self) -> Array:
        """Node of each reader (readers,)."""
        return np.array([reader.node for reader in self.readers])

    @cached_property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """First node and one past the last node of each site, `input` and `logits` included."""
        sites = np.array(self.site_of)
        found = {site: np.flatnonzero(sites == site) for site in dict.fromkeys(self.site_of)}
        return {site: (int(nodes[0]), int(nodes[-1]) + 1) for site, nodes in found.items()}

    @cached_property
    def inputs(self) -> dict[str, tuple[int, int]]:
        """First reader and one past the last of each site, and of `logits`."""
        found, first = {}, 0
        for site, (low, high) in list(self.bounds.items())[1:]:
            last = first + (high - low) * (len(SLOTS) if site in self.slotted else 1)
            found[site] = (first, last)
            first = last
        return found

    @cached_property
    def seen(self) -> dict[str, int]:
        """How many writers, the first ones, the parts of each site, and `logits`, read."""
        found = {site: low for site, (low, _) in self.bounds.items() if low > 0}
        if self.parallel:
            found |= {s: found[f"attn.{s[4:]}"] for s in found if s.startswith("mlp.")}
        return found

    @cached_property
    def errors(self) -> Array:
        """Nodes that are errors of dictionaries."""
        ends = f".{MARKS[ERROR]}"
        return np.array([i for i, name in enumerate(self.names) if name.endswith(ends)], dtype=int)

    @cached_property
    def candidates(self) -> Array:
        """Writers that a circuit may have or leave out: all but `input` and fixed errors."""
        writers = np.arange(1, self.writers)
        return np.setdiff1d(writers, self.errors) if self.fixed else writers

    @cached_property
    def exists(self) -> Array:
        """Edges that exist, bool (readers, writers)."""
        mask = np.zeros((len(self.readers), self.writers), dtype=bool)
        for site, (first, last) in self.inputs.items():
            mask[first:last, : self.seen[site]] = True
        if self.fixed:
            mask[:, self.errors] = mask[np.isin(self.reads, self.errors)] = False
        return mask

    @cached_property
    def edges(self) -> tuple[Array, Array]:
        """Readers and writers of the existing edges, each (E,), in the order of their names."""
        reader, writer = np.nonzero(self.exists)
        order = np.argsort([edge_name(self, v, u) for v, u in _pairs(reader, writer)])
        return reader[order], writer[order]

    @property
    def edge_count(self) -> int:
        """Number E of existing edges."""
        return int(self.exists.sum())


def _pairs(reader: Array, writer: Array) -> list[tuple[int, int]]:
    return list(zip(reader.tolist(), writer.tolist(), strict=True))


def reader_name(node: str, slot: str) -> str:
    """Name of an input of a node: `a0.h1`, or `a0.h1<q>` of a slot."""
    return f"{node}<{slot}>" if slot else node


def edge_name(graph: PartGraph, reader: int, writer: int) -> str:
    """`SRC->DST`."""
    node, slot = graph.readers[reader]
    return f"{graph.names[writer]}->{reader_name(graph.names[node], slot)}"


def with_slots(graph: PartGraph) -> PartGraph:
    """The same parts, those of attention each with an input for queries, keys and values."""
    return replace(graph, slotted=tuple(site for site in graph.sites if site.startswith("attn")))


def with_parallel(graph: PartGraph, parallel: bool) -> PartGraph:
    """The same parts in a model whose attention and MLP of a block read the same stream, or not."""
    return replace(graph, parallel=parallel)


def with_fixed_errors(graph: PartGraph) -> PartGraph:
    """The same parts, the errors of dictionaries out of every circuit: they write what is given."""
    return replace(graph, fixed=True)


def labelled(
    labels: Mapping[str, Array], sites: Sequence[str], beside: Beside = NATIVE
) -> PartGraph:
    """Graph of a labelling: parts `a0.r3`, `m2.r0`, and `.ungrouped`, `.dead` where there are any.

    labels: per site the part of each feature, int (features,), marks below 0.
    Raises DataError for a site without labels.
    """
    return _build(labels, sites, beside, lambda place, site, part: f"{place}.r{part}")


def modules(
    features: Mapping[str, int], sites: Sequence[str], beside: Beside = NATIVE
) -> PartGraph:
    """Graph of whole modules: `a0`, `m0`, what stands beside a dictionary's features included."""
    labels = {site: np.zeros(count, dtype=np.int64) for site, count in features.items()}
    return _build(labels, sites, beside, lambda place, site, part: place, whole=sites)


def heads(
    features: Mapping[str, int],
    sites: Sequence[str],
    head_width: int,
    beside: Beside = NATIVE,
) -> PartGraph:
    """Graph of attention heads `a0.h1`; an MLP is one part `m0`.

    So is attention written as features of a dictionary, each of which all heads write.
    """
    split = [site for site in sites if site.startswith("attn") and site not in beside]
    labels = {
        site: np.arange(count) // head_width if site in split else np.zeros(count, int)
        for site, count in features.items()
    }
    return _build(
        labels,
        sites,
        beside,
        lambda place, site, part: f"{place}.h{part}" if site in split else place,
        whole=sites,
    )


def singletons(
    features: Mapping[str, int], sites: Sequence[str], beside: Beside = NATIVE
) -> PartGraph:
    """Graph of single features: `m2.n17`, of a dictionary `m2.f17`."""
    labels = {site: np.arange(count) for site, count in features.items()}
    return _build(labels, sites, beside, _single(beside))


def _single(beside: Beside) -> Name:
    return lambda place, site, part: f"{place}.{'f' if site in beside else 'n'}{part}"


def chosen_features(
    features: Mapping[str, int],
    sites: Sequence[str],
    chosen: Collection[str],
    beside: Beside = NATIVE,
) -> PartGraph:
    """Graph of the single features named in `chosen`; the others of a site are one part `m2.rest`.

    chosen: names such as `m2.n17`; what names no feature (`input`, `m2.rest`) is passed over.
    """
    every = singletons(features, sites, beside)
    single = np.isin(every.names, list(chosen))
    labels = {
        site: np.where(single[every.members[site][:count]], np.arange(count), REST)
        for site, count in features.items()
    }
    return _build(labels, sites, beside, _single(beside))


def _build(
    labels: Mapping[str, Array],
    sites: Sequence[str],
    beside: Beside,
    name: Name,
    whole: Collection[str] = (),
) -> PartGraph:
    """Nodes in order of sites; what stands beside features is a part of its own, or of `whole`
    sites in part 0."""
    names, site_of, members, sizes = ["input"], ["input"], {}, [1]
    for site in sites:
        if site not in labels:
            raise DataError(f"the partition has no labels for site {site!r}")
        kind, layer = site.split(".")
        place = f"{kind[0]}{layer}"
        widths = [(mark, beside.get(site, {}).get(key, 0)) for key, mark in BESIDE.items()]
        behind = [np.full(width, 0 if site in whole else mark) for mark, width in widths]
        every = np.concatenate([labels[site], *behind])
        found, inverse = np.unique(every, return_inverse=True)
        weights = [np.full(width, 1 / max(width, 1)) for _, width in widths]
        counts = np.bincount(inverse, np.concatenate([np.ones(len(labels[site])), *weights]))
        order = sorted(range(len(found)), key=lambda i: (found[i] < 0, abs(found[i])))  # noqa: B023
        rank = np.empty(len(found), dtype=np.int64)
        rank[order] = np.arange(len(found))
        members[site] = len(names) + rank[inverse]
        for i in order:
            part = int(found[i])
            mark = MARKS.get(part)
            names.append(f"{place}.{mark}" if mark else name(place, site, part))
            site_of.append(site)
            sizes.append(round(counts[i]))
    return PartGraph(
        tuple(sites),
        (*names, "logits"),
        (*site_of, "logits"),
        members,
        np.array(sizes),
        beside=beside,
    )


def prune(graph: PartGraph, mask: Array) -> Array:
    """Edges on some path from `input` to `logits`, bool (readers, writers).

    A node is reached through any of its slots, and what leads to any of its slots leads on.
    """
    mask = mask & graph.exists
    forth, back = np.zeros(len(graph.names), dtype=bool), np.zeros(len(graph.names), dtype=bool)
    forth[0] = back[-1] = True
    for first, last in graph.inputs.values():
        np.logical_or.at(forth, graph.reads[first:last], mask[first:last] @ forth[:-1])
    for first, last in reversed(graph.inputs.values()):
        back[:-1] |= back[graph.reads[first:last]] @ mask[first:last]
    return mask & forth[None, :-1] & back[graph.reads, None]


class Circuit(NamedTuple):
    """A selected sub-graph: the pruned edges and the requested and the selected size."""

    mask: Array  # bool (readers, writers), pruned
    requested: int
    selected: int


def importance(scores: Array, ranking: str) -> Array:
    """What edges or nodes are ranked by: "absolute" or "signed" scores."""
    return np.abs(scores) if ranking == "absolute" else scores


def top_edges(graph: PartGraph, scores: Array, size: int, ranking: str, fill: bool) -> Circuit:
    """The `size` existing edges of largest score (readers, writers), pruned; ties by name.

    With `fill` more edges are taken until the pruned circuit has at least `size`: the
    smallest such number, found by bisection, since a larger selection never prunes to less.
    """
    reader, writer = graph.edges
    order = np.argsort(-importance(scores[reader, writer], ranking), kind="stable")
    size = min(size, len(order))

    def take(count: int) -> Array:
        mask = np.zeros_like(graph.exists)
        mask[reader[order[:count]], writer[order[:count]]] = True
        return prune(graph, mask)

    selected = size
    if fill:
        low, high = size, len(order)
        while low < high:
            middle = (low + high) // 2
            if take(middle).sum() >= size:
                high = middle
            else:
                low = middle + 1
        selected = low
    return Circuit(take(selected), size, selected)


def top_nodes(graph: PartGraph, scores: Array, size: int, ranking: str) -> Array:
    """Writers kept, bool (U,): `input` and the `size` candidates of largest score; ties by name.

    scores (U,), the input's among them.
    """
    keep = np.zeros(graph.writers, dtype=bool)
    keep[0] = True
    by_name = graph.candidates[np.argsort(np.array(graph.names)[graph.candidates])]
    order = np.argsort(-importance(scores[by_name], ranking), kind="stable")
    keep[by_name[order[:size]]] = True
    return keep


def node_circuit(graph: PartGraph, keep: Array) -> Array:
    """All existing edges that leave kept writers, bool (readers, writers)."""
    return graph.exists & keep[None, :]


def kept_writers(mask: Array) -> Array:
    """Writers with an edge in the mask, bool (U,)."""
    return np.asarray(mask.any(axis=0))


def sizes(graph: PartGraph, mask: Array) -> dict[str, float]:
    """Edges, nodes, features in kept parts and weighted edges of a mask."""
    keep = kept_writers(mask)
    of_nodes = np.append(graph.sizes, 1)  # `logits` counts 1
    weight = of_nodes[graph.reads, None] * graph.sizes[None, :]
    return {
        "edges": int(mask.sum()),
        "nodes": int(keep.sum()),
        "features": int(graph.sizes[1:][keep[1:]].sum()),
        "weighted": float((weight * mask).sum() / (weight * graph.exists).sum()),
    }


def matrix(
    graph: PartGraph,
    sources: Sequence[str],
    targets: Sequence[str],
    values: Array | Sequence[float],
) -> Array:
    """Scores (readers, writers) from a table of edges by name; a target is the name of a reader.

    Raises DataError listing the first five unknown names; edges that are missing score 0.
    """
    writer_of = {name: node for node, name in enumerate(graph.names[:-1])}
    reader_of = reader_numbers(graph)
    unknown = [name for name in sources if name not in writer_of]
    unknown += [name for name in targets if name not in reader_of]
    if unknown:
        raise DataError(f"unknown nodes: {', '.join(unknown[:5])}")
    result = np.zeros(graph.exists.shape)
    reader = [reader_of[name] for name in targets]
    result[reader, [writer_of[name] for name in sources]] = values
    return result


def reader_numbers(graph: PartGraph) -> dict[str, int]:
    """Number of each reader by its name."""
    return {
        reader_name(graph.names[node], slot): reader
        for reader, (node, slot) in enumerate(graph.readers)
    }
