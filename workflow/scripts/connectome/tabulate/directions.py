"""directions.csv: mean cosines inside parts, beside those of random groups of the same sizes."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectome.significance import adjusted
from connectome.tabulate.identity import Row, defined
from connectome.tabulate.rois import part_name

COLUMNS = (
    *("model", "dictionary", "partition", "end", "of", "site", "part", "parts", "members"),
    *("value", "null", "null_lo", "null_hi", "p", "draws"),
    *("p_adjusted", "above", "parallel", "parallel_from"),
)
LEVEL = 0.05  # of p, corrected over the parts of all sites
PARALLEL = 0.7  # mean cosine at which a part is nearly one direction

Named = Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]]


def rows(measured: Named) -> list[Row]:
    """One row per part, per site, and for all sites together, from tables of directions.SCHEMA.

    `p_adjusted` is corrected over the parts of all sites under one partition; `above` counts parts
    where it is at most LEVEL, `parallel` those with a cosine of at least PARALLEL.
    """
    result: list[Row] = []
    for names, found in measured:
        families: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for row in found:
            families.setdefault((row["partition"], row["end"]), []).append(row)
        for family in families.values():
            result += [dict(names) | row for row in _family(family)]
    return result


def _family(found: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows of one partition and end."""
    every: list[Row] = [dict.fromkeys(COLUMNS[2:]) | dict(row) for row in found]
    parts = [row for row in every if row["of"] == "part"]
    for row, p in zip(parts, adjusted([row["p"] for row in parts]), strict=True):
        row["p_adjusted"] = p
    for row in every:
        if row["of"] == "part":
            row["part"] = part_name(row["site"], row["part"])
        elif row["draws"]:
            inside = [part for part in parts if row["site"] in (None, part["site"])]
            tested = [part for part in inside if part["p"] is not None]
            row["above"] = sum(part["p_adjusted"] <= LEVEL for part in tested)
            row["parallel"] = sum(part["value"] >= PARALLEL for part in tested)
            row["parallel_from"] = PARALLEL
    return [{name: defined(row[name]) for name in COLUMNS[2:]} for row in every]
