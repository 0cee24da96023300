"""Metrics against numbers worked by hand, and their gradients against autograd."""

import math

import pytest
import torch

from connectome import metrics
from connectome.errors import ConfigError
from connectome.prompts import padded

LN2, LN3 = math.log(2), math.log(3)
# softmax of the first row: 1/8, 2/8, 3/8, 2/8; of the second: 4/8, 2/8, 1/8, 1/8
LOGITS = torch.tensor([[0.0, LN2, LN3, LN2], [2 * LN2, LN2, 0.0, 0.0]]).double()
RIGHT = padded([[1, 2], [3]])  # unequal lists
WRONG = padded([[0], [1, 2]])


def test_logit_difference_averages_each_list():
    found = metrics.logit_difference(LOGITS, RIGHT, WRONG)
    assert found.tolist() == pytest.approx([(LN2 + LN3) / 2, -LN2 / 2])


def test_probability_difference_sums_each_list():
    found = metrics.probability_difference(LOGITS, RIGHT, WRONG)
    assert found.tolist() == pytest.approx([5 / 8 - 1 / 8, 1 / 8 - 3 / 8])


def test_accuracies():
    assert metrics.accuracy(LOGITS, RIGHT).tolist() == [True, False]
    assert metrics.choice_accuracy(LOGITS, RIGHT, WRONG).tolist() == [True, False]
    draw = padded([[1], [2]]), padded([[3], [3]])
    assert metrics.choice_accuracy(LOGITS, *draw).tolist() == [False, False]


def test_distances_from_the_reference():
    """Reference 1/8 2/8 3/8 2/8, circuit 4/8 2/8 1/8 1/8; the divergence is KL(reference || .)."""
    reference, circuit = LOGITS[:1], LOGITS[1:]
    expected = math.log(1 / 4) / 8 + 3 / 8 * math.log(3) + math.log(2) / 4
    assert metrics.kl_divergence(circuit, reference).item() == pytest.approx(expected)
    assert metrics.statistical_distance(circuit, reference).item() == pytest.approx(3 / 8)
    assert metrics.kl_divergence(reference + 7, reference).item() == pytest.approx(0)


def test_circuits_are_an_axis_in_front():
    stacked = torch.stack([LOGITS, LOGITS + 1, -LOGITS])
    for name in ("logit_difference", "probability_difference", "choice_accuracy"):
        f = getattr(metrics, name)
        found = f(stacked, RIGHT, WRONG)
        assert found.shape == (3, 2) and torch.equal(found[0], f(LOGITS, RIGHT, WRONG))
        torch.testing.assert_close(found[1], found[0])
    assert metrics.accuracy(stacked, RIGHT).shape == (3, 2)
    assert metrics.kl_divergence(stacked, LOGITS).shape == (3, 2)


@pytest.mark.parametrize("name", ["logit_difference", "probability_difference"])
def test_gradients_are_those_of_autograd(name):
    logits = LOGITS.clone().requires_grad_()
    metrics.metric(name)(logits, RIGHT, WRONG).sum().backward()
    torch.testing.assert_close(metrics.gradient(name)(LOGITS, RIGHT, WRONG), logits.grad)


@pytest.mark.parametrize("name", ["accuracy", "kl", "torch"])
def test_unknown_metrics_are_refused(name):
    with pytest.raises(ConfigError, match="known: logit_difference, probability_difference"):
        metrics.metric(name)
