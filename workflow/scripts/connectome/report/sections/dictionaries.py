"""Dictionaries: how well sparse features give back what the model does, and what else would."""

from collections.abc import Mapping
from typing import Any

RANK = 15
TITLE = "Dictionaries"
MAIN = "dictionary"  # the run that is mapped, and the kind of rows that are no controls


def _pairs(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary}
        for model, facts in plan["models"].items()
        for dictionary in facts["judged"]
    ]


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads; none without such a dictionary."""
    if not _pairs(plan):
        return []
    figures = [f"figures/{_figure(names)}.svg" for names in _pairs(plan)]
    return ["tables/dictionaries.csv", *figures]


def _figure(names: Mapping[str, str]) -> str:
    return "dictionaries.{model}.{dictionary}".format(**names)


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per dictionary its sites, each with its controls, and all rows of its runs."""
    if not _pairs(plan):
        return {"found": []}
    table = results.table("dictionaries")
    found = []
    for names in _pairs(plan):
        lines = table.where(**names)
        sites = [line for line in lines if (line["run"], line["kind"]) == (MAIN, MAIN)]
        found.append(
            {
                "names": names,
                "figure": _figure(names),
                "lines": lines,
                "own": [line for line in lines if line["kind"] == MAIN],
                "sites": [
                    {
                        "line": line,
                        "controls": [
                            row
                            for row in table.where(**names, site=line["site"], run=MAIN)
                            if row["kind"] != MAIN
                        ],
                    }
                    for line in sites
                    if line["status"] == "ok"
                ],
                "refused": [line for line in lines if line["status"] != "ok"],
                "probed": [line for line in lines if line["probe_features_1"]],
            }
        )
    return {"found": found, "table": table}
