"""Cosines between the writing directions of features: how much they repeat each other, and whether
another training finds the same ones. NumPy and SciPy alone."""

import numpy as np
from scipy.optimize import linear_sum_assignment

Array = np.ndarray
SAME = 0.7  # cosine from which two features count as one (Paulo and Belrose 2025)
_BLOCK = 1 << 22  # cosines in memory


def unit(directions: Array) -> Array:
    """Directions (F, d) at length 1 in float64; a row of zeros stays one."""
    wide = directions.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(length > 0, length, 1)


def redundancy(decoder: Array) -> float | None:
    """Mean over the features (F, d) of the cosine with the nearest other one; None below two."""
    rows = unit(decoder)
    count = len(rows)
    if count < 2:
        return None
    step = max(1, _BLOCK // count)
    total = 0.0
    for first in range(0, count, step):
        cosines = rows[first : first + step] @ rows.T
        own = np.arange(len(cosines))
        cosines[own, first + own] = -np.inf
        total += float(cosines.max(axis=1).sum())
    return total / count


def matched_share(left: Array, right: Array) -> float:
    """Share of features (F, d) with one of another dictionary (F', d) for their own, at `SAME`.

    Matched one to one so that the sum of cosines is largest (Kuhn 1955); of the larger dictionary.
    """
    cosines = unit(left) @ unit(right).T
    found = cosines[linear_sum_assignment(cosines, maximize=True)]
    return float(np.count_nonzero(found >= SAME) / max(cosines.shape))
