"""Features above a threshold each, which is learnt (Rajamanoharan et al. 2024).

The price is on how far the mean number of features of a token is from the one wanted. A threshold
has gradients from entries within half a bandwidth of it alone (straight-through estimators).
"""

from typing import Any

import torch
from torch import Tensor

from connectome.dictionary_settings import DictionarySettings
from connectome.dictionary_weights import Run, Weights

ACTIVATION, THRESHOLD, REVIVES, FIRST_BETA = "jumprelu", "learnt", False, 0.0
BANDWIDTH = 0.03  # of inputs of mean square length 1; results hardly depend on it
RATE, REACH = 7e-5, 3.0


def learning_rate(settings: DictionarySettings) -> float:
    """The published rate (Rajamanoharan et al. 2024), or more where the training is short.

    Adam moves a threshold by no more than the rate in a step, and it has a way to go.
    """
    return max(RATE, REACH / settings.steps)


def places(h: Tensor, weights: Weights, run: Run, settings: DictionarySettings) -> Tensor:
    """Entries above the threshold, and those that would be if it were lower by half a bandwidth."""
    assert weights.threshold is not None
    return (h > weights.threshold - BANDWIDTH / 2).flatten().nonzero().squeeze(1)


def fire(
    h: Tensor, columns: Tensor, weights: Weights, run: Run, settings: DictionarySettings
) -> tuple[Tensor, Tensor]:
    """0 up to the threshold, and h above."""
    assert weights.threshold is not None
    features, above = Jump.apply(h, weights.threshold.index_select(0, columns))
    per_token = above.sum() / run.batch
    return features, settings.sparsity * (per_token / settings.k - 1).square()


class Jump(torch.autograd.Function):
    """max(h, 0) [h > threshold] and [h > threshold], both (n,), with pseudo-gradients."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(h, threshold)
        above = (h > threshold).to(h.dtype)
        return h.relu() * above, above

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        h, threshold = ctx.saved_tensors
        of_features, of_above = gradients
        above = (h > threshold).to(h.dtype)
        window = ((h - threshold).abs() < BANDWIDTH / 2).to(h.dtype) / BANDWIDTH
        return of_features * above, -window * (threshold * of_features + of_above)
