"""How much of a circuit comes back when the discovery prompts are drawn again.

Circuits of equal size are selected from the mean scores of each resample and compared by Jaccard
index |A & B| / |A | B|, beside what two random sets of that size share (k / (2 - k) for the share k
of all edges; Meloux et al. 2025). Compared are the selected edges or nodes, by absolute score,
before pruning: pruned circuits differ in size.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome.parts import PartGraph
from connectome.scores import Scores
from connectome.statistics import bootstrap_weights

Array = np.ndarray
Key = tuple[str, str]  # partition, method
SCHEMA = pa.schema(
    {
        "partition": pa.string(),
        "method": pa.string(),
        "compared": pa.string(),  # resamples | halves | methods
        "other": pa.string(),  # the method compared with
        "of": pa.string(),  # edges | nodes
        "share": pa.float64(),
        "selected": pa.int32(),
        "total": pa.int32(),
        "jaccard": pa.float64(),
        "lo": pa.float64(),
        "hi": pa.float64(),
        "chance": pa.float64(),
        "all_prompts": pa.float64(),
        "draws": pa.int32(),
        "pairs": pa.int32(),
        "distinct": pa.int32(),
    }
)
_UNDEFINED = dict.fromkeys(("jaccard", "lo", "hi"))  # one distinct prompt cannot be drawn again


def half_weights(groups: Array, draws: int, seed: int) -> tuple[Array, Array]:
    """Weights (draws, n) of two halves of the prompts, split at random by distinct prompt.

    Unlike two resamples they share no prompt; each has half as many. A single distinct prompt
    stands in both.
    """
    _, member = np.unique(groups, return_inverse=True)
    count = int(member.max()) + 1
    ranks = np.random.default_rng(seed).random((draws, count)).argsort(axis=1).argsort(axis=1)
    first = (ranks < count // 2)[:, member].astype(np.float64)
    halves = (first, 1 - first) if count > 1 else (first + 1, first + 1)
    first, second = (half / half.sum(axis=1, keepdims=True) for half in halves)
    return first, second


def orders(scores: Array, weights: Array) -> Array:
    """Candidates by decreasing |mean score| under each weighting, int (draws, candidates).

    scores (n, candidates) in the order of their names, by which ties break; weights (draws, n).
    """
    return np.argsort(-np.abs(weights @ scores), axis=1, kind="stable")


def selections(ordered: Array, size: int) -> Array:
    """The first `size` of each order, 0/1 float32 (draws, candidates)."""
    picked = np.zeros(ordered.shape, dtype=np.float32)
    np.put_along_axis(picked, ordered[:, :size], 1, axis=1)
    return picked


def jaccard(left: Array, right: Array) -> Array:
    """Jaccard indices (draws, draws') of all pairs of 0/1 rows (draws, candidates)."""
    shared = left @ right.T
    return shared / (left.sum(axis=1)[:, None] + right.sum(axis=1)[None, :] - shared)


def chance(selected: int, total: int) -> float:
    """Jaccard index of two random sets: k / (2 - k) for k = selected / total."""
    return selected / (2 * total - selected)


def candidates(scores: Scores, graph: PartGraph) -> dict[str, Array]:
    """Scores (n, candidates) of what can be selected, by name: edges, and nodes but the input."""
    by_name = np.argsort(graph.names[1:-1]) + 1
    found = {"nodes": scores.nodes[:, by_name]}
    if scores.edges is not None:
        reader, writer = graph.edges
        found["edges"] = scores.edges[:, reader, writer]
    return found


def table(
    found: Mapping[Key, Scores],
    graphs: Mapping[str, PartGraph],
    groups: Array,
    settings: Mapping[str, Any],
    seed: int,
) -> pa.Table:
    """Stability of every partition and method: one row per comparison, kind and size (SCHEMA).

    found: scores per prompt; a method that ran on fewer prompts ran on the first ones. groups (n,):
    numbers of the distinct prompts, which are resampled as wholes. settings: stability_draws,
    stability_sizes. `compared`: "resamples" (all pairs of bootstrap resamples), "halves" (two
    disjoint halves, split `draws` times) or "methods" (two methods, resample by resample;
    `all_prompts` is their index without resampling). Quantiles are 2.5 and 97.5 % over the pairs.
    Where there is one distinct prompt, indices and quantiles are empty.
    """
    draws, rows = settings["stability_draws"], []
    weights = {
        n: _Weights.of(groups[:n], draws, seed) for n in {len(s.nodes) for s in found.values()}
    }
    ordered: dict[tuple[str, str], dict[str, _Orders]] = {}
    for (partition, method), scores in found.items():
        on = weights[len(scores.nodes)]
        for of, values in candidates(scores, graphs[partition]).items():
            orders_here = _Orders(*(orders(values, some) for some in on.weights))
            total, known = values.shape[1], ordered.setdefault((partition, of), {})
            for share in settings["stability_sizes"]:
                size = max(1, round(share * total))
                about = {"partition": partition, "method": method, "of": of, "share": share}
                about |= {"selected": size, "total": total, "chance": chance(size, total)}
                about |= {"draws": draws, "pairs": on.pairs, "distinct": on.distinct}
                nothing = {} if on.distinct > 1 else _UNDEFINED
                rows += [about | row | nothing for row in _compared(orders_here, known, size)]
            known[method] = orders_here
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA
    )


class _Orders(NamedTuple):
    """Orders of the candidates under each kind of weighting, each (draws, candidates)."""

    resamples: Array
    first_halves: Array
    second_halves: Array
    all_prompts: Array  # one row


@dataclass(frozen=True)
class _Weights:
    """Weights of n prompts, in the order of `_Orders`; methods that ran on as many share them."""

    weights: tuple[Array, Array, Array, Array]
    pairs: int
    distinct: int

    @classmethod
    def of(cls, groups: Array, draws: int, seed: int) -> "_Weights":
        n = len(groups)
        resampled, halves = (
            bootstrap_weights(groups, draws, seed),
            half_weights(groups, draws, seed),
        )
        weights = (resampled, *halves, np.full((1, n), 1 / n))
        return cls(weights, n, len(np.unique(groups)))


def _compared(ours: _Orders, others: Mapping[str, _Orders], size: int) -> Iterator[dict[str, Any]]:
    """One method with itself, and with each of the others."""
    picked, *halves, whole = (selections(order, size) for order in ours)
    pairs = np.triu_indices(len(picked), 1)
    yield {"compared": "resamples"} | _spread(jaccard(picked, picked)[pairs])
    yield {"compared": "halves"} | _spread(np.diagonal(jaccard(*halves)))
    for other, theirs in others.items():
        index = np.diagonal(jaccard(picked, selections(theirs.resamples, size)))
        at_once = jaccard(whole, selections(theirs.all_prompts, size))
        row = {"compared": "methods", "other": other, "all_prompts": float(at_once[0, 0])}
        yield row | _spread(index)


def _spread(indices: Array) -> dict[str, float]:
    low, high = np.quantile(indices, [0.025, 0.975])
    return {"jaccard": float(indices.mean(dtype=np.float64)), "lo": float(low), "hi": float(high)}
