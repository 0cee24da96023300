"""rois.csv: every ROI and how tightly it moves; roi_scores.csv: its part in each task.

Parts of the control partitions stand beside the ROIs, measured in the same way.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from connectome.moments import Found, correlations
from connectome.tabulate.identity import Row

COLUMNS = (
    "model",
    "dictionary",
    "partition",
    "site",
    "part",
    "features",
    "stability",
    "mean_r",
    "mean_r_random",
    "mean_r_random_hi",
    "density",
    "density_random",
    "density_random_hi",
)
SCORE_COLUMNS = (
    "model",
    "dictionary",
    "partition",
    "task",
    "method",
    "node",
    "site",
    "features",
    "score",
    "se",
    "share",
)
_STABILITY = {"rois": "stability", "rois_attribution": "stability_attribution"}
_DRAWS = 99


def kinds(partitions: Iterable[str], meta: Mapping[str, Any]) -> dict[str, str]:
    """Those of the partitions that are made from data of one kind, with that kind."""
    of_file = meta["partitions"]
    found = {name: next(iter(of_file[name].values())) for name in partitions if name in of_file}
    return {name: about["kind"] for name, about in found.items() if about.get("kind")}


def rows(
    names: Mapping[str, str],
    partitions: Mapping[str, list[Any]],
    kinds: Mapping[str, str],
    moments: Mapping[tuple[str, str], Found],
    edges: Mapping[tuple[str, str], np.ndarray],
    seed: int,
) -> list[Row]:
    """One row per part of the partitions in `kinds`, of one model and dictionary.

    partitions: columns of the partitions file. moments: by (site, kind); edges: (site, kind) ->
    (E, 2) of the graph. A site without moments has its labels, and its rows, from another
    dictionary. `mean_r` is the mean |r| over pairs inside, `density` the share of these pairs that
    the graph joins; `_random` their means over 99 random sets of as many live features of the site,
    `_random_hi` the 95th percentiles; a part that fills its site has no such sets.
    """
    of_feature = np.array(partitions["site"])
    result: list[Row] = []
    for partition, kind in kinds.items():
        labels = np.array(partitions[partition])
        for site in dict.fromkeys(partitions["site"]):
            if (site, kind) not in moments:
                continue
            members = np.flatnonzero(of_feature == site)
            order = np.argsort(np.array(partitions["feature"])[members], kind="stable")
            members = members[order]
            pairs = Pairs(moments[site, kind], edges[site, kind])
            live = np.flatnonzero(labels[members] != -2)
            for part in range(int(labels[members].max(initial=-1)) + 1):
                inside = np.flatnonzero(labels[members] == part)
                rng = np.random.default_rng([seed, part, len(inside)])
                row = dict(names) | {
                    "partition": partition,
                    "site": site,
                    "part": part_name(site, part),
                    "features": len(inside),
                    "stability": _mean_stability(partitions, partition, members[inside]),
                }
                result.append(row | _inside(pairs, live, inside, rng))
    return result


class Pairs(NamedTuple):
    """What pairs of features of a site have in common."""

    moments: Found
    edges: np.ndarray  # (E, 2) of the graph


def _inside(pairs: Pairs, live: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> Row:
    """Means over pairs inside a part, and inside random sets of its size."""
    size = len(inside)
    draws = _DRAWS if 2 <= size < len(live) else 0  # a whole site has only itself to compare with
    null = [mean_inside(pairs, rng.choice(live, size, replace=False)) for _ in range(draws)]
    found = mean_inside(pairs, inside)
    row: Row = {}
    for place, name in enumerate(("mean_r", "density")):
        random = [values[place] for values in null if values is not None]
        row |= {
            name: None if found is None else float(found[place]),
            f"{name}_random": float(np.mean(random)) if random else None,
            f"{name}_random_hi": float(np.quantile(random, 0.95)) if random else None,
        }
    return row


def part_name(site: str, part: int) -> str:
    """Exchange name of part k of a labelling: `m2.r17` at mlp.2."""
    return f"{site[0]}{site.split('.')[1]}.r{part}"


def mean_inside(pairs: Pairs, members: np.ndarray) -> tuple[float, float] | None:
    """Mean |r| and share of joined pairs over pairs of different members (n,).

    None below two members, or where there are more than `moments` relate to each other.
    """
    n = len(members)
    if not 2 <= n <= pairs.moments.widest:
        return None
    r = np.abs(correlations(pairs.moments, members))
    chosen = np.zeros(len(pairs.moments.mean), dtype=bool)
    chosen[members] = True
    joined = int(chosen[pairs.edges].all(axis=1).sum())
    return float((r.sum() - np.trace(r)) / (n * (n - 1))), 2 * joined / (n * (n - 1))


def _mean_stability(
    partitions: Mapping[str, list[Any]], partition: str, members: np.ndarray
) -> float | None:
    column = partitions.get(_STABILITY.get(partition, ""), [])
    values = [column[i] for i in members if i < len(column)]
    known = [v for v in values if v is not None and np.isfinite(v)]
    return float(np.mean(known)) if known else None


def score_rows(
    circuits: Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]], method: str
) -> list[Row]:
    """Scores of the parts of every labelling under one method, with share of the sum of |score|."""
    result: list[Row] = []
    for names, nodes in circuits:
        kept = [row for row in nodes if row["method"] == method and row["partition"] != "features"]
        totals: dict[str, float] = {}
        for row in kept:
            size = abs(row["score"] or 0.0)
            totals[row["partition"]] = totals.get(row["partition"], 0.0) + size
        for row in kept:
            total = totals[row["partition"]]
            score = row["score"]
            share = abs(score) / total if total and score is not None else None
            result.append(
                dict(names) | {name: row[name] for name in NODE_COLUMNS} | {"share": share}
            )
    return result


NODE_COLUMNS = ("partition", "method", "node", "site", "features", "score", "se")


def edges_of(graph: Mapping[str, np.ndarray]) -> np.ndarray:
    """Edges (E, 2) of the data in a graph file; none where the graph was refused early."""
    return graph.get("data", np.empty((0, 2), dtype=np.int32))
