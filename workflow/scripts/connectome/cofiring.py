"""Co-firing of sparse features: in how many samples each pair of them fires together.

A sparse feature is taken for what it is most of the time, off or on. Counts are whole numbers:
batches and shards change nothing, to the last bit. The centred products of the indicators follow,
m2_ij = n_ij - n_i n_j / N, and their correlation is phi. Only pairs that meet are kept, so the
width of a dictionary is squared nowhere.

NumPy alone, since graph-tool's interpreter loads this module too; SciPy comes where pairs are
counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectome.errors import DataError

PAIRS = 2**25  # products of one sparse matrix: what rows are stacked up to before they are counted
WIDEST = 4096  # features whose products are made dense on request
_CHUNK = 2**24  # pairs in memory at a time


@dataclass(frozen=True)
class Cofiring:
    """Firing of d features over `count` samples; the partners of a feature are larger ones."""

    count: int
    active: np.ndarray  # (d,) int64, samples in which a feature fires
    first: np.ndarray  # (d + 1,) int64, where the partners of a feature begin
    partner: np.ndarray  # (pairs,) int32, increasing for each feature
    together: np.ndarray  # (pairs,) whole numbers, samples in which both fire

    widest = WIDEST

    @property
    def mean(self) -> np.ndarray:
        """Share (d,) of the samples in which a feature fires."""
        return self.active / max(self.count, 1)

    @property
    def variance(self) -> np.ndarray:
        """Variance (d,) of the indicators (divided by count), exactly 0 where one never changes."""
        return self.mean * ((self.count - self.active) / max(self.count, 1))

    def products(self, features: np.ndarray) -> np.ndarray:
        """Centred products (n, n) of the indicators of these features (n,), dense.

        Raises DataError for more than WIDEST.
        """
        n = len(features)
        if n > WIDEST:
            raise DataError(f"{n} sparse features at once; {WIDEST} are the most that fit densely")
        place = np.full(len(self.active), -1)
        place[features] = np.arange(n)
        together = np.zeros((n, n))
        for i, feature in enumerate(features.tolist()):
            own = slice(self.first[feature], self.first[feature + 1])
            j = place[self.partner[own]]
            together[i, j[j >= 0]] = self.together[own][j >= 0]
        together += together.T
        active = self.active[features]
        np.fill_diagonal(together, active)
        return together - np.outer(active, active) / max(self.count, 1)


def empty(width: int) -> Cofiring:
    """Co-firing over no sample at all."""
    none = np.zeros(0, dtype=np.int32)
    zeros = np.zeros(width + 1, dtype=np.int64)
    return Cofiring(0, zeros[:width], zeros, none, none)


def of_rows(fired: Any) -> Cofiring:
    """Co-firing over rows held in memory: a sparse matrix (n, d), CSR, 1 where a feature fires."""
    count, width = fired.shape
    together = (fired.T @ fired).tocsr()  # sorted, which a product is not
    feature = np.repeat(np.arange(width, dtype=np.int32), np.diff(together.indptr))
    active = np.zeros(width, dtype=np.int64)
    diagonal = together.indices == feature
    active[feature[diagonal]] = together.data[diagonal]
    upper = together.indices > feature
    first = np.zeros(width + 1, dtype=np.int64)
    np.cumsum(np.bincount(feature[upper], minlength=width), out=first[1:])
    partner, counts = together.indices[upper], together.data[upper]
    return Cofiring(count, active, first, partner.astype(np.int32, copy=False), counts)


def merge(left: Cofiring, right: Cofiring) -> Cofiring:
    """Co-firing over both sets of samples together."""
    both = matrix(left) + matrix(right)
    return _of_matrix(left.count + right.count, left.active + right.active, both)


def among(found: Cofiring, features: np.ndarray) -> Cofiring:
    """The same samples, these features (n,) alone, increasing."""
    if len(features) == len(found.active):
        return found
    kept = matrix(found)[features][:, features]
    kept.sort_indices()
    return _of_matrix(found.count, found.active[features], kept)


def matrix(found: Cofiring) -> Any:
    """Samples that pairs i < j share, as a sparse matrix (d, d)."""
    from scipy.sparse import csr_array  # graph-tool's interpreter may have none

    d = len(found.active)
    counts = found.together.astype(np.int32, copy=False)
    return csr_array((counts, found.partner, found.first), shape=(d, d))


def _of_matrix(count: int, active: np.ndarray, together: Any) -> Cofiring:
    first = together.indptr.astype(np.int64, copy=False)
    return Cofiring(count, active, first, together.indices, together.data)


def content(halves: Sequence[Cofiring]) -> dict[str, np.ndarray]:
    """Arrays of a covariance file: count (2,), mean and active (2, d), the pairs of both halves.

    `first` (d + 1,) and `partner` (pairs,) belong to both, `together` (2, pairs) to each, in the
    smallest whole numbers that hold it.
    """
    from scipy.sparse import csr_array

    # one number of 64 bits for two counts: a sum of matrices would drop the zeros of either
    low, high = (matrix(half).astype(np.int64) for half in halves)
    both = low + csr_array((high.data << 32, high.indices, high.indptr), shape=high.shape)
    together = np.stack([both.data & 0xFFFFFFFF, both.data >> 32])
    return {
        "count": np.array([half.count for half in halves], dtype=np.int64),
        "mean": np.stack([half.mean for half in halves]),
        "active": np.stack([half.active for half in halves]),
        "first": both.indptr.astype(np.int64, copy=False),
        "partner": both.indices.astype(np.int32, copy=False),
        "together": together.astype(np.min_scalar_type(together.max(initial=0))),
    }


def of_halves(arrays: Mapping[str, np.ndarray]) -> tuple[Cofiring, Cofiring]:
    """The two halves of a covariance file; pairs of one may be 0 in the other."""
    first, second = (
        Cofiring(
            int(arrays["count"][half]),
            arrays["active"][half],
            arrays["first"],
            arrays["partner"],
            arrays["together"][half],
        )
        for half in (0, 1)
    )
    return first, second


def full(arrays: Mapping[str, np.ndarray]) -> Cofiring:
    """All samples of a covariance file: the exact sum of its halves."""
    low, high = arrays["together"]
    return Cofiring(
        int(arrays["count"].sum()),
        arrays["active"].sum(axis=0),
        arrays["first"],
        arrays["partner"],
        low.astype(np.int32) + high,
    )


def binned(found: Cofiring, order: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean phi (b, b) between bins of features, each with itself left out.

    Bin k holds the features order[edges[k]:edges[k + 1]]; a feature that never changes counts 0.
    """
    sizes = np.diff(edges)
    count = len(sizes)
    bin_of = np.full(len(found.active), -1)
    bin_of[order] = np.repeat(np.arange(count), sizes)
    deviation = np.sqrt(found.count * found.variance)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    feature = np.repeat(np.arange(len(bin_of), dtype=np.int32), np.diff(found.first))
    sums = np.zeros(count * count)
    for start in range(0, len(feature), _CHUNK):
        i, j = (ends[start : start + _CHUNK] for ends in (feature, found.partner))
        value = found.together[start : start + _CHUNK] * (scale[i] * scale[j])
        inside = (bin_of[i] >= 0) & (bin_of[j] >= 0)
        place = bin_of[i[inside]] * count + bin_of[j[inside]]
        sums += np.bincount(place, value[inside], minlength=count * count)
    matrix_bb = sums.reshape(count, count)
    # what independent firing shares: n_i n_j / N of every pair, whether it meets or not
    share = found.active * scale / np.sqrt(max(found.count, 1))
    of_bins, own = (np.add.reduceat(x[order], edges[:-1]) for x in (share, share**2))
    chance = np.outer(of_bins, of_bins) - np.diag(own)
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    return (matrix_bb + matrix_bb.T - chance) / np.maximum(pairs, 1)
