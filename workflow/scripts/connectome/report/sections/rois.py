"""ROIs: the groups that the block model found, and how far to believe them."""

from collections.abc import Mapping
from typing import Any

RANK = 30
TITLE = "Regions of interest"
KINDS = ("activation", "attribution")


def _pairs(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary}
        for model in plan["models"]
        for dictionary in plan["dictionaries"]
    ]


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    tables = ["sites", "levels", "rois", "summary"]
    drawn = ["rois.{model}.{dictionary}".format(**names) for names in _pairs(plan)]
    return [f"tables/{name}.csv" for name in tables] + [f"figures/{name}.svg" for name in drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per model and dictionary the sites, the refused ones, and the largest ROIs."""
    sites, rois = results.table("sites"), results.table("rois")
    results.table("levels")
    found = []
    for names in _pairs(plan):
        of_pair = sites.where(**names)
        found.append(
            {
                "names": names,
                "figure": "rois.{model}.{dictionary}".format(**names),
                "find": results.summary(names["model"], names["dictionary"]),
                "sites": of_pair,
                "refused": [row for row in of_pair if row["status"] != "ok"],
                "failed": [row for row in of_pair if row["null_pass"] == "false"],
                "rois": rois.where(**names),
            }
        )
    return {"found": found, "sites": sites, "rois": rois, "kinds": KINDS}
