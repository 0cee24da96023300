"""As batchtopk, with an error for each of several prefixes of the features (Bussmann et al. 2025).

The features of a prefix must explain the target without those behind it, so that general ones come
first and are not split up. The prefixes are `widths` of the settings.
"""

from connectome.dictionary_kinds.batchtopk import (
    ACTIVATION,
    FIRST_BETA,
    REVIVES,
    THRESHOLD,
    fire,
    learning_rate,
    places,
)

__all__ = ["ACTIVATION", "FIRST_BETA", "REVIVES", "THRESHOLD", "fire", "learning_rate", "places"]
