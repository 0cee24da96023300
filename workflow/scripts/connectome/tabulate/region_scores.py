"""Attribution of ROIs in three normalisations, and rank correlations that show what size does.

Sums over members favour large regions, means punish sparse ones; so the sum, the mean over members
and the mean over active members (those whose own score is not 0) stand side by side.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from connectome.tabulate.identity import defined
from connectome.tabulate.rois import part_name

Named = Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]]


class Attribution(NamedTuple):
    """Attribution of a ROI to a task; None where its partition or single features have none."""

    total: float | None = None
    mean: float | None = None
    active: float | None = None


def attributions(nodes: Named, members: Named, method: str) -> dict[tuple[str, ...], Attribution]:
    """By (model, dictionary, task, partition, part), from tables of node scores and of members."""
    inside: dict[tuple[str, str], dict[tuple[str, str], list[tuple[str, int]]]] = {}
    for names, rows in members:
        of_pair = inside.setdefault((names["model"], names["dictionary"]), {})
        for row in rows:
            part = part_name(row["site"], row["part"])
            member = (part.split(".")[0], row["feature"])
            of_pair.setdefault((row["partition"], part), []).append(member)
    result: dict[tuple[str, ...], Attribution] = {}
    for names, rows in nodes:
        scored = [row for row in rows if row["method"] == method and row["score"] is not None]
        scores = {(row["partition"], row["node"]): row["score"] for row in scored}
        singles = {
            feature: row["score"]
            for row in scored
            if row["partition"] == "features" and (feature := _feature(row["node"]))
        }
        pair = (names["model"], names["dictionary"])
        for (partition, part), features in inside.get(pair, {}).items():
            total = scores.get((partition, part))
            if total is None:
                continue
            active = sum(singles.get(feature, 0) != 0 for feature in features)
            key = (*pair, names["task"], partition, part)
            per_active = total / active if active else None
            result[key] = Attribution(total, total / len(features), per_active)
    return result


def _feature(node: str) -> tuple[str, int] | None:
    """Module and number of a single feature, native (`m2.n17`) or of a dictionary (`m2.f17`)."""
    place, _, name = node.partition(".")
    return (place, int(name[1:])) if name[:1] in "nf" and name[1:].isdecimal() else None


def rank_correlation(x: Sequence[float | None], y: Sequence[float | None]) -> float | None:
    """Spearman correlation over the places where both are known; None below three of them."""
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if a is not None and b is not None]
    if len(pairs) < 3:
        return None
    ranks = [rankdata(values) for values in zip(*pairs, strict=True)]
    if min(np.ptp(values) for values in ranks) == 0:
        return None
    return defined(float(np.corrcoef(ranks)[0, 1]))
