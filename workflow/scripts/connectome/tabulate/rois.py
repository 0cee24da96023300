"""rois.csv: every ROI and how tightly it moves; roi_scores.csv: its part in each task;
roi_sizes.csv: how much of that is its size.

Parts of the control partitions stand beside the ROIs, measured in the same way.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr

from connectome.moments import Found, correlations
from connectome.tabulate.identity import Row, share

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
    "active",
    "mean",
    "mean_active",
)
# A ROI's score as the sum over its members, per member, per member that is active in the task:
# sums favour large ROIs, dividing by size penalises those of sparse features.
NORMALISATIONS = ("score", "mean", "mean_active")
SIZE_COLUMNS = (
    *("model", "dictionary", "partition", "method", "normalisation"),
    *("tasks", "parts", "spearman", "spearman_lo", "spearman_hi"),
)
_STABILITY = {"rois": "stability", "rois_attribution": "stability_attribution"}
_DRAWS = 99
_SINGLE = re.compile(
    r"\.[nf](\d+)$"
)  # exchange name of a feature: `m2.n17`, of a dictionary `m2.f17`


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
    circuits: Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]],
    labels: Mapping[tuple[str, str], Mapping[str, list[Any]]],
    method: str,
) -> list[Row]:
    """Scores of the parts of every labelling under one method, with share of the sum of |score|.

    labels: columns of the partitions file by (model, dictionary). `mean` is the score per member,
    `active` the members that make any difference to the task by their own score (of partition
    `features`, where that was scored), `mean_active` the score per such member.
    """
    result: list[Row] = []
    for names, nodes in circuits:
        of_method = [row for row in nodes if row["method"] == method]
        kept = [row for row in of_method if row["partition"] != "features"]
        singles = [row for row in of_method if row["partition"] == "features"]
        counts = _active(singles, labels[names["model"], names["dictionary"]])
        totals: dict[str, float] = {}
        for row in kept:
            size = abs(row["score"] or 0.0)
            totals[row["partition"]] = totals.get(row["partition"], 0.0) + size
        for row in kept:
            score, active = row["score"], counts.get((row["partition"], row["node"]))
            result.append(
                dict(names)
                | {name: row[name] for name in NODE_COLUMNS}
                | {"share": _per(score and abs(score), totals[row["partition"]]), "active": active}
                | {"mean": _per(score, row["features"]), "mean_active": _per(score, active)}
            )
    return result


def _per(score: float | None, of: float | None) -> float | None:
    return None if score is None or of is None else share(score, of)


def _active(
    singles: Iterable[Mapping[str, Any]], labels: Mapping[str, list[Any]]
) -> dict[tuple[str, str], int]:
    """Members with a score other than 0, by partition and node; a part without any has 0."""
    scored = {
        (row["site"], int(found[1])): bool(row["mean_abs"])
        for row in singles
        if (found := _SINGLE.search(row["node"]))
    }
    counts: dict[tuple[str, str], int] = {}
    for partition in labels.keys() - {"site", "feature", *_STABILITY.values()} if scored else ():
        places = zip(labels["site"], labels["feature"], labels[partition], strict=True)
        for site, feature, part in places:
            if part is not None and part >= 0:
                key = partition, part_name(site, part)
                counts[key] = counts.get(key, 0) + scored.get((site, feature), False)
    return counts


def size_rows(scores: Iterable[Row]) -> list[Row]:
    """Rank correlation of |score| and size over the ROIs of a task, for each normalisation.

    Median, least and most over tasks; `parts` is the least number of ROIs of a task. A task counts
    where sizes and scores of at least three ROIs differ.
    """
    groups: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in scores:
        if row["active"] is not None:
            key = tuple(str(row[name]) for name in SIZE_COLUMNS[:4])
            groups.setdefault(key, {}).setdefault(row["task"], []).append(row)
    result: list[Row] = []
    for key, tasks in groups.items():
        for name in NORMALISATIONS:
            of_tasks = [
                [(abs(row[name]), row["features"]) for row in rows if row[name] is not None]
                for rows in tasks.values()
            ]
            usable = [pairs for pairs in of_tasks if _varies(pairs)]
            found = [float(spearmanr(*zip(*pairs, strict=True)).statistic) for pairs in usable]
            values: list[Any] = [len(usable), None, None, None, None]
            if usable:
                values[1:] = min(map(len, usable)), float(np.median(found)), min(found), max(found)
            result.append(dict(zip(SIZE_COLUMNS, (*key, name, *values), strict=True)))
    return result


def _varies(pairs: list[tuple[float, int]]) -> bool:
    return len(pairs) >= 3 and all(len(set(side)) > 1 for side in zip(*pairs, strict=True))


NODE_COLUMNS = ("partition", "method", "node", "site", "features", "score", "se")


def edges_of(graph: Mapping[str, np.ndarray]) -> np.ndarray:
    """Edges (E, 2) of the data in a graph file; none where the graph was refused early."""
    return graph.get("data", np.empty((0, 2), dtype=np.int32))
