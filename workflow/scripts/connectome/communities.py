"""Communities of a graph by other methods than the block model: Leiden, Infomap, spectral.

All work on the edges that the block model sees, weighted by |r|. Leiden and Infomap come from
igraph, spectral clustering from scikit-learn. The same seed gives the same labels.
"""

import contextlib
import random
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import igraph
import numpy as np
from scipy.sparse import coo_array
from sklearn.cluster import SpectralClustering

from connectome.labelling import by_size

NULLS = ("permuted", "entries", "rolled")
_TRIALS = 5  # of Infomap; the shortest code is kept
_TOLERANCE = 0.05  # of the number of parts asked of Leiden
_STEPS = 40  # of the bisection
_LOWEST = 1e-4  # resolution that joins all that is connected


@dataclass(frozen=True)
class Network:
    """An undirected graph without loops."""

    nodes: np.ndarray  # (n,) feature numbers of the nodes, increasing
    ends: np.ndarray  # (E, 2) positions in `nodes`
    weights: np.ndarray  # (E,) above 0


def network(edges: np.ndarray, r: np.ndarray) -> Network:
    """The graph of edges (E, 2) of feature numbers with correlations r (E,)."""
    nodes, ends = np.unique(edges, return_inverse=True)
    return Network(nodes, ends.reshape(-1, 2), np.abs(r))


def leiden(graph: Network, seed: int, resolution: float = 1.0) -> np.ndarray:
    """Labels (n,) of largest modularity (Traag, Waltman & van Eck 2019, Sci. Rep. 9, 5233)."""
    with _seeded(seed):
        found = _igraph(graph).community_leiden(
            objective_function="modularity",
            weights=graph.weights.tolist(),
            resolution=resolution,
            n_iterations=-1,  # until nothing improves
        )
    return by_size(np.array(found.membership))


def leiden_at(graph: Network, parts: int, seed: int) -> tuple[np.ndarray, float]:
    """Labels (n,) by Leiden at about `parts` communities, and the resolution that gave them.

    The resolution is bisected until the number lies within 5 % of `parts`; where no resolution
    gives that (there are more connected components than parts, or the number jumps), the nearest
    number seen is taken.
    """
    strength = np.bincount(graph.ends.ravel(), np.repeat(graph.weights, 2))
    i, j = graph.ends.T
    # above the largest w_ij 2m / (k_i k_j) no two nodes are worth joining
    highest = 2 * float(np.max(graph.weights * strength.sum() / (strength[i] * strength[j])))
    low, high = _LOWEST, max(highest, 1.0)
    best, used = leiden(graph, seed, low), low
    for _ in range(_STEPS):
        if abs(_count(best) - parts) <= _TOLERANCE * parts:
            break
        middle = float(np.sqrt(low * high))
        found = leiden(graph, seed, middle)
        if abs(_count(found) - parts) < abs(_count(best) - parts):
            best, used = found, middle
        if _count(found) < parts:
            low = middle
        else:
            high = middle
    return best, used


def infomap(graph: Network, seed: int) -> np.ndarray:
    """Labels (n,) of the shortest code of a random walk (Rosvall & Bergstrom 2008, PNAS 105)."""
    with _seeded(seed):
        found = _igraph(graph).community_infomap(
            edge_weights=graph.weights.tolist(), trials=_TRIALS
        )
    return by_size(np.array(found.membership))


def spectral(graph: Network, parts: int, starts: int, seed: int) -> np.ndarray:
    """Labels (n,): k-means on the first `parts` eigenvectors of the normalised Laplacian."""
    n = len(graph.nodes)
    if parts >= n:
        return np.arange(n, dtype=np.int32)
    i, j = graph.ends.T
    pairs = (np.concatenate([i, j]), np.concatenate([j, i]))
    adjacency = coo_array((np.tile(graph.weights, 2), pairs), shape=(n, n)).tocsr()
    adjacency.indices, adjacency.indptr = (
        x.astype(np.int32) for x in (adjacency.indices, adjacency.indptr)
    )
    method = SpectralClustering(
        parts, affinity="precomputed", n_init=starts, random_state=seed, eigen_solver="arpack"
    )
    with warnings.catch_warnings():
        # each component then has an eigenvector of its own, as it should
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        return by_size(method.fit_predict(adjacency))


def counts(graph: Mapping[str, np.ndarray], seed: int) -> dict[str, dict[str, list[int]]]:
    """Communities that each free method finds in the data and in every null draw of a graph file.

    {"leiden" (at resolution 1) or "infomap": {"data": [n], "permuted": [n, ...], ...}}.
    """
    methods = {"leiden": leiden, "infomap": infomap}
    found: dict[str, dict[str, list[int]]] = {name: {} for name in methods}
    for kind in ("data", *NULLS):
        draws = [name for name in graph if name.split(".")[0] == kind and name[-2:] != ".r"]
        networks = [network(graph[name], graph[f"{name}.r"]) for name in sorted(draws)]
        for name, method in methods.items():
            found[name][kind] = [_count(method(drawn, seed)) for drawn in networks]
    return found


def _count(labels: np.ndarray) -> int:
    return int(labels.max()) + 1


def _igraph(graph: Network) -> igraph.Graph:
    return igraph.Graph(len(graph.nodes), graph.ends.tolist())


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """igraph draws from one generator of the whole process: ours for the time of one call."""
    igraph.set_random_number_generator(random.Random(seed))
    try:
        yield
    finally:
        igraph.set_random_number_generator(None)
