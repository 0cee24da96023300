"""Matching of two partitions: which part of one is which part of the other, beside chance.

Two routes, because features are not always the same ones:

- same features (MLP neurons at two checkpoints of one training run): Jaccard index of the sets
  of features, and AMI of the labellings;
- other features (another size, another seed; attention directions, whose basis is found anew at
  every checkpoint): |correlation| of activity profiles on the same tokens.

Either way parts are assigned to each other one to one with the largest sum (Kuhn 1955), so that no
part is used twice, and the nulls are assigned in the same way. Nulls keep the sizes of all parts.
NumPy and SciPy alone.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from connectome.agreement import adjusted_mutual_information, permutation_null
from connectome.labelling import DEAD
from connectome.statistics import permutation_p

Array = np.ndarray


class Matching(NamedTuple):
    """One-to-one assignment of parts, and what the same search finds in each draw of a null."""

    left: Array  # (pairs,) parts of the left partition
    right: Array  # (pairs,) the part that each is assigned to
    strength: Array  # (pairs,) Jaccard index, or |correlation| of profiles
    null: Array  # (draws, pairs) strength of the same left parts in each draw
    p: Array  # (pairs,)
    mean: float  # of the strengths
    null_mean: Array  # (draws,)
    p_mean: float


class Fates(NamedTuple):
    """What became of the parts of an earlier partition; see `fates`."""

    kept: int
    merged: int
    split: int
    ended: int
    born: int


def members(labels: Array) -> Array:
    """Membership (parts, features) bool of labels (features,); marks below 0 are no parts."""
    return labels == np.arange(int(labels.max(initial=-1)) + 1)[:, None]


def jaccards(left: Array, right: Array) -> Array:
    """Jaccard indices (left parts, right parts) of the sets of features of two labellings."""
    a, b = members(left).astype(np.float64), members(right).astype(np.float64)
    shared = a @ b.T
    union = a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :] - shared
    return shared / np.maximum(union, 1)


def assign(strength: Array) -> tuple[Array, Array]:
    """Rows and columns of the one-to-one assignment with the largest sum, rows increasing."""
    return linear_sum_assignment(strength, maximize=True)


def matched(strength: Array, draws: int, drawn: Callable[[int], Array]) -> Matching:
    """Assignment of `strength` (left, right), and of `drawn(i)`, of that shape, for each draw.

    p = (1 + draws that reach the strength) / (1 + draws), for each left part that has a partner and
    for the mean over pairs. A part left over in a draw has the strength 0 there.
    """
    left, right = assign(strength)
    found = strength[left, right]
    null = np.zeros((draws, len(left)))
    null_mean = np.zeros(draws)
    place = {int(part): i for i, part in enumerate(left)}
    for draw in range(draws):
        random = drawn(draw)
        rows, columns = assign(random)
        values = random[rows, columns]
        null_mean[draw] = values.mean()
        for row, value in zip(rows, values, strict=True):
            if int(row) in place:
                null[draw, place[int(row)]] = value
    slack = 1e-12  # equal assignments come out a rounding error apart
    p = [permutation_p(value - slack, null[:, i]) for i, value in enumerate(found)]
    mean = float(found.mean())
    return Matching(
        *(left, right, found, null, np.array(p)),
        *(mean, null_mean, permutation_p(mean - slack, null_mean)),
    )


def match_labels(left: Array, right: Array, draws: int, seed: int) -> Matching:
    """Parts of two labellings (features,) of the SAME features, by Jaccard index.

    Null: the right labels permuted over the features that live on the right, the ungrouped among
    them. Both labellings need a part.
    """
    live = np.flatnonzero(right != DEAD)
    rng = np.random.default_rng([seed, len(left)])

    def drawn(_: int) -> Array:
        permuted = right.copy()
        permuted[live] = rng.permutation(right[live])
        return jaccards(left, permuted)

    return matched(jaccards(left, right), draws, drawn)


def agreement(left: Array, right: Array, draws: int, seed: int) -> tuple[float, Array]:
    """AMI of two labellings over the features that both group, and (draws,) under permutation."""
    both = (left >= 0) & (right >= 0)
    ami = adjusted_mutual_information(left[both], right[both])
    return ami, permutation_null(left[both], right[both], draws, seed)


def fates(left: Array, right: Array) -> Fates:
    """What became of the parts of `left` (earlier) in `right` (later); same features.

    A part goes over into the later part that holds more than half of its features; a later part
    comes from the earlier part that gave more than half of its own. `kept`: earlier parts that
    go over, alone, into a part that comes from them. `merged`: earlier parts that go over into a
    part where others do too. `split`: earlier parts from which two or more later ones come.
    `ended`: earlier parts that neither go over nor are split. `born`: later parts that come from
    none and into which none goes over.
    """
    a, b = members(left), members(right)
    shared = a.astype(np.int64) @ b.T.astype(np.int64)
    over = 2 * shared > a.sum(axis=1)[:, None]  # (left, right)
    come = 2 * shared > b.sum(axis=1)[None, :]
    crowd = over.sum(axis=0) > 1
    alone = over & come & ~crowd
    merged = (over & crowd).any(axis=1)
    split = come.sum(axis=1) > 1
    kept = alone.any(axis=1) & ~split
    ended = ~over.any(axis=1) & ~split
    born = ~come.any(axis=0) & ~over.any(axis=0)
    return Fates(*(int(x.sum()) for x in (kept, merged, split, ended, born)))


def modularity(edges: Array, labels: Array) -> float | None:
    """Newman's Q of labels (features,) on an undirected graph (E, 2); None without edges.

    Edges and degrees between features of a part alone (>= 0) count.
    """
    kept = edges[(labels[edges] >= 0).all(axis=1)]
    if not len(kept):
        return None
    ends = labels[kept]
    degree = np.bincount(ends.ravel())
    inside = float(np.mean(ends[:, 0] == ends[:, 1]))
    return inside - float(np.sum((degree / degree.sum()) ** 2))


def modularity_null(edges: Array, labels: Array, draws: int, seed: int) -> Array:
    """Q (draws,) under permutations of the labels over the features that have a part."""
    grouped = np.flatnonzero(labels >= 0)
    rng = np.random.default_rng([seed, len(grouped)])
    found = []
    for _ in range(draws):
        permuted = labels.copy()
        permuted[grouped] = rng.permutation(labels[grouped])
        found.append(modularity(edges, permuted))
    return np.array([value for value in found if value is not None])
