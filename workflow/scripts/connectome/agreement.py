"""Agreement of two labellings: adjusted mutual information, exact, and what chance gives.

NumPy and the standard library alone, since graph-tool's interpreter has no scikit-learn.
"""

import numpy as np


def contingency(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Counts (parts of left, parts of right) int64 of the labels met, in increasing order."""
    _, i = np.unique(left, return_inverse=True)
    _, j = np.unique(right, return_inverse=True)
    shape = (i.max() + 1, j.max() + 1)
    return np.bincount(i * shape[1] + j, minlength=shape[0] * shape[1]).reshape(shape)


def entropy(counts: np.ndarray) -> float:
    """Entropy in nats of parts of these sizes."""
    p = counts[counts > 0] / counts.sum()
    return float(-np.sum(p * np.log(p)))


def adjusted_mutual_information(left: np.ndarray, right: np.ndarray) -> float:
    """(MI - E[MI]) / (mean of the entropies - E[MI]), 1 for equal labellings, 0 by chance.

    E[MI] over random labellings of the same sizes, by the hypergeometric formula of Vinh, Epps and
    Bailey (2010). Two labellings of one part each give 1, as in scikit-learn: the caller
    decides whether that means anything. Raises ValueError for labellings of different lengths or
    of nothing.
    """
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape or left.size == 0:
        raise ValueError(f"labellings of {left.size} and {right.size} members have no agreement")
    counts = contingency(left, right)
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    if len(rows) == len(columns) == 1:
        return 1.0
    mutual = entropy(rows) + entropy(columns) - entropy(counts.ravel())
    return float(_adjusted(np.array(mutual), rows, columns))


def _adjusted(mutual: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Mutual informations, of any shape, adjusted for parts of these sizes."""
    expected = expected_mutual_information(rows, columns)
    room = (entropy(rows) + entropy(columns)) / 2 - expected
    if abs(room) < np.finfo(float).eps:
        # every member its own part in both: nothing is left to agree on beyond chance
        return np.where(np.abs(mutual - expected) < np.finfo(float).eps, 1.0, 0.0)
    return (mutual - expected) / room


def variation_of_information(left: np.ndarray, right: np.ndarray) -> float:
    """H(left | right) + H(right | left) in nats, a metric: 0 for equal labellings (Meila 2007)."""
    counts = contingency(np.asarray(left), np.asarray(right))
    joint = entropy(counts.ravel())
    return max(0.0, 2 * joint - entropy(counts.sum(axis=1)) - entropy(counts.sum(axis=0)))


def permutation_null(left: np.ndarray, right: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Adjusted mutual information (draws,) of `left` with permutations of `right`.

    The sizes of the parts stay, so their entropies and the expected information do too.
    """
    _, i = np.unique(left, return_inverse=True)
    _, j = np.unique(right, return_inverse=True)
    rows, columns = np.bincount(i), np.bincount(j)
    cells = len(rows) * len(columns)
    shuffled = np.random.default_rng(seed).permuted(np.tile(j, (draws, 1)), axis=1)
    cell = np.arange(draws)[:, None] * cells + i * len(columns) + shuffled  # (draws, n)
    counts = np.bincount(cell.ravel(), minlength=draws * cells).reshape(draws, cells)
    share = counts / len(i)
    joint = -np.sum(share * np.log(np.where(counts > 0, share, 1.0)), axis=1)
    return _adjusted(entropy(rows) + entropy(columns) - joint, rows, columns)


def expected_mutual_information(rows: np.ndarray, columns: np.ndarray) -> float:
    """Mean mutual information in nats of random labellings with parts of these sizes."""
    n = int(rows.sum())
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    a_sizes, a_times = np.unique(rows, return_counts=True)
    b_sizes, b_times = np.unique(columns, return_counts=True)
    total = 0.0
    for a, times_a in zip(a_sizes, a_times, strict=True):
        for b, times_b in zip(b_sizes, b_times, strict=True):
            shared = np.arange(max(1, a + b - n), min(a, b) + 1)
            information = shared / n * np.log(n * shared / (a * b))
            log_p = (
                log_factorial[a]
                + log_factorial[b]
                + log_factorial[n - a]
                + log_factorial[n - b]
                - log_factorial[n]
                - log_factorial[shared]
                - log_factorial[a - shared]
                - log_factorial[b - shared]
                - log_factorial[n - a - b + shared]
            )
            total += times_a * times_b * float(np.sum(information * np.exp(log_p)))
    return total
