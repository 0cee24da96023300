"""sites.csv: what the block model found at each site; sizes of its levels in levels.csv.

nulls.csv: what it and other methods find in shuffled data; classical.csv: the complete weighted
model beside the default, where it was asked for.
"""

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
PART_COLUMNS = ("model", "dictionary", "site", "kind", "level", "part", "features", "parent")
NULL_COLUMNS = (
    "model",
    "dictionary",
    "site",
    "kind",
    "method",
    "data",
    "permuted_lo",
    "permuted_hi",
    "entries_lo",
    "entries_hi",
    "rolled_lo",
    "rolled_hi",
    "draws",
)
CLASSICAL_COLUMNS = (
    "model",
    "dictionary",
    "site",
    "kind",
    "status",
    "reason",
    "live",
    "blocks",
    "levels",
    "blocks_default",
    "description_length",
    "description_length_default",
    "description_length_one_block",
    "ami_default",
    "restarts",
    "restart_spread",
    "seed_ami",
    "own_blocks",
)
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
    """Features per part and level, from (names, sbm record); -1 ungrouped, -2 dead.

    `parent` is the part of the next level that holds a part, None at the coarsest level.
    """
    result = []
    for names, fit in records:
        for level, labels in enumerate(fit["levels"]):
            coarser = fit["levels"][level + 1] if level + 1 < len(fit["levels"]) else ()
            above = dict(zip(labels, coarser, strict=False))
            for part, count in sorted(Counter(labels).items()):
                of_part = {"level": level, "part": part, "features": count}
                result.append(dict(names) | of_part | {"parent": above.get(part)})
    return result


def null_rows(
    records: Iterable[tuple[Mapping[str, str], Mapping[str, Any], Mapping[str, Any]]],
) -> list[Row]:
    """Groups in the data and in its nulls, from (names, sbm record, communities of the site).

    One row per site, kind and method: the block model, and those of the communities ({method:
    {"data": [n], null: [n, ...]}}). `_lo` and `_hi` are the fewest and the most groups over the
    draws of a null.
    """
    result = []
    for names, fit, communities in records:
        if fit["status"] != "ok":
            continue
        found = {"block model": {"data": fit["blocks"][:1], **fit["null"]}, **communities}
        for method, counts in found.items():
            row = dict(names) | {"method": method, "data": counts["data"][0]}
            for null in _NULLS:
                draws = counts.get(null) or [None]
                row |= {f"{null}_lo": min(draws), f"{null}_hi": max(draws)}
            result.append(row | {"draws": len(counts.get("permuted") or [])})
    return result


def classical_rows(records: Iterable[tuple[Mapping[str, str], Mapping[str, Any]]]) -> list[Row]:
    """One row per site that asked for the classical model, from (names, sbm record).

    Description lengths in nats of the complete weighted graph: under the classical partition,
    under the default's, as one block. `restart_spread`: of the restarts' description lengths.
    """
    result = []
    for names, fit in records:
        found = fit["classical"]
        if found is None:
            continue
        lengths = [restart["description_length"] for restart in found["restarts"]]
        row = dict(names) | {
            "live": fit["live"],
            "blocks": found["blocks"][0] if found["blocks"] else None,
            "levels": " > ".join(map(str, found["blocks"])),
            "blocks_default": fit["blocks"][0] if fit["blocks"] else None,
            "restarts": len(lengths),
            "restart_spread": max(lengths) - min(lengths) if lengths else None,
        }
        result.append(row | {key: found[key] for key in CLASSICAL_COLUMNS if key not in row})
    return result
