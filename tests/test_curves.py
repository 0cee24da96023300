"""Areas of curves on functions whose integrals are known."""

import numpy as np
import pytest

from connectome import curves
from connectome.faithfulness import Reference
from connectome.statistics import bootstrap_weights

K = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])


def test_a_perfect_circuit_at_every_size_has_areas_of_one_and_nothing_lost():
    assert curves.cpr(K, np.ones(10)) == pytest.approx(0.999)  # no point at 0
    assert curves.cmd(K, np.ones(10)) == 0
    assert curves.log_area(K, np.ones(10)) == pytest.approx(1)


def test_straight_lines_are_integrated_exactly():
    assert curves.cpr(K, K) == pytest.approx((1 - 0.001**2) / 2)
    assert curves.cmd(K, K) == pytest.approx(0.999 - (1 - 0.001**2) / 2)
    assert curves.log_area(K, np.log(K)) == pytest.approx((0 + np.log(0.001)) / 2)


def test_a_random_circuit_scores_a_quarter_and_three_quarters_on_the_published_sizes():
    """All of it is the last trapezoid (half of .5 to 1): said as `cpr_empty`."""
    nothing = np.append(np.zeros(9), 1.0)
    assert curves.cpr(K, nothing) == pytest.approx(0.25)
    assert curves.cmd(K, nothing) == pytest.approx(0.749)


def test_overshooting_raises_one_area_and_worsens_the_other():
    f = np.full(10, 1.5)
    assert curves.cpr(K, f) == pytest.approx(1.4985)
    assert curves.cmd(K, f) == pytest.approx(0.4995)


def summarise(f, g, sizes=(1, 5, 10, 50, 100), spread=0.0):
    """Summary of circuits that keep f, and complements that keep g, of gaps of about 2."""
    rng = np.random.default_rng(1)
    gap = 2 + spread * rng.standard_normal(40)
    reference = Reference(gap + 3, np.full(40, 3.0))
    kept, left = (3 + np.outer(shares, gap) for shares in (f, g))
    weights = bootstrap_weights(np.arange(40), 200, 1)
    return curves.summarise(np.array(sizes), 100, kept, left, reference, weights)


def test_a_summary_names_its_range_and_the_shares_at_small_sizes():
    record = summarise([0.1, 0.4, 0.6, 0.9, 1.0], [0.9, 0.5, 0.2, 0.1, 0.0])
    assert (record["points"], record["k_min"], record["k_max"]) == (5, 0.01, 1.0)
    assert (record["f_at_1"], record["f_at_5"]) == (pytest.approx(0.1), pytest.approx(0.4))
    assert record["f_at_2"] is None  # no circuit of about that size
    assert record["cpr_empty"] == pytest.approx(0.25)
    by_hand = 0.04 * 0.25 + 0.05 * 0.5 + 0.4 * 0.75 + 0.5 * 0.95
    assert record["cpr"] == pytest.approx(by_hand)
    assert record["leak"] == pytest.approx(0.04 * 0.7 + 0.05 * 0.35 + 0.4 * 0.15 + 0.5 * 0.05)


def test_sizes_need_no_order_and_may_coincide():
    """Two requests may end at the same pruned circuit."""
    ordered = summarise([0.1, 0.1, 0.6, 0.9, 1.0], np.zeros(5), (3, 3, 10, 50, 100))
    mixed = summarise([0.6, 0.1, 1.0, 0.9, 0.1], np.zeros(5), (10, 3, 100, 50, 3))
    assert ordered == mixed and ordered["k_min"] == 0.03


def test_intervals_of_areas_are_those_of_paired_ratios():
    """Every prompt keeps the same share: no interval, however much the gaps vary."""
    record = summarise([0.1, 0.4, 0.6, 0.9, 1.0], np.zeros(5), spread=0.7)
    for name in ("cpr", "cmd", "log_area"):
        assert record[f"{name}_lo"] == pytest.approx(record[name]) == record[f"{name}_hi"]


def test_without_a_gap_nothing_is_defined():
    same = np.ones((2, 5))
    reference = Reference(np.ones(5), np.ones(5))
    record = curves.summarise(np.array([1, 2]), 2, same, same, reference, np.full((3, 5), 0.2))
    assert [record[name] for name in ("cpr", "cpr_lo", "cmd", "log_area", "f_at_5")] == [None] * 5
