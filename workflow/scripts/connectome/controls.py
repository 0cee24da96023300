"""Control partitions: other ways to group the features of a site, on the data the ROIs come from.

Each function of METHODS makes one from a Basis and says how it came about: a number of parts asked
of it stands as `wanted`. Any of them at another number of parts than the ROIs could look better or
worse for its granularity alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from connectome import communities
from connectome.labelling import DEAD, by_size, of_features
from connectome.moments import Found, correlations


@dataclass(frozen=True)
class Basis:
    """What the controls of one site are made from."""

    moments: Found  # of the features
    graph: communities.Network  # the graph of the block model
    dead: np.ndarray  # (d,) bool
    parts: int  # of the partition to match
    starts: int  # initialisations of k-means
    seed: int


Control = tuple[np.ndarray, dict[str, Any]]


def refusal(name: str, basis: Basis) -> str | None:
    """Why a site is too wide for a control; None where it is not."""
    live, widest = int((~basis.dead).sum()), basis.moments.widest
    if name != "kmeans" or live <= widest:
        return None
    return f"{live} live features; their correlation profiles fit up to {widest}"


def kmeans(basis: Basis) -> Control:
    """k-means of the live features on their correlation profiles (unit rows, diagonal 1).

    Without the diagonal the two members of a pair would have orthogonal profiles. Every live
    feature is grouped: the profiles know no threshold.
    """
    live = np.flatnonzero(~basis.dead)
    profiles = correlations(basis.moments, live)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    method = KMeans(basis.parts, n_init=basis.starts, random_state=basis.seed)
    labels = np.full(len(basis.dead), DEAD, dtype=np.int32)
    labels[live] = by_size(method.fit_predict(profiles))
    return labels, {"wanted": basis.parts}


def spectral(basis: Basis) -> Control:
    """Spectral clustering of the graph at the matched number of parts."""
    found = communities.spectral(basis.graph, basis.parts, basis.starts, basis.seed)
    return _on_features(found, basis), {"wanted": basis.parts}


def leiden(basis: Basis) -> Control:
    """Communities of largest modularity at the resolution nearest to the matched number."""
    found, resolution = communities.leiden_at(basis.graph, basis.parts, basis.seed)
    return _on_features(found, basis), {"wanted": basis.parts, "resolution": resolution}


def infomap(basis: Basis) -> Control:
    """Communities of the shortest code, as many as it finds."""
    return _on_features(communities.infomap(basis.graph, basis.seed), basis), {"wanted": None}


def _on_features(labels: np.ndarray, basis: Basis) -> np.ndarray:
    return of_features(labels, basis.graph.nodes, basis.dead)


METHODS: dict[str, Callable[[Basis], Control]] = {
    method.__name__: method for method in (kmeans, spectral, leiden, infomap)
}
