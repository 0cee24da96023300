"""One number for a curve of faithfulness over circuit size: CPR, CMD and the area over log size.

Trapezoid over the sizes that were evaluated, without a point at 0 (Mueller et al. 2025, MIB):
CPR = integral of f dk, CMD = integral of |1 - f| dk, both ruled by large circuits: half of their
weight lies above k = 0.5. The log area, integral of f d(ln k) / ln(k_max / k_min), weighs every
decade alike.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from connectome.faithfulness import Reference
from connectome.statistics import interval

Array = np.ndarray
SHARES = {"f_at_1": 0.01, "f_at_2": 0.02, "f_at_5": 0.05}
_NEAR = 0.1  # relative distance at which a circuit stands for one of these shares


def cpr(k: Array, f: Array) -> Array:
    """Integrated circuit performance ratio of f (..., points) over increasing k (points,)."""
    return np.trapezoid(f, k, axis=-1)


def cmd(k: Array, f: Array) -> Array:
    """Integrated circuit-model distance of f (..., points) over increasing k (points,)."""
    return np.trapezoid(np.abs(1 - f), k, axis=-1)


def log_area(k: Array, f: Array) -> Array:
    """Mean of f (..., points) over ln k; NaN where all sizes are equal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.trapezoid(f, np.log(k), axis=-1) / np.log(k[-1] / k[0])


AREAS: Mapping[str, Callable[[Array, Array], Array]] = {
    "cpr": cpr,
    "cmd": cmd,
    "log_area": log_area,
    "leak": cpr,  # of the complements: what the circuits fail to carry
}
# Columns of a table of summaries, and of the table of all of them.
SUMMARIES: dict[str, type] = {
    "partition": str,
    "method": str,
    "ablation": str,
    "intervention": str,
    "error": str,  # one of parts.ERRORS; "" where no part is the error of a dictionary
    "ranking": str,
    "points": int,
    "k_min": float,
    "k_max": float,
    "cpr_empty": float,
    **{f"{name}{end}": float for name in AREAS for end in ("", "_lo", "_hi")},
    **dict.fromkeys(SHARES, float),
    "pairs": int,
    "distinct": int,
    "seed": int,
}


def summarise(
    sizes: Array,
    total: int,
    circuits: Array,
    complements: Array | None,
    reference: Reference,
    weights: Array,
) -> dict[str, Any]:
    """Areas of one curve, each with its bootstrap interval.

    sizes (points,): edges after pruning, or nodes kept, of `total`; circuits, complements: their
    metric (points, n), None where they were not run; weights (draws, n) resample numerators and
    denominators together. `cpr_empty` is the CPR of circuits that keep nothing but for the last of
    them: the part of CPR that every curve gets for nothing. Values are None where there is no gap
    to share.
    """
    order = np.argsort(sizes, kind="stable")
    k = sizes[order] / total
    record: dict[str, Any] = {
        "points": len(k),
        "k_min": float(k[0]),
        "k_max": float(k[-1]),
        "cpr_empty": float(cpr(k, (k == k[-1]).astype(float))),
    }
    whole = np.full((1, len(reference.model)), 1 / len(reference.model))
    for name, area in AREAS.items():
        of = complements if name == "leak" else circuits
        if of is None:
            record |= dict.fromkeys((name, f"{name}_lo", f"{name}_hi"))
            continue
        metric = of[order]
        value = float(area(k, shares(metric, reference, whole))[0])
        low, high = interval(area(k, shares(metric, reference, weights)))
        found = {name: value, f"{name}_lo": low, f"{name}_hi": high}
        record |= {key: x if np.isfinite(x) else None for key, x in found.items()}
    f = shares(circuits[order], reference, whole)[0]
    for name, share in SHARES.items():
        at = int(np.argmin(np.abs(k - share)))
        near = abs(k[at] - share) * total <= max(0.5, _NEAR * share * total)
        record[name] = float(f[at]) if near and np.isfinite(f[at]) else None
    return record


def shares(metric: Array, reference: Reference, weights: Array) -> Array:
    """Faithfulness (draws, points) of a metric (points, n) under each bootstrap weighting."""
    kept = metric - reference.empty
    with np.errstate(divide="ignore", invalid="ignore"):
        return (weights @ kept.T) / (weights @ reference.gap)[:, None]
