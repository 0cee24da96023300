"""Covariance: how the features of each site move together."""

from collections.abc import Mapping
from typing import Any

RANK = 20
TITLE = "Covariance"
KINDS = ("activation", "attribution")


def _sites(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary, "site": site, "kind": kind}
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        for site in covered["sites"]
        for kind in KINDS
    ]


def figure_name(names: Mapping[str, str]) -> str:
    """Name of the figure of one site."""
    return "covariance.{model}.{dictionary}.{site}.{kind}".format(**names)


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    figures = [f"figures/{figure_name(names)}.svg" for names in _sites(plan)]
    return ["tables/sites.csv", *figures]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """One figure per site and kind, each with its row of sites.csv."""
    table = results.table("sites")
    figures = []
    for names in _sites(plan):
        rows = table.where(**names)
        figures.append(
            {"names": names, "figure": figure_name(names), "row": rows[0] if rows else None}
        )
    return {"figures": figures, "table": table}
