"""Intervals cover what they should; competence is judged on both prompts and the gap."""

import numpy as np
import pytest
from scipy.stats import binomtest

from connectome import competence
from connectome.statistics import bootstrap_weights, interval, mean_interval, permutation_p


def test_bootstrap_interval_covers_the_mean():
    rng = np.random.default_rng(5)
    hits = 0
    for trial in range(500):
        values = rng.exponential(size=60)
        low, high = interval(bootstrap_weights(np.arange(60), 400, trial) @ values)
        hits += low <= 1.0 <= high
    assert 0.90 <= hits / 500 <= 0.98  # nominal .95; the percentile bootstrap runs a little short


def test_prompts_that_share_their_text_are_drawn_together():
    groups = np.array([0, 0, 0, 1, 2])
    weights = bootstrap_weights(groups, 300, 1)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    values = np.array([1.0, 1, 1, 0, 0])
    narrow = np.std(bootstrap_weights(np.arange(5), 4000, 1) @ values)
    assert np.std(weights @ values) > 1.2 * narrow


def test_mean_interval_of_a_constant_is_a_point():
    weights = bootstrap_weights(np.arange(4), 50, 1)
    assert mean_interval(np.full(4, 2.0), weights) == {"value": 2.0, "lo": 2.0, "hi": 2.0}


def test_permutation_p_is_never_zero():
    assert permutation_p(9.0, np.zeros(20)) == 1 / 21
    assert permutation_p(0.0, np.zeros(20)) == 1.0


@pytest.mark.parametrize(("right", "total"), [(0, 10), (7, 10), (10, 10), (190, 200)])
def test_wilson_interval_equals_scipys(right, total):
    correct = np.arange(total) < right
    ours = competence.proportion_interval(correct, np.arange(total))
    theirs = binomtest(right, total).proportion_ci(method="wilson")
    assert ours["lo"] == pytest.approx(theirs.low, abs=1e-12)
    assert ours["hi"] == pytest.approx(theirs.high, abs=1e-12)


def outcomes(**changes):
    n = 40
    values = {
        "correct_clean": np.ones(n, bool),
        "correct_corrupted": np.ones(n, bool),
        "metric_clean": np.linspace(1, 3, n),
        "metric_corrupted": -np.linspace(1, 3, n),
        "chance_clean": np.full(n, 0.5),
        "chance_corrupted": np.full(n, 0.5),
        "groups": np.arange(n),
    }
    return competence.Outcomes(**{**values, **changes})


def test_a_task_done_on_both_prompts_counts():
    record = competence.measure(outcomes(), 200, 1)
    assert competence.verdict(record) is None
    assert record["gap"]["value"] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"correct_clean": np.arange(40) % 2 == 0}, "accuracy on clean prompts 0.50"),
        ({"correct_corrupted": np.zeros(40, bool)}, "accuracy on corrupted prompts 0.00"),
        ({"metric_corrupted": np.linspace(1, 3, 40)}, "the gap between clean and corrupted"),
    ],
)
def test_a_shortcut_does_not_count(changes, said):
    """Accuracy 1.00 on clean prompts with no gap is a task the model cannot do."""
    assert said in competence.verdict(competence.measure(outcomes(**changes), 200, 1))
