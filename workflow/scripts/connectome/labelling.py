"""Labels of features: parts 0..B-1, the two marks below 0, numbering and sizes.

NumPy alone, since graph-tool's interpreter loads this module too.
"""

from typing import Any

import numpy as np

UNGROUPED, DEAD = -1, -2  # live but in no part; without activity


def by_size(labels: np.ndarray) -> np.ndarray:
    """Parts renumbered from 0 by decreasing size, ties by smallest member, int32."""
    _, first, inverse, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(sizes), dtype=np.int32)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[inverse]


def of_features(labels: np.ndarray, nodes: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """Labels of the nodes (features of these numbers) as labels (d,) int32 of all features.

    `dead` (d,) bool; features that are neither nodes nor dead are UNGROUPED.
    """
    result = np.where(dead, DEAD, UNGROUPED).astype(np.int32)
    result[nodes] = labels
    return result


def size_statistics(labels: np.ndarray) -> dict[str, Any]:
    """Blocks, effective number exp(entropy), largest share and Gini index of the sizes."""
    sizes = np.sort(np.bincount(labels[labels >= 0]))
    result: dict[str, Any] = {
        "blocks": len(sizes),
        "grouped": int(sizes.sum()),
        "ungrouped": int((labels == UNGROUPED).sum()),
        "dead": int((labels == DEAD).sum()),
    }
    if len(sizes) == 0:
        return result | {"effective_blocks": None, "largest_share": None, "gini": None}
    share = sizes / sizes.sum()
    rank = np.arange(1, len(sizes) + 1)
    return result | {
        "effective_blocks": float(np.exp(-np.sum(share * np.log(share)))),
        "largest_share": float(share[-1]),
        "gini": float((2 * np.sum(rank * share) - len(sizes) - 1) / len(sizes)),
    }
