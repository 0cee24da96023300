"""Circuits: which parts carry each task, drawn layer by layer."""

from collections.abc import Mapping
from typing import Any

RANK = 40
TITLE = "Circuits"


def _circuits(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary, "task": task, "partition": partition}
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        for task in covered["tasks"]
        for partition in plan["report"]["circuits"]
    ]


def _figure(names: Mapping[str, str]) -> str:
    return "circuit.{model}.{dictionary}.{task}.{partition}".format(**names)


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    tables = ["circuits", "agreement", "roi_scores", "roi_sizes", "sizes", "summary"]
    drawn = [_figure(names) for names in _circuits(plan)]
    return [f"tables/{name}.csv" for name in tables] + [f"figures/{name}.svg" for name in drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """One drawing per task and partition, with its edges and its summary rows."""
    edges, agreement = results.table("circuits"), results.table("agreement")
    results.table("roi_scores")
    sizes = results.table("sizes")
    figures = []
    for names in _circuits(plan):
        wanted = names | {"method": plan["report"]["method"], "intervention": "edge"}
        size = sizes.where(**wanted)
        figures.append(
            {
                "names": names,
                "figure": _figure(names),
                "edges": edges.where(**names),
                "size": size[0] if size else None,
                "strongest": results.summary(names["model"], names["dictionary"])(
                    "strongest", task=names["task"], partition=names["partition"]
                ),
            }
        )
    compared = [
        {
            "names": {"model": model, "dictionary": dictionary, "partition": partition},
            "find": results.summary(model, dictionary),
        }
        for model, facts in plan["models"].items()
        for dictionary in facts["dictionaries"]
        for partition in dict.fromkeys(
            row["partition"] for row in agreement.where(model=model, dictionary=dictionary)
        )
    ]
    return {
        "figures": figures,
        "edges": edges,
        "agreement": agreement,
        "compared": compared,
        "by_size": results.table("roi_sizes"),
    }
