"""Graph of one site: nearest neighbours by similarity above one threshold, with its nulls.

Dense features are alike by |r|; sparse ones (`sparse_graphs`) by the correlation of their firing.
The threshold is an upper quantile of the similarities of series rolled by random offsets, which
keep their autocorrelation: formulas that take tokens for independent samples find false edges. All
draws are made inside blocks of consecutive rows, so that they stream; block means are taken out,
since no draw inside a block can change them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from connectome.moments import Found, correlation, full, half_of, of_halves

LIVE, CONSTANT, RARE, FAINT, SELDOM = range(5)  # the last one is not dead, but left out as well
_REASONS = {CONSTANT: "constant", RARE: "active too rarely", FAINT: "variance too small"}
_LARGEST = 1 - 1e-6  # correlation
PERMUTED, ROLLED, ENTRIES, _ORDER = range(4)  # streams of random numbers


class Similarity(Protocol):
    """How alike each two of d features are; only what is above 0 counts."""

    def rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of each feature in turn: other features (n,), increasing, and how alike they are (n,)."""

    def largest(self, count: int) -> np.ndarray:
        """The `count` largest values over pairs, or as many as there are above 0, in any order."""

    def weights(self, edges: np.ndarray) -> np.ndarray:
        """Correlations (E,) of edges (E, 2), signed."""

    def shuffled(self, generator: np.random.Generator, k: int) -> "Similarity":
        """The same values at random pairs, for a graph of `k` neighbours."""


class Null(NamedTuple):
    """One draw of independent features."""

    permuted: Similarity
    rolled: tuple[Similarity, Similarity, Similarity]  # all rows, and both halves


class Source(Protocol):
    """Where the similarities of a site come from."""

    name: str  # of the similarity

    def states(self, settings: Mapping[str, Any]) -> np.ndarray:
        """Which features the graph is made of, and why others are not: int8 (d,)."""

    def of_data(self, live: np.ndarray) -> Iterator[Similarity]:
        """Of these features: over all rows, and over each half."""

    def nulls(self, live: np.ndarray, draws: int, seed: int) -> Iterator[Null]:
        """The draws, one at a time."""


def dead_features(moments: Found, min_active: int, min_variance: float) -> np.ndarray:
    """Why a feature is left out, int8 (d,): LIVE, CONSTANT, RARE or FAINT.

    RARE: other than 0 in fewer than `min_active` samples. FAINT: variance below `min_variance`
    times the median of the remaining features, so that rescaling a dictionary changes nothing.
    """
    variance = moments.variance
    state = np.full(len(variance), LIVE, dtype=np.int8)
    state[moments.active < min_active] = RARE
    state[variance == 0] = CONSTANT
    kept = state == LIVE
    if kept.any():
        state[kept & (variance < min_variance * np.median(variance[kept]))] = FAINT
    return state


def nearest_neighbours(alike: Similarity, k: int, threshold: float = 0.0) -> np.ndarray:
    """Edges (E, 2) int32, i < j sorted: j among the k most alike of i, or i among those of j.

    Only values above `threshold` count. Equal values are taken in the order of their index.
    """
    found = [np.empty((0, 2), dtype=np.int32)]
    for feature, (others, values) in enumerate(alike.rows()):
        above = values > threshold
        others, values = others[above], values[above]
        if len(values) > k:
            kth = np.partition(values, len(values) - k)[len(values) - k]
            chosen = values > kth
            chosen[np.flatnonzero(values == kth)[: k - chosen.sum()]] = True
            others = others[chosen]
        found.append(np.stack([np.full(len(others), feature), others], axis=1))
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs, axis=0).astype(np.int32).reshape(-1, 2)


@dataclass(frozen=True)
class Correlations:
    """Similarity by |r|."""

    r: np.ndarray  # (d, d)

    def rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        every = np.arange(len(self.r))
        for feature, r in enumerate(self.r):
            others = every != feature
            yield every[others], np.abs(r[others])

    def largest(self, count: int) -> np.ndarray:
        values = np.abs(self.r[np.triu_indices(len(self.r), 1)])
        return values if count >= len(values) else np.partition(values, -count)[-count:]

    def weights(self, edges: np.ndarray) -> np.ndarray:
        return self.r[edges[:, 0], edges[:, 1]]

    def shuffled(self, generator: np.random.Generator, k: int) -> "Correlations":
        return Correlations(permuted_entries(self.r, generator))


def complete(r: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (E, 2) between all of these features (n,), each pair once, and 2 artanh r (E,).

    r: (n, n). |r| of 1 has no finite artanh: it is taken for 1 - 1e-6.
    """
    i, j = np.triu_indices(len(features), 1)
    weights = 2 * np.arctanh(np.clip(r[i, j], -_LARGEST, _LARGEST))
    return np.stack([features[i], features[j]], axis=1), weights


def blocks(
    rows: Iterable[tuple[Any, np.ndarray]],
    size: int,
    join: Callable[[Sequence[Any]], Any] = np.concatenate,
) -> Iterator[tuple[int, int, Any]]:
    """Re-cut a stream of (values, ids) into blocks of one half: (half, number, rows (n, d)).

    Where a block begins depends on the rows alone, not on how they were batched. n = `size`,
    smaller for the last block of each half. `join` puts rows behind each other.
    """
    waiting: list[list[Any]] = [[], []]
    number = [0, 0]
    for values, ids in rows:
        of_ids = half_of(ids)
        for half in (0, 1):
            waiting[half].append(values[of_ids == half])
            if sum(some.shape[0] for some in waiting[half]) < size:
                continue
            joined = join(waiting[half])
            cut = joined.shape[0] - joined.shape[0] % size
            waiting[half] = [joined[cut:]]
            for start in range(0, cut, size):
                yield half, number[half], joined[start : start + size]
                number[half] += 1
    for half in (0, 1):
        if sum(some.shape[0] for some in waiting[half]):
            yield half, number[half], join(waiting[half])


def rolled(block_dn: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Each row (n,) of a block (d, n) moved up by its own offset, the end coming in at the start.

    Slices of rows, 30 times faster than one gather over a block that lies the other way.
    """
    moved = np.empty_like(block_dn)
    for source, target, offset in zip(block_dn, moved, offsets, strict=True):
        target[:offset] = source[len(source) - offset :]
        target[offset:] = source[: len(source) - offset]
    return moved


def permuted_entries(r: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Symmetric matrix with the off-diagonal entries of `r` in random places."""
    upper = np.triu_indices(len(r), 1)
    shuffled = np.eye(len(r))
    shuffled[upper] = generator.permutation(r[upper])
    return shuffled + shuffled.T - np.eye(len(r))


def null_products(
    stream: Iterable[tuple[int, int, np.ndarray]],
    live: np.ndarray,
    draws: int,
    seed: int,
    exchangeable: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Centred products under the null: permuted (draws, d, d), rolled (draws, 2, d, d).

    `stream` comes from `blocks`, `live` (d,) are the features in use. Each feature and block has
    its own order (permuted) or offset (rolled). `exchangeable` rows have no order of their own
    (prompts lie sorted by task): they are mixed before they are rolled.
    """
    d = len(live)
    permuted_dd = np.zeros((draws, d, d))
    rolled_dd = np.zeros((draws, 2, d, d))
    for half, number, rows in stream:
        block_dn = np.ascontiguousarray(rows[:, live].T, dtype=np.float64)
        if exchangeable:
            generator = np.random.default_rng([seed, _ORDER, half, number])
            block_dn = block_dn[:, generator.permutation(len(rows))]
        block_dn = block_dn - block_dn.mean(axis=1, keepdims=True)
        for draw in range(draws):
            key = [draw, half, number]
            shuffled = np.random.default_rng([seed, PERMUTED, *key]).permuted(block_dn, axis=1)
            permuted_dd[draw] += shuffled @ shuffled.T
            offsets = np.random.default_rng([seed, ROLLED, *key]).integers(len(rows), size=d)
            moved = rolled(block_dn, offsets)
            rolled_dd[draw, half] += moved @ moved.T
    return permuted_dd, rolled_dd


def upper_quantile(live: int, false_pairs: float) -> float:
    """Quantile above which each of `live` independent features has `false_pairs` partners.

    A fixed quantile would give features of a larger site more false neighbours.
    """
    return max(0.0, 1 - false_pairs / (live - 1))


def values_above(total: int, quantile: float) -> int:
    """How many of the largest of so many values a quantile of them depends on."""
    return total - int(np.floor(quantile * (total - 1)))


def quantile_of(largest: np.ndarray, total: int, quantile: float) -> float:
    """Quantile of `total` values, of which the largest are given; the rest is taken for 0."""
    needed = values_above(total, quantile)
    kept = np.sort(np.concatenate([largest, np.zeros(needed)]))[-needed:]
    place = quantile * (total - 1)
    return float(np.quantile(kept[:2], place - np.floor(place)))


@dataclass(frozen=True)
class Recorded:
    """Similarities of dense features, from their covariance file and the `blocks` of its samples.

    `exchangeable` rows have no order of their own (`null_products`).
    """

    covariance: Mapping[str, np.ndarray]
    stream: Iterable[tuple[int, int, np.ndarray]]
    exchangeable: bool
    name = "|r|"

    def states(self, settings: Mapping[str, Any]) -> np.ndarray:
        moments = full(self.covariance)
        return dead_features(moments, settings["min_active"], settings["min_variance"])

    def of_data(self, live: np.ndarray) -> Iterator[Correlations]:
        for moments in (full(self.covariance), *of_halves(self.covariance)):
            yield Correlations(correlation(moments.products(live)))

    def nulls(self, live: np.ndarray, draws: int, seed: int) -> Iterator[Null]:
        permuted_dd, rolled_dd = null_products(self.stream, live, draws, seed, self.exchangeable)
        for permuted, (first, second) in zip(permuted_dd, rolled_dd, strict=True):
            every, *halves, mixed = (
                Correlations(correlation(m2)) for m2 in (first + second, first, second, permuted)
            )
            yield Null(mixed, (every, halves[0], halves[1]))


def build(
    source: Source, meta: Mapping[str, Any], settings: Mapping[str, Any], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata of a graph file.

    Arguments: the samples behind it; metadata of the covariance file; settings k, small_k,
    small_site, false_pairs, draws, min_active, and of dense features min_variance.

    Arrays: edge lists (E, 2) int32 of feature numbers with weights r (E,): `data`, `half0`,
    `half1` (above the threshold), `permuted.N`, `entries.N`, `rolled.N` (without it: an empty
    graph could not fail); dead (d,) bool; dead_reason (d,) int8; isolated (d,) bool, those that are
    neither dead nor in the graph; threshold
    (3,) of the data and of both halves, NaN where there is none. A site without two live features
    or without an edge is refused, with its reason.
    """
    state = source.states(settings)
    live = np.flatnonzero(state == LIVE)
    dead_counts = {name: int((state == code).sum()) for code, name in _REASONS.items()}
    kept = ("site", "kind", "dictionary", "unit", "samples", "documents", "halves")
    result = {key: meta[key] for key in kept}
    result |= {"features": len(state), "live": len(live), "dead": dead_counts}
    result |= {"similarity": source.name, "seldom": int((state == SELDOM).sum())}
    lists: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    threshold = np.full(3, np.nan)
    reason = meta["reason"]
    if reason is None and len(live) < 2:
        every = dead_counts | {"firing too seldom to be related": result["seldom"]}
        counts = ", ".join(f"{n} {name}" for name, n in every.items() if n)
        reason = f"{len(live)} live of {len(state)} features ({counts or 'no more than that'})"
    if reason is None:
        k = settings["small_k"] if len(live) < settings["small_site"] else settings["k"]
        quantile = upper_quantile(len(live), settings["false_pairs"])
        result |= {"k": k, "quantile": quantile}
        lists, threshold = _edge_lists(source, live, k, quantile, settings["draws"], seed)
        if len(lists["data"][0]) == 0:
            reason = (
                f"no pair of features correlates above the threshold {source.name} ="
                f" {threshold[0]:.4f}"
            )
    dead = np.isin(state, list(_REASONS))
    isolated = ~dead
    if lists:
        isolated[lists["data"][0].ravel()] = False
    content = {
        "threshold": threshold,
        "dead": dead,
        "dead_reason": state,
        "isolated": isolated,
    }
    for name, (edges, weights) in lists.items():
        content |= {name: edges, f"{name}.r": weights}
    result |= {"status": "refused" if reason else "ok", "reason": reason}
    result |= {"isolated": int(isolated.sum()), "draws": settings["draws"]}
    return content, result


def _edge_lists(
    source: Source, live: np.ndarray, k: int, quantile: float, draws: int, seed: int
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Edge lists with weights by name, and the thresholds of data and halves (3,)."""
    lists = {}

    def add(name: str, alike: Similarity, limit: float) -> None:
        edges = nearest_neighbours(alike, k, limit)
        lists[name] = (live[edges].astype(np.int32), alike.weights(edges))

    total = draws * len(live) * (len(live) - 1) // 2
    largest: list[list[np.ndarray]] = [[], [], []]
    for draw, null in enumerate(source.nulls(live, draws, seed)):
        for pool, alike in zip(largest, null.rolled, strict=True):
            pool.append(alike.largest(values_above(total, quantile)))
        add(f"permuted.{draw}", null.permuted, 0.0)
        add(f"rolled.{draw}", null.rolled[0], 0.0)
    threshold = [quantile_of(np.concatenate(pool), total, quantile) for pool in largest]
    for name, limit, alike in zip(
        ("data", "half0", "half1"), threshold, source.of_data(live), strict=True
    ):
        add(name, alike, limit)
        for draw in range(draws if name == "data" else 0):
            generator = np.random.default_rng([seed, ENTRIES, draw])
            add(f"entries.{draw}", alike.shuffled(generator, k), 0.0)
    return lists, np.array(threshold)
