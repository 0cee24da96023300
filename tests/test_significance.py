"""Tests of circuits: p values by hand, uniform under their nulls, corrected as families."""

import numpy as np
import pytest
from scipy.stats import binom, kstest
from sklearn.metrics import average_precision_score, roc_auc_score

from connectome import significance
from connectome.curves import SUMMARIES
from connectome.faithfulness import MEASURES
from connectome.statistics import (
    average_precision,
    bootstrap_weights,
    interval,
    permutation_p,
    rank_auroc,
)
from connectome.tabulate import agreement, faithfulness, verdicts


def test_permutation_p_is_uniform_under_its_null():
    rng = np.random.default_rng(1)
    found = [permutation_p(*split(rng.standard_normal(1000))) for _ in range(400)]
    assert kstest(found, "uniform").pvalue > 0.01
    shifted = [permutation_p(*split(rng.standard_normal(1000), 1.0)) for _ in range(400)]
    assert kstest(shifted, "uniform").pvalue < 1e-6


def split(values, shift=0.0):
    return values[0] + shift, values[1:]


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_binomial_tests_refuse_a_true_null_no_more_often_than_they_say(level):
    """At the edge of each null, where the test is weakest; exact, over all counts."""
    n, counts = 150, np.arange(151)
    wins = np.array([significance.fraction_p(k, n) for k in counts])
    assert binom.pmf(counts[wins <= level], n, 0.9).sum() <= level + 1e-12
    differ = np.array([significance.difference_p(k, n) for k in counts])
    assert binom.pmf(counts[differ <= level], n, 0.6).sum() <= level + 1e-12
    same = np.array([significance.equivalence_p(k, n) for k in counts])
    for edge in (0.4, 0.6):
        assert binom.pmf(counts[same <= level], n, edge).sum() <= level + 1e-12


def test_beating_all_of_twenty_random_circuits_does_not_show_a_fraction_of_nine_tenths():
    assert significance.fraction_p(20, 20) == pytest.approx(0.9**20)  # .12
    assert significance.fraction_p(29, 29) < 0.05 < significance.fraction_p(28, 28)
    assert significance.fraction_p(1, 2) == pytest.approx(1 - 0.1**2)
    assert significance.fraction_p(0, 2) == 1.0


def test_equivalence_by_hand():
    """Four prompts: P[Bin(4, .6) <= 2] = .5248 and P[Bin(4, .4) >= 2] = .5248."""
    assert significance.equivalence_p(2, 4) == pytest.approx(0.5248)
    assert significance.equivalence_p(4, 4) == pytest.approx(1.0)
    assert significance.equivalence_p(2.5, 4) == pytest.approx(1 - 0.6**4)  # as 3, the worse end
    assert significance.difference_p(2, 4) == 1.0
    assert significance.difference_p(4, 4) == pytest.approx(0.6**4 + 0.4**4)
    assert significance.equivalence_p(200, 400) < 0.001 < significance.difference_p(200, 400)
    assert significance.difference_p(400, 400) < 1e-6 < significance.equivalence_p(400, 400)


def test_prompts_of_one_text_count_once_and_ties_one_half():
    circuit = np.array([2.0, 0.0, 1.0, 1.0, 1.0 + 1e-9])
    model = np.ones(5)
    groups = np.array([0, 0, 0, 1, 2])  # one above, one below, one tie; a tie; a tie by rounding
    assert significance.prompts_above(circuit, model, groups, 1e-6) == (1.5, 3)
    assert significance.prompts_above(circuit, model, groups) == (2.0, 3)


def test_a_family_is_corrected_as_by_hand_and_gaps_stay_gaps():
    found = significance.adjusted([0.01, None, 0.04, 0.03])
    assert found == [pytest.approx(0.03), None, pytest.approx(0.04), pytest.approx(0.04)]
    assert significance.adjusted([None, None]) == [None, None]
    assert significance.adjusted([]) == []


def test_how_many_tests_at_the_floor_it_takes():
    """27 tests, 20 draws: 25 at 1/21 do not do, 26 do (26 of 27: 27/26/21 = .0494)."""
    assert significance.needed_at_floor(27, 1 / 21) == 26
    for count, small in ((25, False), (26, True)):
        p = [1 / 21] * count + [1.0] * (27 - count)
        assert (significance.adjusted(p)[0] <= 0.05) is small
    assert significance.needed_at_floor(27, 1 / 10) > 27


def test_rank_auroc_is_the_count_over_all_pairs_ties_included():
    rng = np.random.default_rng(2)
    for _ in range(20):
        scores = rng.integers(0, 6, 30).astype(float)
        positive = rng.random(30) < 0.3
        high, low = scores[positive], scores[~positive]
        pairs = (high[:, None] > low[None]) + 0.5 * (high[:, None] == low[None])
        assert rank_auroc(scores, positive) == pytest.approx(pairs.mean())
        assert rank_auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert rank_auroc(np.ones(4), np.ones(4, bool)) is None


def test_average_precision_equals_scikit_learns():
    rng = np.random.default_rng(3)
    for _ in range(20):
        scores = rng.integers(0, 6, 30).astype(float)
        positive = rng.random(30) < 0.3
        expected = average_precision_score(positive, scores)
        assert average_precision(scores, positive) == pytest.approx(expected)
    assert average_precision(np.ones(4), np.zeros(4, bool)) is None
    assert average_precision(np.ones(4), np.array([1, 0, 0, 0], bool)) == 0.25


def test_the_interval_of_a_ratio_of_means_covers_it():
    """500 synthetic data sets: numerator and denominator vary together over prompts."""
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(500):
        gap = rng.gamma(4.0, 2.0, 80)
        kept = gap * rng.normal(0.7, 0.2, 80) + rng.normal(0, 0.5, 80)
        weights = bootstrap_weights(np.arange(80), 400, trial)
        low, high = interval((weights @ kept) / (weights @ gap))
        hits += low <= 0.7 <= high
    assert 0.92 <= hits / 500 <= 0.98


def evaluated(task, p, competent=True, mode="circuit", partition="heads", **others):
    row = dict.fromkeys((*faithfulness.NAMES, *MEASURES))
    return row | {
        "model": "m", "dictionary": "d", "task": task, "competent": competent, "mode": mode,
        "partition": partition, "method": "eap", "intervention": "edge", "k": 0.1, "p": p,
        "p_fraction": p, "f_ratio": 0.5, "null_median": 0.1, "draws": 20, "null_pairs": 100,
    } | others  # fmt: skip


def corrected(rows):
    names = ("model", "dictionary", "task")
    able = {(row["model"], row["task"]): row["competent"] for row in rows}
    return faithfulness.rows([({n: row[n] for n in names}, [row]) for row in rows], able)


def test_sufficiency_and_necessity_are_families_of_their_own_without_tasks_nobody_can_do():
    rows = [evaluated("a", 0.01), evaluated("b", 0.04), evaluated("c", 0.02, competent=False)]
    rows.append(evaluated("a", 0.03, mode="complement"))
    found = corrected(rows)
    assert [row["p_adj"] for row in found] == [
        pytest.approx(0.02), pytest.approx(0.04), None, pytest.approx(0.03),
    ]  # fmt: skip


def test_the_table_of_tests_says_when_no_p_can_become_significant():
    """Twelve tests, eleven at the floor of 1/21: twelve would be needed."""
    rows = [evaluated(f"t{i}", 1 / 21) for i in range(11)] + [evaluated("last", 0.5)]
    family, single = verdicts.test_rows(corrected(rows))
    assert (family["partition"], single["partition"]) == ("all", "heads")
    assert (family["tests"], family["below"], family["below_adj"]) == (12, 11, 0)
    assert (family["at_floor"], family["needed"]) == (11, 12)
    assert family["p_adj_smallest"] == pytest.approx(12 / 11 / 21)
    few = verdicts.test_rows(corrected([evaluated("a", 0.1, draws=9)]))[0]
    assert few["needed"] > few["tests"]  # no circuit could pass with nine draws


def test_medians_over_tasks_leave_out_those_the_model_cannot_do():
    def curve(task, cpr, competent):
        names = {"model": "m", "dictionary": "d", "task": task}
        row = dict.fromkeys(SUMMARIES) | {"partition": "heads", "method": "eap", "cpr": cpr}
        row |= {"points": 9, "k_min": 0.01, "k_max": 1.0, "pairs": 5, "cpr_empty": 0.125}
        return (names, [row]), ((names["model"], task), competent)

    curves, able = zip(
        curve("a", 0.2, True), curve("b", 0.6, True), curve("c", 9.0, False), strict=True
    )
    *rows, over_all = verdicts.summary_rows(curves, dict(able))
    assert len(rows) == 3 and over_all["task"] == "all"
    assert [over_all[name] for name in ("cpr", "cpr_lo", "cpr_hi")] == [0.4, 0.2, 0.6]
    assert over_all["cmd"] is None


def test_exact_effects_above_a_hundredth_of_the_gap_are_to_be_found():
    edges = [
        {"partition": "heads", "method": method, "src": src, "dst": "logits", "slot": ""}
        | {"score": score}
        for method, scores in (("eap", (0.5, -3.0, 0.1)), ("exact", (0.0, -0.2, 0.05)))
        for src, score in zip("abc", scores, strict=True)
    ]
    names = {"model": "m", "dictionary": "d", "task": "t"}
    (row,) = agreement.rows([(names, edges)], {("m", "d", "t"): -10.0})
    assert (row["gap"], row["positive"]) == (10.0, 1)  # effects above 0.1
    assert (row["auroc"], row["average_precision"]) == (1.0, 1.0)
