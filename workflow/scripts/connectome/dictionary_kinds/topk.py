"""The k largest features of each token (Gao et al. 2024)."""

import torch
from torch import Tensor

from connectome.dictionaries import largest_of_rows
from connectome.dictionary_kinds.batchtopk import FIRST_BETA, REVIVES, fire, learning_rate
from connectome.dictionary_settings import DictionarySettings
from connectome.dictionary_weights import Run, Weights

__all__ = ["ACTIVATION", "FIRST_BETA", "REVIVES", "THRESHOLD", "fire", "learning_rate", "places"]

ACTIVATION, THRESHOLD = "topk", None


def places(h: Tensor, weights: Weights, run: Run, settings: DictionarySettings) -> Tensor:
    """The k largest entries of each row above 0; of equal ones at the cut the first."""
    count, features = h.shape
    k = settings.k
    values, columns = h.topk(min(k + 1, features), dim=1)
    if k < features and bool((values[:, k - 1] == values[:, k]).any()):  # which one is no chance
        return (largest_of_rows(h, k) & (h > 0)).flatten().nonzero().squeeze(1)
    flat = columns[:, :k] + features * torch.arange(count, device=h.device)[:, None]
    return flat[values[:, :k] > 0]
