"""Streaming moments of one site: count, mean and centred products, one set per half of the data.

Batches are merged with Chan's formula (Chan, Golub & LeVeque 1983) in float64 and in the order in
which they come: adding raw sums of squares loses all digits where the mean is large. Rows of sparse
features are counted instead (`cofiring`), behind the same functions. NumPy alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectome import cofiring
from connectome.cofiring import Cofiring
from connectome.errors import DataError

KEYS = {"activation": ("document", "position"), "attribution": ("pair",)}
UNITS = {"activation": "token positions", "attribution": "prompts"}
HALVES = {
    "activation": "documents, by a hash of their number",
    "attribution": "pairs, by a hash of their number",
}
_NATIVE = {"mlp": "hidden", "attn": "values"}


@dataclass(frozen=True)
class Moments:
    """Moments of d features over `count` samples; `m2` are sums of centred products."""

    count: int
    mean: np.ndarray  # (d,) float64
    m2: np.ndarray  # (d, d) float64, symmetric
    active: np.ndarray  # (d,) int64, samples with a value other than 0

    @property
    def variance(self) -> np.ndarray:
        """Variance (d,) over the samples (divided by count, 0 without samples)."""
        return np.diagonal(self.m2) / max(self.count, 1)

    @property
    def widest(self) -> int:
        """The most features whose `products` are to be had."""
        return len(self.mean)

    def products(self, features: np.ndarray) -> np.ndarray:
        """Centred products (n, n) of these features (n,)."""
        return self.m2[np.ix_(features, features)]


Found = Moments | Cofiring  # of dense features, of sparse ones


def column(site: str, kind: str) -> str:
    """Column that holds the native features of a site: `mlp.0.hidden`, or `mlp.0` (attribution)."""
    if kind == "attribution":
        return site
    return f"{site}.{_NATIVE[site.split('.')[0]]}"


def samples(
    batches: Iterable[tuple[Any, Mapping[str, np.ndarray]]],
    site: str,
    kind: str,
    skip_start: bool,
) -> Iterator[tuple[Any, np.ndarray]]:
    """Rows that count, as (values (n, d) as recorded, ids (n,): documents or pairs).

    Values are an array, or a sparse matrix of the features that fire.

    Start tokens (position 0) are left out with `skip_start`: massive activations there would own
    the mean. Ids decide the half, so that no document lies in both.
    Raises DataError naming site, feature and row at the first value that is not finite.
    """
    first = 0
    for values, keys in batches:
        ids = np.asarray(keys[KEYS[kind][0]])
        count = values.shape[0]
        rows = np.arange(first, first + count)
        first += count
        if kind == "activation" and skip_start:
            kept = np.flatnonzero(np.asarray(keys["position"]) > 0)
            if len(kept) < count:
                values, ids, rows = _taken(values, kept), ids[kept], rows[kept]
        # extremes carry every NaN and infinity, and cost less than looking at each value
        if values.size and not np.isfinite([values.min(), values.max()]).all():
            n, feature = np.argwhere(~np.isfinite(values))[0]
            raise DataError(
                f"{site}: feature {feature} is {values[n, feature]} in row {rows[n]}"
                f" ({KEYS[kind][0]} {ids[n]}) of the {kind}s; every value must be finite"
            )
        yield values, ids


def _taken(values: Any, rows: np.ndarray) -> Any:
    """Some rows; `take` copies those of an array faster than an index does, sparse ones lack it."""
    return values.take(rows, axis=0) if isinstance(values, np.ndarray) else values[rows]


def empty(width: int = 0) -> Moments:
    """Moments of no sample at all."""
    zeros = np.zeros(width)
    return Moments(0, zeros, np.zeros((width, width)), np.zeros(width, dtype=np.int64))


def of_rows(values: np.ndarray) -> Moments:
    """Moments of rows (n, d) held in memory."""
    count, width = values.shape
    if count == 0:
        return empty(width)
    # The first row as origin makes a constant feature exactly constant, whatever its value.
    centred = np.subtract(values, values[0], dtype=np.float64)
    offset = centred.mean(axis=0)
    centred -= offset
    return Moments(
        count=count,
        mean=values[0] + offset,
        m2=centred.T @ centred,
        active=np.add.reduce((values != 0).view(np.uint8), axis=0, dtype=np.int64),
    )


def merge(left: Moments, right: Moments) -> Moments:
    """Moments of both sets of samples together (Chan's formula)."""
    if left.count == 0:
        return right
    if right.count == 0:
        return left
    count = left.count + right.count
    delta = right.mean - left.mean
    return Moments(
        count=count,
        mean=left.mean + delta * (right.count / count),
        m2=left.m2 + right.m2 + np.outer(delta, delta) * (left.count * right.count / count),
        active=left.active + right.active,
    )


def _merged(left: Found, right: Found) -> Found:
    """Both sets of samples together, whichever they are; one without samples has no kind yet."""
    if isinstance(left, Moments) and isinstance(right, Moments):
        return merge(left, right)
    if isinstance(left, Cofiring) and isinstance(right, Cofiring):
        return cofiring.merge(left, right)
    return right if left.count == 0 else left


def half_of(ids: np.ndarray) -> np.ndarray:
    """Half (0 or 1) of each document or pair number: one bit of its hash (splitmix64).

    Parity would not do: generated pairs alternate between the variants of their task.
    """
    return (mixed(np.asarray(ids)) >> np.uint64(63)).astype(np.int64)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """A hash (uint64) of whole numbers, the same on every machine (splitmix64)."""
    x = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)


def accumulate(
    rows: Iterable[tuple[Any, np.ndarray]], origin: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata of a covariance file from the stream of `samples`.

    `origin` (site, kind, dictionary, skip_start) travels with the matrix. Arrays: count (2,),
    mean (2, d), m2 (2, d, d), active (2, d); of sparse features those of `cofiring.content`. Too
    few samples are a refusal with its reason in the metadata, never a silent zero. Memory d^2, or
    the pairs that fire together, not samples.
    """
    halves: list[Found] = [empty(), empty()]
    seen: set[int] = set()
    for values, ids in rows:
        seen.update(np.unique(ids).tolist())
        of_ids = half_of(ids)
        for half in (0, 1):
            members = np.flatnonzero(of_ids == half)
            some = _taken(values, members)
            found = of_rows(some) if isinstance(some, np.ndarray) else cofiring.of_rows(some)
            halves[half] = _merged(halves[half], found)
    return _content(halves), _about(halves, origin, len(seen))


def gather(
    parts: Iterable[tuple[Mapping[str, np.ndarray], Mapping[str, Any]]], origin: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The covariance file of all rows from those of its parts (`accumulate`), merged in order.

    Parts hold disjoint documents. Memory as for one of them, where `parts` comes one by one.
    """
    halves: list[Found] = [empty(), empty()]
    documents = 0
    for content, meta in parts:
        halves = [_merged(*pair) for pair in zip(halves, of_halves(content), strict=True)]
        documents += meta["documents"]
    return _content(halves), _about(halves, origin, documents)


def _content(halves: Sequence[Found]) -> dict[str, np.ndarray]:
    """Arrays of a covariance file; a half that saw no row is as wide as the other."""
    sparse = [part for part in halves if isinstance(part, Cofiring)]
    if len(sparse) == len(halves):
        return cofiring.content(sparse)
    width = max(len(part.mean) for part in halves)
    dense = [part for part in halves if isinstance(part, Moments)]
    dense = [part if len(part.mean) else empty(width) for part in dense]
    return {
        "count": np.array([part.count for part in dense], dtype=np.int64),
        "mean": np.stack([part.mean for part in dense]),
        "m2": np.stack([part.m2 for part in dense]),
        "active": np.stack([part.active for part in dense]),
    }


def _about(halves: Sequence[Found], origin: Mapping[str, Any], documents: int) -> dict[str, Any]:
    kind = origin["kind"]
    total = sum(part.count for part in halves)
    reason = None if total >= 2 else f"{total} {UNITS[kind]} recorded, at least 2 are needed"
    return {
        **origin,
        "unit": UNITS[kind],
        "samples": total,
        "documents": documents if kind == "activation" else total,
        "halves": HALVES[kind],
        "features": max(len(part.mean) for part in halves),
        "status": "refused" if reason else "ok",
        "reason": reason,
    }


def of_halves(arrays: Mapping[str, np.ndarray]) -> Sequence[Found]:
    """The two halves of a covariance file."""
    if "together" in arrays:
        return cofiring.of_halves(arrays)
    names = ("mean", "m2", "active")
    return [
        Moments(int(arrays["count"][half]), *(arrays[name][half] for name in names))
        for half in (0, 1)
    ]


def full(arrays: Mapping[str, np.ndarray]) -> Found:
    """All samples of a covariance file: the exact merge of its halves."""
    return cofiring.full(arrays) if "together" in arrays else _merged(*of_halves(arrays))


def covariance(moments: Moments) -> np.ndarray:
    """Sample covariance (d, d), divided by count - 1 as `numpy.cov` does (zeros for one sample)."""
    return moments.m2 / max(moments.count - 1, 1)


def correlations(found: Found, features: np.ndarray | None = None) -> np.ndarray:
    """Correlation (n, n) of these features (n,), of all where none are named."""
    chosen = np.arange(len(found.mean)) if features is None else features
    return correlation(found.products(chosen))


def correlation(m2: np.ndarray) -> np.ndarray:
    """Correlation (d, d) from centred products; rows of constant features are 0, never NaN."""
    variance = np.diagonal(m2)
    live = variance > 0
    scale = np.zeros(len(m2))
    scale[live] = 1 / np.sqrt(variance[live])
    # scale_i * scale_j first: the product commutes, so the result is symmetric to the last bit
    r = np.clip(m2 * np.outer(scale, scale), -1, 1)
    np.fill_diagonal(r, live)
    return r
