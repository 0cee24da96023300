"""The part graph: which parts there are, which edges between them, and which edges form a circuit.

Nodes are numbered in the order in which their modules write: `input`, the parts of each site, and
`logits`, which only reads. Writers u are 0..U-1 (all nodes but `logits`); reader v (0..U-1) is node
v + 1 (all nodes but `input`). An edge mask is bool (readers, writers). NumPy alone.
"""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from connectome.errors import DataError
from connectome.labelling import DEAD, UNGROUPED

Array = np.ndarray
REST = -3  # mark of the features of a site that are not single nodes
MARKS = {UNGROUPED: "ungrouped", DEAD: "dead", REST: "rest"}


@dataclass(frozen=True)
class PartGraph:
    """Parts of every site of a model; parts of later modules read those of earlier ones."""

    sites: tuple[str, ...]  # in the order in which they write
    names: tuple[str, ...]  # of all nodes
    site_of: tuple[str, ...]  # of all nodes: "input", a site, or "logits"
    members: Mapping[str, Array]  # per site: node number of each feature
    sizes: Array  # (U,) features per writer; `input` counts 1

    @property
    def writers(self) -> int:
        """Number U of writers, which is the number of readers too."""
        return len(self.names) - 1

    @cached_property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """First node and one past the last node of each site, `input` and `logits` included."""
        sites = np.array(self.site_of)
        found = {site: np.flatnonzero(sites == site) for site in dict.fromkeys(self.site_of)}
        return {site: (int(nodes[0]), int(nodes[-1]) + 1) for site, nodes in found.items()}

    @cached_property
    def exists(self) -> Array:
        """Edges that exist, bool (readers, writers)."""
        mask = np.zeros((self.writers, self.writers), dtype=bool)
        for low, high in self.bounds.values():
            if low > 0:
                mask[low - 1 : high - 1, :low] = True
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


def edge_name(graph: PartGraph, reader: int, writer: int) -> str:
    """`SRC->DST`."""
    return f"{graph.names[writer]}->{graph.names[reader + 1]}"


def labelled(labels: Mapping[str, Array], sites: Sequence[str]) -> PartGraph:
    """Graph of a labelling: parts `a0.r3`, `m2.r0`, and `.ungrouped`, `.dead` where there are any.

    labels: per site the part of each feature, int (features,), marks below 0.
    Raises DataError for a site without labels.
    """
    return _build(labels, sites, lambda place, part, parts: f"{place}.r{part}")


def modules(features: Mapping[str, int], sites: Sequence[str]) -> PartGraph:
    """Graph of whole modules: `a0`, `m0`."""
    labels = {site: np.zeros(count, dtype=np.int64) for site, count in features.items()}
    return _build(labels, sites, lambda place, part, parts: place)


def heads(features: Mapping[str, int], sites: Sequence[str], head_width: int) -> PartGraph:
    """Graph of attention heads `a0.h1`; an MLP is one part `m0`."""
    labels = {
        site: np.arange(count) // head_width if site.startswith("attn") else np.zeros(count, int)
        for site, count in features.items()
    }
    return _build(
        labels,
        sites,
        lambda place, part, parts: f"{place}.h{part}" if place.startswith("a") else place,
    )


def singletons(features: Mapping[str, int], sites: Sequence[str]) -> PartGraph:
    """Graph of single features `m2.n17`."""
    labels = {site: np.arange(count) for site, count in features.items()}
    return _build(labels, sites, lambda place, part, parts: f"{place}.n{part}")


def chosen_features(
    features: Mapping[str, int], sites: Sequence[str], chosen: Collection[str]
) -> PartGraph:
    """Graph of the single features named in `chosen`; the others of a site are one part `m2.rest`.

    chosen: names such as `m2.n17`; what names no feature (`input`, `m2.rest`) is passed over.
    """
    every = singletons(features, sites)
    single = np.isin(every.names, list(chosen))
    labels = {
        site: np.where(single[nodes], np.arange(len(nodes)), REST)
        for site, nodes in every.members.items()
    }
    return _build(labels, sites, lambda place, part, parts: f"{place}.n{part}")


def _build(labels: Mapping[str, Array], sites: Sequence[str], name) -> PartGraph:
    names, site_of, members, sizes = ["input"], ["input"], {}, [1]
    for site in sites:
        if site not in labels:
            raise DataError(f"the partition has no labels for site {site!r}")
        kind, layer = site.split(".")
        place = f"{kind[0]}{layer}"
        found, inverse, counts = np.unique(labels[site], return_inverse=True, return_counts=True)
        order = sorted(range(len(found)), key=lambda i: (found[i] < 0, abs(found[i])))  # noqa: B023
        rank = np.empty(len(found), dtype=np.int64)
        rank[order] = np.arange(len(found))
        members[site] = len(names) + rank[inverse]
        for i in order:
            part = int(found[i])
            mark = MARKS.get(part)
            names.append(f"{place}.{mark}" if mark else name(place, part, len(found)))
            site_of.append(site)
            sizes.append(int(counts[i]))
    return PartGraph(
        tuple(sites), (*names, "logits"), (*site_of, "logits"), members, np.array(sizes)
    )


def prune(graph: PartGraph, mask: Array) -> Array:
    """Edges on some path from `input` to `logits`, bool (readers, writers)."""
    count = graph.writers + 1
    forth, back = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    forth[0] = back[-1] = True
    for low, high in list(graph.bounds.values())[1:]:
        forth[low:high] = mask[low - 1 : high - 1, :low] @ forth[:low]
    for low, high in reversed(list(graph.bounds.values())[:-1]):
        back[low:high] = back[high:] @ mask[high - 1 :, low:high]
    return mask & forth[None, :-1] & back[1:, None] & graph.exists


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
    """Writers kept, bool (U,): `input` and the `size` others of largest score; ties by name.

    scores (U,), the input's among them.
    """
    keep = np.zeros(graph.writers, dtype=bool)
    keep[0] = True
    by_name = np.argsort(graph.names[1:-1]) + 1
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
    readers = np.append(graph.sizes[1:], 1)  # `logits` counts 1
    weight = readers[:, None] * graph.sizes[None, :]
    return {
        "edges": int(mask.sum()),
        "nodes": int(keep.sum()),
        "features": int(graph.sizes[1:][keep[1:]].sum()),
        "weighted": float((weight * mask).sum() / (weight * graph.exists).sum()),
    }


def random_circuit(graph: PartGraph, scores: Array, size: int, seed: Sequence[int]) -> Array:
    """A random circuit of `size` edges after pruning, bool (readers, writers).

    Even seeds (last number): a union of random walks from `input` to `logits` of exactly that size;
    odd ones: the scores permuted within (source site, target site), selected and pruned like any
    circuit.
    """
    rng = np.random.default_rng(list(seed))
    size = min(size, graph.edge_count)
    if seed[-1] % 2:
        return top_edges(graph, _permuted(graph, scores, rng), size, "absolute", True).mask
    while True:
        mask = _union_of_walks(graph, size, rng)
        if mask.sum() == size:
            return mask


def _union_of_walks(graph: PartGraph, size: int, rng: np.random.Generator) -> Array:
    """Walks added while they fit; the last places go to single edges between nodes on the walks.

    Now and then no such edge is left and the union stays too small: then it is drawn again.
    """
    mask = np.zeros_like(graph.exists)
    misses = 0
    while misses < 20 and mask.sum() < size:
        longer = mask.copy()
        node = 0
        while node < graph.writers:
            reader = int(rng.choice(np.flatnonzero(graph.exists[:, node])))
            longer[reader, node] = True
            node = reader + 1
        if mask.sum() < longer.sum() <= size:
            mask = longer
        else:
            misses += 1
    reached = np.append(kept_writers(mask), True)
    reached[0] = True
    into, out_of = np.nonzero(graph.exists & ~mask & reached[None, :-1] & reached[1:, None])
    chosen = rng.permutation(len(into))[: size - mask.sum()]
    mask[into[chosen], out_of[chosen]] = True
    return mask


def _permuted(graph: PartGraph, scores: Array, rng: np.random.Generator) -> Array:
    result = np.zeros_like(scores)
    bounds = list(graph.bounds.values())
    for index, (low, high) in enumerate(bounds[1:], 1):
        for first, last in bounds[:index]:
            block = scores[low - 1 : high - 1, first:last]
            result[low - 1 : high - 1, first:last] = rng.permutation(block.ravel()).reshape(
                block.shape
            )
    return result


def matrix(graph: PartGraph, sources: Sequence[str], targets: Sequence[str], values) -> Array:
    """Scores (readers, writers) from a table of edges by name.

    Raises DataError listing the first five unknown names; edges that are missing score 0.
    """
    number = {name: node for node, name in enumerate(graph.names)}
    unknown = [name for name in (*sources, *targets) if name not in number]
    if unknown:
        raise DataError(f"unknown nodes: {', '.join(unknown[:5])}")
    result = np.zeros((graph.writers, graph.writers))
    reader = np.array([number[name] for name in targets], dtype=np.int64) - 1
    result[reader, [number[name] for name in sources]] = values
    return result


def write_exchange(path: Path, graph: PartGraph, scores: Array) -> None:
    """Edge scores as JSON {"edges": {name: score}} that other circuit tools read."""
    reader, writer = graph.edges
    names = [edge_name(graph, v, u) for v, u in _pairs(reader, writer)]
    values = map(float, scores[reader, writer])
    record = {"edges": dict(zip(names, values, strict=True))}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_exchange(path: Path, graph: PartGraph) -> tuple[Array, int]:
    """Scores (readers, writers) of an exchange file, and how many edges it left out.

    Slots of a head (`a0.h1<q>`) are added to its one input. Raises DataError listing the first
    five edges that do not exist or have no finite score.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    edges = record.get("edges") if isinstance(record, dict) else None
    if not isinstance(edges, dict):
        raise DataError(f"{path}: there are no edges in it")
    total = np.zeros((graph.writers, graph.writers))
    seen = np.zeros_like(graph.exists)
    known = {name: node for node, name in enumerate(graph.names)}
    wrong = []
    for name, value in edges.items():
        source, _, target = name.partition("->")
        place = known.get(re.sub(r"<[qkv]>$", "", target), 0) - 1, known.get(source, graph.writers)
        score = value.get("score") if isinstance(value, dict) else value
        exists = place[0] >= 0 and place[1] < graph.writers and graph.exists[place]
        if not exists or not isinstance(score, (int, float)) or not math.isfinite(score):
            wrong.append(name)
            continue
        total[place] += score
        seen[place] = True
    if wrong:
        raise DataError(
            f"{path}: unknown edges, or scores that are no numbers: {', '.join(wrong[:5])}"
        )
    return total, int((graph.exists & ~seen).sum())
