"""Intervals over prompts: percentile bootstrap, paired, by group."""

import numpy as np

Array = np.ndarray


def bootstrap_weights(groups: Array, draws: int, seed: int) -> Array:
    """Weights (draws, n) of the rows of a sample in each bootstrap draw; rows sum to 1.

    Groups (n,) of equal value are drawn together: prompts that share their clean text are one
    unit, not several. One matrix serves every statistic of a table, which pairs the draws over
    methods and resamples numerators and denominators together (Efron and Tibshirani 1993).
    """
    _, member = np.unique(groups, return_inverse=True)
    count = int(member.max()) + 1 if len(member) else 0
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


def mean_interval(values: Array, weights: Array) -> dict[str, float]:
    """Mean of values (n,) with its bootstrap interval: {"value", "lo", "hi"}."""
    low, high = interval(weights @ values)
    return {"value": float(values.mean()), "lo": low, "hi": high}


def permutation_p(observed: float, null: Array) -> float:
    """(1 + draws of the null at least as large as observed) / (1 + draws); never 0."""
    return float((1 + np.sum(null >= observed)) / (1 + len(null)))
