"""agreement.csv: first-order edge scores against exact ablation of every single edge.

stability.csv: how much of a circuit comes back from other prompts or another method.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
from scipy.stats import rankdata

from connectome.parts import reader_name
from connectome.recovery import recovery
from connectome.tabulate.identity import Row, defined, median

COLUMNS = (
    "model",
    "dictionary",
    "task",
    "partition",
    "method",
    "edges",
    "spearman_abs",
    "pearson",
    "top",
    "top_overlap",
    "chance",
    "gap",
    "positive",
    "auroc",
    "average_precision",
)
YARDSTICK = "exact"
EFFECT = 0.01  # of the gap: an edge whose exact effect is larger counts
Circuits = Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]]


def gaps(faithfulness: Iterable[Mapping[str, str]]) -> dict[tuple[str, ...], float]:
    """m(N) - m({}) by (model, dictionary, task), from rows of faithfulness.csv as read."""
    return {
        (row["model"], row["dictionary"], row["task"]): float(row["m_model"])
        - float(row["m_empty"])
        for row in faithfulness
    }


def able(faithfulness: Iterable[Mapping[str, str]]) -> set[tuple[str, ...]]:
    """(model, dictionary, task) of the tasks that the model can do, from the same rows."""
    return {
        (row["model"], row["dictionary"], row["task"])
        for row in faithfulness
        if row["competent"] == "true"
    }


def rows(circuits: Circuits, gap_of: Mapping[tuple[str, ...], float], top: int = 20) -> list[Row]:
    """One row per partition and method of which the exact scores of the same edges exist.

    `top_overlap` is the share of the `top` strongest edges that are among the `top` strongest
    exact ones, `chance` what random ranks give. AUROC and average precision tell by |score| which
    edges have an exact effect above EFFECT of the gap; `positive` of them do, which over the
    number of edges is the average precision of random ranks.
    """
    result: list[Row] = []
    for names, edges in circuits:
        scores: dict[tuple[str, str], dict[str, float]] = {}
        for row in edges:
            edge = f"{row['src']}->{reader_name(row['dst'], row['slot'])}"
            scores.setdefault((row["partition"], row["method"]), {})[edge] = row["score"]
        for (partition, method), found in scores.items():
            exact = scores.get((partition, YARDSTICK))
            if exact is None or method == YARDSTICK:
                continue
            common = sorted(
                edge
                for edge in found.keys() & exact.keys()
                if np.isfinite([found[edge], exact[edge]]).all()
            )
            x = np.array([found[edge] for edge in common])
            y = np.array([exact[edge] for edge in common])
            gap = abs(gap_of[names["model"], names["dictionary"], names["task"]])
            result.append(
                dict(names)
                | {"partition": partition, "method": method, "edges": len(common), "gap": gap}
                | compare(x, y, top)
                | detect(x, np.abs(y) > EFFECT * gap)
            )
    return result


def detect(x: np.ndarray, positive: np.ndarray) -> Row:
    """How well |scores| (edges,) find the edges that are `positive`; None where all or none are."""
    found = recovery(x, positive)
    return {
        "positive": found.positives,
        "auroc": found.auroc,
        "average_precision": found.average_precision,
    }


def compare(x: np.ndarray, y: np.ndarray, top: int) -> Row:
    """Agreement of scores (edges,) with exact ones; None where a side is constant."""
    k = min(top, len(x))
    strongest = [set(np.argsort(-np.abs(v), kind="stable")[:k].tolist()) for v in (x, y)]
    return {
        "spearman_abs": _pearson(rankdata(np.abs(x)), rankdata(np.abs(y))),
        "pearson": _pearson(x, y),
        "top": k,
        "top_overlap": len(strongest[0] & strongest[1]) / k if k else None,
        "chance": k / len(x) if len(x) else None,
    }


def _pearson(x: np.ndarray, y: np.ndarray) -> float | None:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


STABILITY_COLUMNS = (
    *("model", "dictionary", "task", "partition", "method", "compared", "other", "of", "share"),
    *("selected", "total", "jaccard", "lo", "hi", "chance", "all_prompts"),
    *("draws", "pairs", "distinct"),
)


_COMPARISON = (
    *("model", "dictionary", "partition", "method", "compared", "other", "of", "share"),
    *("draws",),
)


def stability_rows(resampled: Circuits, done: Container[tuple[str, ...]]) -> list[Row]:
    """All comparisons of resampled circuits with model, dictionary and task.

    Rows of the task "all" hold medians over the tasks that the model can do (`done`, by model,
    dictionary and task); there the smallest and the largest index stand in place of the quantiles.
    """
    result = [
        dict(names) | {name: defined(row[name]) for name in STABILITY_COLUMNS[3:]}
        for names, found in resampled
        for row in found
    ]
    comparisons: dict[tuple[Any, ...], list[Row]] = {}
    for row in result:
        if (row["model"], row["dictionary"], row["task"]) in done:
            comparisons.setdefault(tuple(row[name] for name in _COMPARISON), []).append(row)
    for key, rows_of in comparisons.items():
        indices = [row["jaccard"] for row in rows_of]
        medians = {
            name: median(row[name] for row in rows_of if row[name] is not None)
            for name in ("jaccard", "chance", "all_prompts")
        }
        result.append(
            dict.fromkeys(STABILITY_COLUMNS)
            | dict(zip(_COMPARISON, key, strict=True))
            | {"task": "all", **medians, "lo": min(indices), "hi": max(indices)}
        )
    return result
