"""Graph of one site: nearest neighbours by |correlation| above one threshold, with its nulls.

The threshold is an upper quantile of |r| under series rolled by random offsets, which keep their
autocorrelation: formulas that take tokens for independent samples find false edges. All draws are
made inside blocks of consecutive rows, so that they stream; block means are taken out, since no
draw inside a block can change them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from connectome.moments import Moments, correlation, full, half_of, of_halves

LIVE, CONSTANT, RARE, FAINT = range(4)
_REASONS = {CONSTANT: "constant", RARE: "active too rarely", FAINT: "variance too small"}
_LARGEST = 1 - 1e-6  # correlation
_CHUNK = 1024  # rows of the correlation matrix searched at a time
_PERMUTED, _ROLLED, _ENTRIES, _ORDER = range(4)  # streams of random numbers


def dead_features(moments: Moments, min_active: int, min_variance: float) -> np.ndarray:
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


def nearest_neighbours(r: np.ndarray, k: int, threshold: float = 0.0) -> np.ndarray:
    """Edges (E, 2) int32, i < j sorted: j among the k largest |r_i.| or i among those of j.

    Only |r| > `threshold` counts. Equal values are taken in the order of their index.
    """
    d = len(r)
    k = min(k, d - 1)
    if k < 1:
        return np.empty((0, 2), dtype=np.int32)
    found = []
    for start in range(0, d, _CHUNK):
        a = np.abs(r[start : start + _CHUNK])  # (chunk, d)
        a[np.arange(len(a)), start + np.arange(len(a))] = -1
        kth = np.partition(a, d - k, axis=1)[:, d - k, None]
        above = a > kth
        level = a == kth
        room = k - above.sum(axis=1, keepdims=True)
        chosen = (above | (level & (np.cumsum(level, axis=1) <= room))) & (a > threshold)
        i, j = np.nonzero(chosen)
        found.append(np.stack([i + start, j], axis=1))
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs, axis=0).astype(np.int32).reshape(-1, 2)


def complete(r: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (E, 2) between all of these features (n,), each pair once, and 2 artanh r (E,).

    r: (n, n). |r| of 1 has no finite artanh: it is taken for 1 - 1e-6.
    """
    i, j = np.triu_indices(len(features), 1)
    weights = 2 * np.arctanh(np.clip(r[i, j], -_LARGEST, _LARGEST))
    return np.stack([features[i], features[j]], axis=1), weights


def blocks(
    rows: Iterable[tuple[np.ndarray, np.ndarray]], size: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Re-cut a stream of (values, ids) into blocks of one half: (half, number, rows (n, d)).

    Where a block begins depends on the rows alone, not on how they were batched. n = `size`,
    smaller for the last block of each half.
    """
    waiting: list[list[np.ndarray]] = [[], []]
    number = [0, 0]
    for values, ids in rows:
        of_ids = half_of(ids)
        for half in (0, 1):
            waiting[half].append(values[of_ids == half])
            if sum(map(len, waiting[half])) < size:
                continue
            joined = np.concatenate(waiting[half])
            cut = len(joined) - len(joined) % size
            waiting[half] = [joined[cut:]]
            for start in range(0, cut, size):
                yield half, number[half], joined[start : start + size]
                number[half] += 1
    for half in (0, 1):
        rest = np.concatenate(waiting[half]) if waiting[half] else np.empty((0, 0))
        if len(rest):
            yield half, number[half], rest


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
            shuffled = np.random.default_rng([seed, _PERMUTED, *key]).permuted(block_dn, axis=1)
            permuted_dd[draw] += shuffled @ shuffled.T
            offsets = np.random.default_rng([seed, _ROLLED, *key]).integers(len(rows), size=d)
            moved = rolled(block_dn, offsets)
            rolled_dd[draw, half] += moved @ moved.T
    return permuted_dd, rolled_dd


def upper_quantile(live: int, false_pairs: float) -> float:
    """Quantile above which each of `live` independent features has `false_pairs` partners.

    A fixed quantile would give features of a larger site more false neighbours.
    """
    return max(0.0, 1 - false_pairs / (live - 1))


def rolled_threshold(products: Iterable[np.ndarray], quantile: float) -> float:
    """Upper quantile of |r| off the diagonal, over the rolled draws together."""
    pool = []
    for m2 in products:
        r = correlation(m2)
        pool.append(np.abs(r[np.triu_indices(len(r), 1)]))
    return float(np.quantile(np.concatenate(pool), quantile))


def build(
    covariance: Mapping[str, np.ndarray],
    meta: Mapping[str, Any],
    stream: Iterable[tuple[int, int, np.ndarray]],
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata of a graph file.

    Arguments: arrays and metadata of the covariance file; the `blocks` of the same samples;
    settings k, small_k, small_site, false_pairs, draws, min_active, min_variance.

    Arrays: edge lists (E, 2) int32 of feature numbers with weights r (E,): `data`, `half0`,
    `half1` (above the threshold), `permuted.N`, `entries.N`, `rolled.N` (without it: an empty
    graph could not fail); dead (d,) bool; dead_reason (d,) int8; isolated (d,) bool; threshold
    (3,) of the data and of both halves, NaN where there is none. A site without two live features
    or without an edge is refused, with its reason.
    """
    moments = full(covariance)
    state = dead_features(moments, settings["min_active"], settings["min_variance"])
    live = np.flatnonzero(state == LIVE)
    dead_counts = {name: int((state == code).sum()) for code, name in _REASONS.items()}
    kept = ("site", "kind", "dictionary", "unit", "samples", "documents", "halves")
    result = {key: meta[key] for key in kept}
    result |= {"features": len(state), "live": len(live), "dead": dead_counts}
    lists: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    threshold = np.full(3, np.nan)
    reason = meta["reason"]
    if reason is None and len(live) < 2:
        counts = ", ".join(f"{n} {name}" for name, n in dead_counts.items() if n)
        reason = f"{len(live)} live of {len(state)} features ({counts or 'no more than that'})"
    if reason is None:
        k = settings["small_k"] if len(live) < settings["small_site"] else settings["k"]
        quantile = upper_quantile(len(live), settings["false_pairs"])
        result |= {"k": k, "quantile": quantile}
        products = null_products(
            stream, live, settings["draws"], seed, exchangeable=meta["kind"] == "attribution"
        )
        lists, threshold = _edge_lists(
            covariance, live, products, k, quantile, settings["draws"], seed
        )
        if len(lists["data"][0]) == 0:
            reason = f"no pair of features correlates above the threshold |r| = {threshold[0]:.4f}"
    isolated = state == LIVE
    if lists:
        isolated[lists["data"][0].ravel()] = False
    content = {
        "threshold": threshold,
        "dead": state != LIVE,
        "dead_reason": state,
        "isolated": isolated,
    }
    for name, (edges, weights) in lists.items():
        content |= {name: edges, f"{name}.r": weights}
    result |= {"status": "refused" if reason else "ok", "reason": reason}
    result |= {"isolated": int(isolated.sum()), "draws": settings["draws"]}
    return content, result


def _edge_lists(
    covariance: Mapping[str, np.ndarray],
    live: np.ndarray,
    products: tuple[np.ndarray, np.ndarray],
    k: int,
    quantile: float,
    draws: int,
    seed: int,
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Edge lists with weights by name, and the thresholds of data and halves (3,)."""
    permuted_dd, rolled_dd = products
    square = np.ix_(live, live)
    lists = {}

    def add(name: str, r: np.ndarray, limit: float) -> None:
        edges = nearest_neighbours(r, k, limit)
        lists[name] = (live[edges].astype(np.int32), r[edges[:, 0], edges[:, 1]])

    r_data = correlation(full(covariance).m2[square])
    threshold = [rolled_threshold(rolled_dd.sum(axis=1), quantile)]
    add("data", r_data, threshold[0])
    for half, moments in enumerate(of_halves(covariance)):
        threshold.append(rolled_threshold(rolled_dd[:, half], quantile))
        add(f"half{half}", correlation(moments.m2[square]), threshold[-1])
    for draw in range(draws):
        add(f"permuted.{draw}", correlation(permuted_dd[draw]), 0.0)
        add(f"rolled.{draw}", correlation(rolled_dd[draw].sum(axis=0)), 0.0)
        generator = np.random.default_rng([seed, _ENTRIES, draw])
        add(f"entries.{draw}", permuted_entries(r_data, generator), 0.0)
    return lists, np.array(threshold)
