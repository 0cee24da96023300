"""agreement.csv: first-order edge scores against exact ablation of every single edge."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.stats import rankdata

from connectome.tabulate.identity import Row

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
)
YARDSTICK = "exact"


def rows(
    circuits: Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]], top: int = 20
) -> list[Row]:
    """One row per partition and method of which the exact scores of the same edges exist.

    `top_overlap` is the share of the `top` strongest edges that are among the `top` strongest
    exact ones, `chance` what random ranks give.
    """
    result: list[Row] = []
    for names, edges in circuits:
        scores: dict[tuple[str, str], dict[str, float]] = {}
        for row in edges:
            edge = f"{row['src']}->{row['dst']}"
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
            result.append(
                dict(names)
                | {"partition": partition, "method": method, "edges": len(common)}
                | compare(x, y, top)
            )
    return result


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
