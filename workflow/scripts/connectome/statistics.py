"""Intervals over prompts (percentile bootstrap, paired, by group) and measures of ranking."""

import numpy as np
from scipy.stats import rankdata

Array = np.ndarray


def bootstrap_weights(groups: Array, draws: int, seed: int) -> Array:
    """Weights (draws, n) of the rows of a sample in each bootstrap draw; rows sum to 1.

    Groups (n,) of equal value are drawn together: prompts that share their clean text are one
    unit, not several. One matrix serves every statistic of a table, which pairs the draws over
    methods and resamples numerators and denominators together (Efron and Tibshirani 1993).
    A single group cannot be resampled: its weights are NaN, and so is every interval of them, where
    equal draws would give an interval without width.
    """
    _, member = np.unique(groups, return_inverse=True)
    count = int(member.max()) + 1 if len(member) else 0
    if count < 2:
        return np.full((draws, len(member)), np.nan)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws)  # (draws, groups)
    weights = drawn[:, member].astype(np.float64)  # (draws, n)
    return weights / weights.sum(axis=1, keepdims=True)


def interval(samples: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap samples (draws,); NaN samples are left out."""
    kept = samples[np.isfinite(samples)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mean_interval(values: Array, weights: Array) -> dict[str, float | None]:
    """Mean of values (n,) and its bootstrap interval: {"value", "lo", "hi"}; None: undefined."""
    found = (float(values.mean()), *interval(weights @ values))
    return {
        name: x if np.isfinite(x) else None
        for name, x in zip(("value", "lo", "hi"), found, strict=True)
    }


def permutation_p(observed: float, null: Array) -> float:
    """(1 + draws of the null at least as large as observed) / (1 + draws); never 0."""
    return float((1 + np.sum(null >= observed)) / (1 + len(null)))


def rank_auroc(scores: Array, positive: Array) -> float | None:
    """Share of (positive, negative) pairs that scores (n,) order rightly, ties one half.

    From mid-ranks (Mann and Whitney 1947); None where one of the two classes is empty.
    """
    p = int(positive.sum())
    q = len(positive) - p
    if not p or not q:
        return None
    return float((rankdata(scores)[positive].sum() - p * (p + 1) / 2) / (p * q))


def average_precision(scores: Array, positive: Array) -> float | None:
    """Mean precision over the positives from the best score down; equal scores enter together.

    Chance is the share of positives; None where there are none.
    """
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each tie
    gained = np.diff(hits[last], prepend=0)
    return float(np.sum(gained * hits[last] / (last + 1)) / positive.sum())
