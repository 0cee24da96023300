"""Random circuits of a given size: what any circuit is held against."""

from collections.abc import Sequence

import numpy as np

from connectome.parts import PartGraph, kept_writers, top_edges

Array = np.ndarray


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
            node = graph.readers[reader].node
        if mask.sum() < longer.sum() <= size:
            mask = longer
        else:
            misses += 1
    reached = np.append(kept_writers(mask), True)
    reached[0] = True
    between = reached[None, :-1] & reached[graph.reads, None]
    into, out_of = np.nonzero(graph.exists & ~mask & between)
    chosen = rng.permutation(len(into))[: size - mask.sum()]
    mask[into[chosen], out_of[chosen]] = True
    return mask


def _permuted(graph: PartGraph, scores: Array, rng: np.random.Generator) -> Array:
    result = np.zeros_like(scores)
    for target, (first, last) in graph.inputs.items():
        for low, high in graph.bounds.values():
            if high <= graph.seen[target]:
                block = scores[first:last, low:high]
                shuffled = rng.permutation(block.ravel()).reshape(block.shape)
                result[first:last, low:high] = shuffled
    return result
