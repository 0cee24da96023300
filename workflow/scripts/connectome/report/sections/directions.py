"""Directions: do members of a region write and read the same thing? Heads of features beside it."""

from collections.abc import Mapping
from typing import Any

RANK = 34
TITLE = "Is a region more than a wider feature?"
TABLES = ("directions", "feature_heads", "head_overlap")
BY_CHANCE = 0.05  # p above which a cosine is no more than random groups give


def _pairs(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary}
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        if covered["sites"]
    ]


def _attention(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    """Attention sites whose features are those of a dictionary: native ones have a head."""
    return [
        names | {"site": site}
        for names in _pairs(plan)
        for site in plan["models"][names["model"]]["dictionaries"][names["dictionary"]]["sites"]
        if site.startswith("attn") and names["dictionary"] != plan["native"]
    ]


def _figure(names: Mapping[str, str]) -> str:
    return "heads.{model}.{dictionary}.{site}".format(**names)


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads; none where nothing is grouped."""
    if not _pairs(plan):
        return []
    drawn = [f"figures/{_figure(names)}.svg" for names in _attention(plan)]
    return [f"tables/{name}.csv" for name in TABLES] + drawn


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per model and dictionary a claim for each partition; per attention site its heads."""
    if not _pairs(plan):
        return {"found": []}
    tables = {name: results.table(name) for name in TABLES}
    found = []
    for names in _pairs(plan):
        lines = tables["directions"].where(**names)
        ends = {
            end: {row["partition"]: row for row in lines if (row["of"], row["end"]) == ("all", end)}
            for end in ("writing", "reading")
        }
        found.append(
            {
                "names": names,
                "native": names["dictionary"] == plan["native"],
                "claims": [
                    {
                        "partition": partition,
                        "writing": row,
                        "reading": ends["reading"].get(partition),
                        "verdict": verdict(row),
                    }
                    for partition, row in ends["writing"].items()
                ],
                "sites": [row for row in lines if row["of"] == "site"],
                "parts": [row for row in lines if row["of"] == "part"],
            }
        )
    return {
        "found": found,
        "heads": [_heads(tables, names) for names in _attention(plan)],
        "tables": tables,
    }


def verdict(row: Mapping[str, str]) -> str:
    """ "wider": most regions are one direction; "more": alike beyond chance only; or "chance"."""
    if 2 * int(row["parallel"]) >= int(row["parts"]):
        return "wider"
    beyond = int(row["above"]) > 0 or float(row["p"]) <= BY_CHANCE
    return "more" if beyond else "chance"


def _heads(tables: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    of_site = tables["feature_heads"].where(**names)
    return {
        "names": names,
        "figure": _figure(names),
        "site": next((row for row in of_site if row["of"] == "site"), None),
        "heads": [row for row in of_site if row["of"] == "head"],
        "agreement": tables["head_overlap"].where(**names, of="all"),
    }
