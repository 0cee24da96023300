"""Every feature above 0, at the price of the sum of all (Bricken et al. 2023)."""

from torch import Tensor

from connectome.dictionary_kinds.batchtopk import FIRST_BETA, learning_rate
from connectome.dictionary_settings import DictionarySettings
from connectome.dictionary_weights import Run, Weights

__all__ = ["ACTIVATION", "FIRST_BETA", "REVIVES", "THRESHOLD", "fire", "learning_rate", "places"]

ACTIVATION, THRESHOLD, REVIVES = "relu", None, False
RISE = 0.05  # share of the steps in which the price rises from 0


def places(h: Tensor, weights: Weights, run: Run, settings: DictionarySettings) -> Tensor:
    """Every entry above 0."""
    return (h > 0).flatten().nonzero().squeeze(1)


def fire(
    h: Tensor, columns: Tensor, weights: Weights, run: Run, settings: DictionarySettings
) -> tuple[Tensor, Tensor]:
    """As they are; each would be weighed by the length of its decoder row, and these are 1."""
    price = settings.sparsity * min(1.0, run.step / (RISE * settings.steps))
    return h, price * h.sum() / run.batch
