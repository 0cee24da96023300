"""Leiden, Infomap and spectral clustering on graphs whose groups are known by hand."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT, SCRIPTS
from connectome import communities


def ring_of_cliques(cliques, members, bridge=0.1):
    """Cliques joined in a ring by one weak edge each; features are numbered in threes."""
    edges, r = [], []
    for c in range(cliques):
        first = c * members
        for i in range(members):
            edges += [(first + i, first + j) for j in range(i + 1, members)]
        r += [-0.9] * (members * (members - 1) // 2)
        if cliques > 1 and not (cliques == 2 and c == 1):
            edges.append(tuple(sorted((first, (first + members + 1) % (cliques * members)))))
            r.append(bridge)
    return communities.network(3 * np.array(edges), np.array(r))


METHODS = {
    "leiden": lambda graph, parts: communities.leiden(graph, seed=1),
    "leiden_at": lambda graph, parts: communities.leiden_at(graph, parts, seed=1)[0],
    "infomap": lambda graph, parts: communities.infomap(graph, seed=1),
    "spectral": lambda graph, parts: communities.spectral(graph, parts, starts=3, seed=1),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("cliques", "members"), [(2, 6), (5, 7)])
def test_cliques_are_communities(method, cliques, members):
    graph = ring_of_cliques(cliques, members)
    assert graph.nodes.tolist() == list(range(0, 3 * cliques * members, 3))
    found = METHODS[method](graph, cliques)
    assert found.tolist() == np.repeat(np.arange(cliques), members).tolist()


def test_the_weights_decide_not_the_edges_alone():
    i, j = np.triu_indices(12, 1)
    same = (i < 6) == (j < 6)
    graph = communities.network(np.stack([i, j], axis=1), np.where(same, 0.8, -0.1))
    for method in METHODS.values():
        assert method(graph, 2).tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize("parts", [1, 2, 4, 8, 16, 48])
def test_leiden_is_brought_to_the_number_of_parts_asked_for(parts):
    found, resolution = communities.leiden_at(ring_of_cliques(8, 6), parts, seed=1)
    assert abs(found.max() + 1 - parts) <= 0.05 * parts
    assert (resolution > 1) == (parts > 8)


def test_leiden_comes_as_near_as_the_graph_lets_it():
    pairs = np.arange(12).reshape(6, 2)  # six edges that do not touch
    graph = communities.network(pairs, np.full(6, 0.5))
    assert communities.leiden_at(graph, 2, seed=1)[0].max() + 1 == 6
    assert communities.leiden_at(graph, 10, seed=1)[0].max() + 1 in (6, 12)


def test_spectral_tells_components_apart_and_needs_no_more_parts_than_nodes():
    graph = communities.network(np.array([[0, 1], [1, 2], [0, 2], [5, 6], [7, 9]]), np.ones(5))
    assert graph.nodes.tolist() == [0, 1, 2, 5, 6, 7, 9]
    found = communities.spectral(graph, 3, starts=5, seed=1)
    assert found.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert communities.spectral(graph, 7, starts=1, seed=1).tolist() == list(range(7))
    assert communities.spectral(graph, 1, starts=1, seed=1).tolist() == [0] * 7


def neighbours_of_noise(features=150, samples=400, seed=0):
    """A graph file of independent features, as `graphs.build` makes it."""
    from connectome.graphs import Correlations, nearest_neighbours

    content = {}
    for name in ("data", "permuted.0", "permuted.1", "entries.0", "rolled.0"):
        seed += 1
        r = np.corrcoef(np.random.default_rng(seed).standard_normal((features, samples)))
        edges = nearest_neighbours(Correlations(r), 10)
        content |= {name: edges, f"{name}.r": r[edges[:, 0], edges[:, 1]]}
    return content


def labels_of_noise():
    content = neighbours_of_noise(60)
    graph = communities.network(content["data"], content["data.r"])
    return [method(graph, 6).tolist() for method in METHODS.values()]


def test_the_same_seed_gives_the_same_labels_in_every_process():
    code = "from test_communities import labels_of_noise; print(labels_of_noise())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{SCRIPTS}"},
    )
    assert done.stdout == f"{labels_of_noise()}\n"


def test_a_call_leaves_the_generators_of_the_process_alone():
    graph = ring_of_cliques(3, 5)
    random.seed(7)
    expected = random.random()
    random.seed(7)
    communities.leiden(graph, seed=1)
    communities.infomap(graph, seed=1)
    assert random.random() == expected


def test_leiden_finds_communities_in_noise_and_the_counts_say_so():
    found = communities.counts(neighbours_of_noise(), seed=1)
    assert set(found) == {"leiden", "infomap"}
    for draws in found.values():
        assert {name: len(each) for name, each in draws.items()} == {
            "data": 1, "permuted": 2, "entries": 1, "rolled": 1,
        }  # fmt: skip
    assert min(found["leiden"]["permuted"]) >= 4
