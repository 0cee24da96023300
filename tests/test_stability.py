"""Stability of circuits: indices equal those of plain sets, noise gives chance, signal one."""

from itertools import combinations

import numpy as np
import pytest

from connectome import parts, stability
from connectome.scores import Scores
from connectome.statistics import bootstrap_weights

SETTINGS = {"stability_draws": 12, "stability_sizes": [0.1, 0.3]}
FEATURES = {"attn.0": 6, "mlp.0": 4, "attn.1": 6, "mlp.1": 4}
GRAPH = parts.heads(FEATURES, list(FEATURES), 2)
GROUPS = np.array([0, 0, 1, 2, 3, 4, 5, 5, 6, 7])


def scores_of(edges):
    """Scores per prompt from edge scores (n, readers, writers); nodes sum their out-edges."""
    edges = edges * GRAPH.exists
    return Scores(edges.sum(axis=1), edges)


def noise(seed=0, n=10):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *GRAPH.exists.shape))


def rows_of(found, groups=GROUPS):
    table = stability.table(found, {"heads": GRAPH}, groups, SETTINGS, seed=3)
    return {
        (row["method"], row["compared"], row["other"], row["of"], row["share"]): row
        for row in table.to_pylist()
    }


def test_indices_are_those_of_circuits_selected_one_by_one():
    scores = scores_of(noise())
    row = rows_of({("heads", "eap"): scores})["eap", "resamples", None, "edges", 0.3]
    reader, writer = GRAPH.edges
    size = round(0.3 * GRAPH.edge_count)
    assert (row["selected"], row["total"]) == (size, GRAPH.edge_count)
    circuits = []
    for weights in bootstrap_weights(GROUPS, 12, 3):
        mean = np.abs(np.einsum("n,nvu->vu", weights, scores.edges))[reader, writer]
        circuits.append(set(sorted(range(len(mean)), key=lambda e: (-mean[e], e))[:size]))
    indices = [len(a & b) / len(a | b) for a, b in combinations(circuits, 2)]
    assert row["jaccard"] == pytest.approx(np.mean(indices), rel=1e-6)
    assert row["lo"] == pytest.approx(np.quantile(indices, 0.025), rel=1e-6)
    assert row["hi"] == pytest.approx(np.quantile(indices, 0.975), rel=1e-6)


def test_what_every_prompt_agrees_on_comes_back_whole():
    same = np.repeat(noise(1, 1), 10, axis=0)
    found = rows_of({("heads", "eap"): scores_of(same), ("heads", "exact"): scores_of(same[:6])})
    assert {row["jaccard"] for row in found.values()} == {1.0}
    assert found["exact", "halves", None, "nodes", 0.1]["distinct"] == 5  # the first six pairs
    assert found["exact", "methods", "eap", "edges", 0.1]["all_prompts"] == 1.0


def test_two_methods_without_relation_share_as_much_as_chance():
    rng = np.random.default_rng(2)
    total, indices = 500, []
    for _ in range(40):
        orders = [np.argsort(rng.random((10, total)), axis=1) for _ in range(2)]
        picks = [stability.selections(order, round(0.2 * total)) for order in orders]
        indices.append(stability.jaccard(*picks).mean())
    assert np.mean(indices) == pytest.approx(stability.chance(100, total), abs=0.005)
    assert stability.chance(100, total) == pytest.approx(0.2 / 1.8)


def test_halves_share_no_prompt_and_prompts_of_one_text_stay_together():
    first, second = stability.half_weights(GROUPS, 50, 1)
    assert not ((first > 0) & (second > 0)).any()
    assert ((first > 0) | (second > 0)).all()
    np.testing.assert_allclose(first.sum(axis=1), 1)
    np.testing.assert_array_equal(first[:, 0], first[:, 1])
    assert len(np.unique(first > 0, axis=0)) > 20
    assert stability.half_weights(np.zeros(3, int), 2, 1)[0].tolist() == [[1 / 3] * 3] * 2


def test_equal_scores_are_taken_in_the_order_of_their_names():
    tied = np.array([[1.0, 2.0, 2.0, -2.0]])
    assert stability.orders(tied, np.ones((1, 1))).tolist() == [[1, 2, 3, 0]]


def test_resamples_overlap_more_than_halves_where_scores_are_noisy():
    found = rows_of({("heads", "eap"): scores_of(noise(4, 10))})
    key = (None, "edges", 0.3)
    assert found["eap", "resamples", *key]["jaccard"] > found["eap", "halves", *key]["jaccard"]


def test_partitions_without_edge_scores_have_nodes_alone():
    nodes = Scores(noise(5).sum(axis=1), None)
    assert {key[3] for key in rows_of({("heads", "eap"): nodes})} == {"nodes"}
