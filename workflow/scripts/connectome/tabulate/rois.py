"""rois.csv: every ROI and how tightly it moves; roi_scores.csv: its part in each task."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from connectome.moments import correlation, full
from connectome.tabulate.identity import Row, defined

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
KINDS = {"rois": "activation", "rois_attribution": "attribution", "kmeans": "attribution"}
_STABILITY = {"rois": "stability", "rois_attribution": "stability_attribution"}
_DRAWS = 99


def rows(
    names: Mapping[str, str],
    partitions: Mapping[str, list[Any]],
    correlations: Mapping[tuple[str, str], np.ndarray],
    seed: int,
) -> list[Row]:
    """One row per ROI of one model and dictionary.

    partitions: columns of the partitions file. correlations: (site, kind) -> (d, d). `mean_r` is
    the mean |r| over pairs inside, `mean_r_random` its mean over 99 random sets of as many live
    features of the site, `mean_r_random_hi` their 95th percentile; a part that fills its site has
    no such sets.
    """
    of_feature = np.array(partitions["site"])
    result: list[Row] = []
    for partition, kind in KINDS.items():
        if partition not in partitions:
            continue
        labels = np.array(partitions[partition])
        for site in dict.fromkeys(partitions["site"]):
            members = np.flatnonzero(of_feature == site)
            order = np.argsort(np.array(partitions["feature"])[members], kind="stable")
            members = members[order]
            strength = np.abs(correlations[site, kind])
            live = np.flatnonzero(labels[members] != -2)
            for part in range(int(labels[members].max(initial=-1)) + 1):
                inside = np.flatnonzero(labels[members] == part)
                rng = np.random.default_rng([seed, part, len(inside)])
                null = _random_strengths(strength, live, len(inside), rng)
                result.append(
                    dict(names)
                    | {
                        "partition": partition,
                        "site": site,
                        "part": part_name(site, part),
                        "features": len(inside),
                        "stability": _mean_stability(partitions, partition, members[inside]),
                        "mean_r": mean_inside(strength, inside),
                        "mean_r_random": defined(float(np.mean(null))) if null else None,
                        "mean_r_random_hi": defined(float(np.quantile(null, 0.95)))
                        if null
                        else None,
                    }
                )
    return result


def part_name(site: str, part: int) -> str:
    """Exchange name of part k of a labelling: `m2.r17` at mlp.2."""
    return f"{site[0]}{site.split('.')[1]}.r{part}"


def mean_inside(strength: np.ndarray, members: np.ndarray) -> float | None:
    """Mean of a symmetric matrix over pairs of different members; None below two members."""
    n = len(members)
    if n < 2:
        return None
    inside = strength[np.ix_(members, members)]
    return float((inside.sum() - np.trace(inside)) / (n * (n - 1)))


def _random_strengths(
    strength: np.ndarray, live: np.ndarray, size: int, rng: np.random.Generator
) -> list[float]:
    if not 2 <= size < len(live):
        return []  # a part that is the whole site can only be compared with itself
    sets = (rng.choice(live, size, replace=False) for _ in range(_DRAWS))
    return [value for value in (mean_inside(strength, s) for s in sets) if value is not None]


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


def correlations_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Correlation (d, d) of all samples of a covariance file."""
    return correlation(full(arrays).m2)
