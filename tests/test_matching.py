"""Matching of partitions: against all permutations, hand-worked sets, scikit-learn, and chance."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import adjusted_mutual_info_score

from connectome import comparison, matching, profile_matching
from connectome.circuit_overlap import expected_jaccard, overlap, renamed
from connectome.errors import DataError

LEFT = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, -1, -2])
RIGHT = np.array([1, 1, 1, 0, 0, 0, 0, 2, -1, 2, -2])


def test_jaccard_indices_are_those_of_the_sets():
    """By hand: {0,1,2,3} and {3,4,5,6} share 1 of 7; {0..3} and {0,1,2} 3 of 4; and so on."""
    expected = [[1 / 7, 3 / 4, 0], [3 / 4, 0, 0], [0, 0, 1 / 3]]
    assert matching.jaccards(LEFT, RIGHT) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_the_assignment_is_the_best_of_all_permutations(shape):
    rng = np.random.default_rng(3)
    for _ in range(20):
        strength = rng.random(shape)
        rows, columns = matching.assign(strength)
        a = strength if shape[0] <= shape[1] else strength.T
        best = max(
            sum(a[i, j] for i, j in enumerate(chosen))
            for chosen in permutations(range(a.shape[1]), a.shape[0])
        )
        assert strength[rows, columns].sum() == pytest.approx(best)
        assert len(set(rows)) == len(set(columns)) == min(shape)


def test_parts_of_the_same_features_are_matched_whatever_their_numbers():
    found = matching.match_labels(LEFT, RIGHT, 99, 1)
    assert list(zip(found.left, found.right, strict=True)) == [(0, 1), (1, 0), (2, 2)]
    assert found.strength == pytest.approx([3 / 4, 3 / 4, 1 / 3])
    assert found.mean == pytest.approx(11 / 18)


def test_ami_of_two_models_is_that_of_scikit_learn_over_what_both_group():
    rng = np.random.default_rng(5)
    left, right = rng.integers(-1, 5, 200), rng.integers(-1, 4, 200)
    both = (left >= 0) & (right >= 0)
    ami, null = matching.agreement(left, right, 50, 1)
    assert ami == pytest.approx(adjusted_mutual_info_score(left[both], right[both]))
    assert len(null) == 50 and abs(null.mean()) < 0.02


def test_equal_partitions_reach_the_smallest_p_and_random_ones_do_not():
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 6, 120)
    same = matching.match_labels(labels, rng.permutation(6)[labels], 99, 1)
    assert same.strength == pytest.approx(np.ones(6)) and same.p_mean == pytest.approx(0.01)
    p = [
        matching.match_labels(rng.integers(0, 6, 120), rng.integers(0, 6, 120), 99, i).p_mean
        for i in range(60)
    ]
    assert kstest(p, "uniform").pvalue > 0.01


def test_fates_of_parts_worked_by_hand():
    """0 stays, 1 and 2 merge, 3 splits in two, 4 scatters; one later part gathers from many."""
    left = np.repeat([0, 1, 2, 3, 4], [6, 3, 3, 8, 6])
    right = np.concatenate(
        [[0] * 6, [1] * 6, [2] * 4, [3] * 4, [0, 1, 4, 4, 2, 3]],
    )
    assert matching.fates(left, right) == (1, 2, 1, 1, 0)
    gathered = np.array([0, 0, 2, 1, 1, 2])
    assert matching.fates(np.array([0, 0, 0, 1, 1, 1]), gathered) == (2, 0, 0, 0, 1)
    assert matching.fates(LEFT, LEFT) == (3, 0, 0, 0, 0)


def test_modularity_is_that_of_two_cliques_and_permuted_labels_have_none():
    """Two triangles joined by an edge: Q = 6/7 - 2 (7/14)^2 (Newman 2004)."""
    edges = np.array([[0, 1], [0, 2], [1, 2], [3, 4], [3, 5], [4, 5], [2, 3]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert matching.modularity(edges, labels) == pytest.approx(6 / 7 - 0.5)
    igraph = pytest.importorskip("igraph")
    graph = igraph.Graph(6, edges.tolist())
    for other in ([0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2]):
        assert matching.modularity(edges, np.array(other)) == pytest.approx(graph.modularity(other))
    assert matching.modularity(edges, np.full(6, -1)) is None
    assert matching.modularity_null(edges, labels, 200, 1).mean() < 0.05


# -- by what ROIs do on the same tokens ---------------------------------------------------------

GROUPS = np.repeat([0, 1, 2, -1], 5)


def activity(seed, order=None, turn=None, groups=3, tokens=600):
    """Features (tokens, 20) of three groups that each follow a signal of their own."""
    rng = np.random.default_rng(seed)
    signals = np.random.default_rng(11).standard_normal((tokens, groups))
    values = rng.standard_normal((tokens, len(GROUPS)))
    for group in range(groups):
        values[:, group == GROUPS] += 2 * signals[:, group, None]
    values = values if turn is None else values * turn
    return values if order is None else values[:, order]


def recorded(values, labels, shift=0):
    tokens = len(next(iter(values.values())))
    keys = {"document": np.arange(tokens) // 20, "position": np.arange(tokens) % 20}
    keys["token"] = (np.arange(tokens) + shift) % 7
    readers = {site: (lambda site=site: values[site]) for site in values}
    return comparison.Recorded(readers, {"rois": labels}, keys)


SETTINGS = {"partitions": ["rois"], "draws": 60}


def test_a_permuted_and_turned_copy_of_a_model_is_matched_completely():
    rng = np.random.default_rng(2)
    order, turn = rng.permutation(20), rng.choice([-1.0, 1.0], 20)
    left = recorded({"mlp.0": activity(1)}, {"mlp.0": GROUPS})
    renumbered = np.array([2, 0, 1, -1])[GROUPS][order]
    copy = recorded({"mlp.4": activity(1, order, turn)}, {"mlp.4": renumbered})
    rows, pairs = comparison.compare(left, copy, SETTINGS, False, 1)
    assert [row["route"] for row in rows] == ["profiles"]
    assert {(p["part_left"], p["part_right"]) for p in pairs} == {(0, 2), (1, 0), (2, 1)}
    assert [pair["strength"] for pair in pairs] == pytest.approx([1, 1, 1])
    assert rows[0]["p_permuted"] == rows[0]["p_rolled"] == pytest.approx(1 / 61)
    assert rows[0]["permuted"] < 0.9 and rows[0]["rolled"] < 0.3


def test_a_profile_correlation_is_that_of_the_signed_means_of_z_scores():
    values, others = activity(1), activity(2)
    side = profile_matching.side({"mlp.0": lambda: values}, {"mlp.0": GROUPS})
    found = profile_matching.match_profiles(
        side, {"mlp.0": lambda: others}, {"mlp.0": GROUPS}, 5, 1
    )
    for part in range(3):
        a, b = (
            ((x - x.mean(0)) / x.std(0))[:, part == GROUPS].mean(axis=1) for x in (values, others)
        )
        assert abs(found.correlation[part, part]) == pytest.approx(abs(np.corrcoef(a, b)[0, 1]))


def test_groups_that_mean_nothing_are_not_matched_beyond_permuted_labels():
    """One signal in all features: every grouping correlates, none better than another."""
    p = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        signal = rng.standard_normal((200, 1))
        sides = [
            recorded({"mlp.0": signal + rng.standard_normal((200, 20))}, {"mlp.0": labels})
            for labels in (rng.permutation(GROUPS), rng.permutation(GROUPS))
        ]
        rows, _ = comparison.compare(*sides, SETTINGS | {"draws": 19}, False, seed)
        assert rows[0]["strength"] > 0.5 and rows[0]["p_rolled"] == pytest.approx(1 / 20)
        p.append(rows[0]["p_permuted"])
    assert kstest(p, "uniform").pvalue > 0.01


def test_other_tokens_are_refused_with_the_first_row_that_differs():
    left = recorded({"mlp.0": activity(1)}, {"mlp.0": GROUPS})
    right = recorded({"mlp.0": activity(2)}, {"mlp.0": GROUPS}, shift=1)
    rows, pairs = comparison.compare(left, right, SETTINGS, False, 1)
    assert pairs == [] and rows[0]["status"] == "refused"
    assert "row 0 has token 0 in one and 1 in the other" in rows[0]["reason"]
    assert "2 and 3 tokens" in profile_matching.same_tokens(
        *({name: np.zeros(n) for name in ("document", "position", "token")} for n in (2, 3))
    )


def test_checkpoints_share_their_neurons_but_not_the_directions_of_their_heads():
    values = {"attn.0": activity(1), "mlp.0": activity(2)}
    labels = {"attn.0": GROUPS, "mlp.0": GROUPS}
    rows, pairs = comparison.compare(
        recorded(values, labels), recorded(values, labels), SETTINGS, True, 1
    )
    attention, neurons, profiles = rows
    assert attention["status"] == "refused" and "found anew" in attention["reason"]
    assert neurons["ami"] == pytest.approx(1) and neurons["kept"] == 3
    assert neurons["strength"] == pytest.approx(1) and neurons["features"] == 15
    assert profiles["pairs"] == 6  # of both sites
    assert sum(pair["route"] == "features" for pair in pairs) == 3


def test_a_model_without_rois_is_a_row_with_its_reason():
    whole = {"mlp.0": np.zeros(20, dtype=int)}
    rows, _ = comparison.compare(
        recorded({"mlp.0": activity(1)}, whole),
        recorded({"mlp.0": activity(1)}, {"mlp.0": GROUPS}),
        SETTINGS, True, 1,
    )  # fmt: skip
    assert [row["status"] for row in rows] == ["refused", "refused"]
    assert "one model has 1 part here" in rows[0]["reason"]
    side = profile_matching.side({"mlp.0": lambda: activity(1)}, whole)
    with pytest.raises(DataError, match="no ROI"):
        profile_matching.match_profiles(side, {}, {}, 2, 1)


# -- circuits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("selected", "total"), [(1, 5), (3, 10), (8, 12), (10, 10)])
def test_the_expected_overlap_is_that_of_many_random_circuits(selected, total):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(20_000):
        a = set(rng.permutation(total)[:selected].tolist())
        shared = len(a & set(range(selected)))
        found.append(shared / (2 * selected - shared))
    assert expected_jaccard(selected, total) == pytest.approx(np.mean(found), abs=0.005)


def test_overlap_of_two_circuits_worked_by_hand():
    left = {"a": 5.0, "b": -4.0, "c": 0.1, "d": 0.0, "only": 9.0}
    right = {"a": 1.0, "b": 0.2, "c": -3.0, "d": 0.0}
    found = overlap(left, right, 0.5)
    assert found[:4] == (2, 4, 1, pytest.approx(1 / 3))
    assert found.p == pytest.approx(5 / 6)  # of 6 pairs of 4, one shares nothing with the other
    assert found.spearman == pytest.approx(0.4)  # ranks 4 3 2 1 and 3 2 4 1
    with pytest.raises(ValueError, match="no candidate"):
        overlap({"a": 1.0}, {"b": 1.0}, 0.5)


def test_edges_take_the_names_of_the_partners_of_both_ends():
    edges = {"input->m0.r1": 1.0, "m0.r1->m1.r0": 2.0, "m0.r2->logits": 3.0}
    found = renamed(edges, {"m0.r1": "m0.r7", "m1.r0": "m2.r3"})
    assert found == {"input->m0.r7": 1.0, "m0.r7->m2.r3": 2.0}
