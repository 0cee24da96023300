"""How much of what a graph of direct effects computes passes through each node and edge.

A (N, N) holds direct effects, a row per target, a column per source; nodes stand in an order in
which sources come before targets, so A is strictly lower triangular. w (N,) weighs the outputs.
Rows of |A| are divided by their sums; influence is w (A + A^2 + ...), as in circuit-tracer
(Hanna et al. 2025). NumPy alone.
"""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


def shares(effects: Array) -> Array:
    """|A| with rows that sum to 1; rows of nothing but 0 stay so."""
    size = np.abs(effects)
    total = size.sum(axis=1, keepdims=True)
    return np.divide(size, total, out=np.zeros_like(size), where=total > 0)


def influence(normalised: Array, weights: Array) -> Array:
    """w (A + A^2 + ...) (N,), by one sweep from the last node to the first.

    normalised (N, N) strictly lower triangular: no node reads a later one or itself.
    """
    found = np.zeros(len(weights))
    for target in range(len(weights) - 1, 0, -1):
        found[:target] += (weights[target] + found[target]) * normalised[target, :target]
    return found


def edge_influence(normalised: Array, weights: Array) -> Array:
    """What passes through each edge (N, N): the share of its target times all that this gives."""
    return normalised * (weights + influence(normalised, weights))[:, None]


def cumulative(scores: Array) -> Array:
    """Share of the sum that a score and all larger ones hold; the largest has the smallest."""
    order = np.argsort(-scores, kind="stable")
    total = scores.sum()
    found = np.empty(len(scores))
    found[order] = np.cumsum(scores[order]) / total if total > 0 else 1.0
    return np.minimum(found, 1.0)


def leading(scores: Array, share: float) -> Array:
    """The fewest largest scores (bool) that hold at least this share of the sum; ties by place."""
    order = np.argsort(-scores, kind="stable")
    sums = np.cumsum(scores[order])
    keep = np.zeros(len(scores), dtype=bool)
    if len(sums) and sums[-1] > 0:
        # up to rounding, so that a share of 1 does not ask for what is not there
        count = int(np.searchsorted(sums, share * sums[-1] * (1 - 1e-12))) + 1
        keep[order[:count]] = True
    return keep & (scores > 0)


class Pruned(NamedTuple):
    """What is left of a graph."""

    nodes: Array  # bool (N,)
    edges: Array  # bool (N, N)
    cumulative: Array  # (N,) of the influence of nodes in the whole graph


def prune(
    effects: Array,
    weights: Array,
    always: Array,
    inner: Array,
    node_share: float,
    edge_share: float,
) -> Pruned:
    """Nodes up to a share of all influence, then edges up to a share of what is left of it.

    always: bool (N,) nodes kept whatever they do (tokens, logits). inner: bool (N,) nodes that need
    an edge in and an edge out; the others that are not `always` need one out. What hangs loose is
    dropped until nothing does.
    """
    reach = influence(shares(effects), weights)
    nodes = leading(reach, node_share) | always
    left = shares(effects * np.outer(nodes, nodes))
    passing = edge_influence(left, weights)
    edges = leading(passing.ravel(), edge_share).reshape(passing.shape)
    while True:
        edges &= np.outer(nodes, nodes)
        sound = edges.any(axis=0) & (edges.any(axis=1) | ~inner)
        kept = nodes & (sound | always)
        if (kept == nodes).all():
            return Pruned(nodes, edges, cumulative(reach))
        nodes = kept
