"""sites.csv: what the block model found at each site; sizes of its levels in levels.csv."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from connectome.tabulate.identity import Row, defined

COLUMNS = (
    "model",
    "dictionary",
    "site",
    "kind",
    "status",
    "reason",
    "features",
    "live",
    "grouped",
    "unit",
    "samples",
    "edges",
    "threshold",
    "restarts",
    "blocks",
    "levels",
    "description_length",
    "description_length_one_block",
    "description_length_uncorrected",
    "seed_ami",
    "half_ami",
    "half_ami_null",
    "null_permuted",
    "null_entries",
    "null_rolled",
    "null_pass",
)
PART_COLUMNS = ("model", "dictionary", "site", "kind", "level", "part", "features")
_NULLS = ("permuted", "entries", "rolled")


def rows(
    records: Iterable[tuple[Mapping[str, str], Mapping[str, Any], Mapping[str, Any], float]],
) -> list[Row]:
    """One row per site and kind, from (names, sbm record, graph metadata, graph threshold).

    `levels` are the block counts from the finest level up, `null_*` the largest block count over
    the draws of that null.
    """
    return [_row(*record) for record in records]


def _row(
    names: Mapping[str, str],
    fit: Mapping[str, Any],
    graph: Mapping[str, Any],
    threshold: float,
) -> Row:
    row: Row = dict(names) | {
        "status": fit["status"],
        "reason": fit["reason"],
        "features": fit["features"],
        "live": fit["live"],
        "grouped": fit["grouped"],
        "unit": graph["unit"],
        "samples": graph["samples"],
        "edges": fit["edges"],
        "threshold": defined(threshold),
        "restarts": len(fit.get("restarts") or []),
        "blocks": fit["blocks"][0] if fit["blocks"] else 0,
        "levels": " > ".join(map(str, fit["blocks"])),
        "null_pass": fit.get("null_pass"),
    }
    draws = fit.get("null") or {}
    row |= {f"null_{name}": max(draws[name]) if draws.get(name) else None for name in _NULLS}
    return row | {name: defined(fit.get(name)) for name in COLUMNS if name not in row}


def part_rows(records: Iterable[tuple[Mapping[str, str], Mapping[str, Any]]]) -> list[Row]:
    """Features per part and level, from (names, sbm record); -1 ungrouped, -2 dead."""
    return [
        dict(names) | {"level": level, "part": part, "features": count}
        for names, fit in records
        for level, labels in enumerate(fit["levels"])
        for part, count in sorted(Counter(labels).items())
    ]
