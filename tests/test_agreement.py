"""Agreement of labellings: hand-worked, against scikit-learn, and by chance."""

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import adjusted_mutual_info_score

from connectome import agreement


def labellings(seed, n=60, left=5, right=4):
    generator = np.random.default_rng(seed)
    return generator.integers(left, size=n), generator.integers(right, size=n)


def test_variation_of_information_by_hand():
    halves, quarters = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2, 3, 3])
    crossed = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    assert agreement.variation_of_information(halves, 5 - halves) == 0
    # knowing the quarter gives the half away; knowing the half leaves one of two quarters
    assert agreement.variation_of_information(halves, quarters) == pytest.approx(np.log(2))
    assert agreement.variation_of_information(halves, crossed) == pytest.approx(2 * np.log(2))
    assert agreement.variation_of_information(np.zeros(8), quarters) == pytest.approx(np.log(4))


def test_variation_of_information_is_a_metric():
    for seed in range(20):
        a, b = labellings(seed)
        c, _ = labellings(seed + 100)
        d = agreement.variation_of_information
        assert d(a, b) == pytest.approx(d(b, a)) and d(a, b) > 0
        assert d(a, c) <= d(a, b) + d(b, c) + 1e-12


def test_each_draw_of_the_null_is_the_agreement_with_a_permutation():
    left, right = labellings(0)
    null = agreement.permutation_null(left, right, draws=30, seed=4)
    shuffled = np.random.default_rng(4).permuted(np.tile(right, (30, 1)), axis=1)
    expected = [adjusted_mutual_info_score(left, other) for other in shuffled]
    np.testing.assert_allclose(null, expected, atol=1e-12)
    np.testing.assert_array_equal(null, agreement.permutation_null(left, right, 30, seed=4))


def test_labels_that_know_nothing_of_each_other_have_uniform_p():
    p = []
    for seed in range(200):
        left, right = labellings(seed)
        found = agreement.adjusted_mutual_information(left, right)
        null = agreement.permutation_null(left, right, draws=99, seed=seed)
        p.append((1 + np.sum(null >= found)) / 100)
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_labels_that_share_a_little_stand_out_from_their_null():
    left, right = labellings(3, n=200)
    right[:60] = left[:60] % 4
    found = agreement.adjusted_mutual_information(left, right)
    null = agreement.permutation_null(left, right, draws=199, seed=1)
    assert found > null.max() and abs(null.mean()) < 0.02
