"""Overlap of the circuits of two models on one task, over parts that exist in both.

Circuits of equal size, the candidates of largest |score|, are compared by Jaccard index; beside it
what two random sets of that size share on average, exactly, and the chance of sharing as much. Rank
correlation is over all candidates. Candidates are nodes or edges by name: those of the first model
are renamed to their partners in the second.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import hypergeom, spearmanr


class Overlap(NamedTuple):
    """How much of two circuits of `selected` among `total` candidates is the same."""

    selected: int
    total: int
    shared: int
    jaccard: float
    chance: float
    p: float
    spearman: float | None


def expected_jaccard(selected: int, total: int) -> float:
    """Mean Jaccard index of two random sets of `selected` out of `total`; hypergeometric, exact."""
    shared = np.arange(selected + 1)
    p = hypergeom.pmf(shared, total, selected, selected)
    return float(np.sum(p * shared / (2 * selected - shared)))


def overlap(left: Mapping[str, float], right: Mapping[str, float], share: float) -> Overlap:
    """Overlap over the candidates that both score; at least one is selected.

    p: probability that two random sets share at least as many. Ties in |score| go by name.
    `spearman` is that of |score|, None where one side is constant or has fewer than three. Raises
    ValueError where no candidate is in both.
    """
    names = sorted(left.keys() & right.keys())
    if not names:
        raise ValueError("no candidate exists in both")
    size = max(1, round(share * len(names)))
    a, b = (np.abs([scores[name] for name in names]) for scores in (left, right))
    first, second = (set(np.argsort(-x, kind="stable")[:size].tolist()) for x in (a, b))
    shared = len(first & second)
    constant = len(names) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0
    return Overlap(
        size,
        len(names),
        shared,
        shared / (2 * size - shared),
        expected_jaccard(size, len(names)),
        float(hypergeom.sf(shared - 1, len(names), size, size)),
        None if constant else float(spearmanr(a, b).statistic),
    )


def renamed(scores: Mapping[str, float], partner: Mapping[str, str]) -> dict[str, float]:
    """Scores of nodes, or of edges `src->dst`, under the names of their partners.

    `input` and `logits` are their own partners; what has none is left out.
    """
    ends = {"input": "input", "logits": "logits", **partner}
    found = {}
    for name, score in scores.items():
        parts = name.split("->")
        if all(part in ends for part in parts):
            found["->".join(ends[part] for part in parts)] = score
    return found
