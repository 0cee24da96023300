"""The floor(k N) largest features of all N tokens together (Bussmann, Leask & Nanda 2024).

Afterwards every token is cut at one threshold: the least feature that fired, tracked in training.
"""

from torch import Tensor

from connectome import sparse_products
from connectome.dictionary_settings import DictionarySettings
from connectome.dictionary_weights import Run, Weights

ACTIVATION, THRESHOLD, REVIVES, FIRST_BETA = "jumprelu", "tracked", True, 0.9


def learning_rate(settings: DictionarySettings) -> float:
    """Inverse to the root of the number of features (Gao et al. 2024, figure 3)."""
    return 2e-4 * (2**14 / settings.features) ** 0.5


def places(h: Tensor, weights: Weights, run: Run, settings: DictionarySettings) -> Tensor:
    """The largest entries of the whole batch; the last cut says where to look for them."""
    found, cut = sparse_products.largest(h, settings.k * len(h), run.cut)
    run.cut = cut
    return found


def fire(
    h: Tensor, columns: Tensor, weights: Weights, run: Run, settings: DictionarySettings
) -> tuple[Tensor, Tensor]:
    """As they are: only entries above 0 are chosen."""
    return h, h.new_zeros(())
