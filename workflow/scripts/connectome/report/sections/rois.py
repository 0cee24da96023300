"""ROIs: the groups that the block model found, how far to believe them, and other ways to group."""

from collections.abc import Mapping, Sequence
from typing import Any

RANK = 30
TITLE = "Regions of interest"
KINDS = ("activation", "attribution")
TABLES = (
    "sites",
    "levels",
    "rois",
    "partitions",
    "partition_agreement",
    "nulls",
    "classical",
    "summary",
)


def _pairs(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary}
        for model, facts in plan["models"].items()
        for dictionary in facts["dictionaries"]
    ]


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    drawn = [
        f"{kind}.{names['model']}.{names['dictionary']}"
        for names in _pairs(plan)
        for kind in ("rois", "partitions")
    ]
    return [f"tables/{name}.csv" for name in TABLES] + [f"figures/{name}.svg" for name in drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per model and dictionary its rows of every table, and those that a sentence needs."""
    tables = {name: results.table(name) for name in TABLES}
    found = []
    for names in _pairs(plan):
        lines = {name: table.where(**names) for name, table in tables.items()}
        stem = "{model}.{dictionary}".format(**names)
        found.append(
            lines
            | {
                "names": names,
                "figure": f"rois.{stem}",
                "agreement_figure": f"partitions.{stem}",
                "find": results.summary(names["model"], names["dictionary"]),
                "refused": [row for row in lines["sites"] if row["status"] != "ok"],
                "failed": [row for row in lines["sites"] if row["null_pass"] == "false"],
                "noise": _most_found_in_noise(lines["nulls"]),
                "matched": next(
                    (row["matched"] for row in lines["partitions"] if row["matched"]), ""
                ),
                "fitted_classical": [row for row in lines["classical"] if row["status"] == "ok"],
                "own_blocks": [row for row in lines["classical"] if row["own_blocks"] == "true"],
            }
        )
    return {"found": found, "tables": tables, "kinds": KINDS}


def _most_found_in_noise(nulls: Sequence[Any]) -> dict[str, Any] | None:
    """The rows, by method, of the site where Leiden finds most groups in permuted data."""
    leiden = [row for row in nulls if row["method"] == "leiden" and row["permuted_lo"]]
    if not leiden:
        return None
    worst = max(leiden, key=lambda row: int(row["permuted_lo"]))
    place = (worst["site"], worst["kind"])
    return {row["method"]: row for row in nulls if (row["site"], row["kind"]) == place}
