"""Faithfulness: what is left of each task when only a circuit runs."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectome.plots.palette import SERIES, THEME

RANK = 50
TITLE = "Faithfulness"


def _tasks(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary, "task": task}
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        for task in covered["tasks"]
    ]


def _pairs(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary}
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        if covered["tasks"]
    ]


def _units(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    """Tasks of dictionaries that are not native: their units stand on one axis with the others."""
    found = {
        (model, task): None
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        for task in covered["tasks"]
        if dictionary != plan["native"]
    }
    return [{"model": model, "task": task} for model, task in found]


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    drawn = ["ablation.{model}.{dictionary}".format(**names) for names in _pairs(plan)]
    drawn += ["faithfulness.{model}.{dictionary}.{task}".format(**names) for names in _tasks(plan)]
    drawn += ["units.{model}.{task}".format(**names) for names in _units(plan)]
    names = ("faithfulness", "errors", "sizes", "summary", "tests", "summaries", "stability")
    tables = [f"tables/{name}.csv" for name in names]
    return tables + [f"figures/{name}.svg" for name in drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The overview per model, and one figure per task with the sizes reached."""
    runs = results.table("faithfulness")
    results.table("errors")
    sizes, tests = results.table("sizes"), results.table("tests")
    areas, stability = results.table("summaries"), results.table("stability")
    method = plan["report"]["method"]
    wanted = {"method": plan["report"]["method"], "intervention": "edge"}
    overview = []
    for names in _pairs(plan):
        of_pair = sizes.where(**names, **wanted)
        find = results.summary(names["model"], names["dictionary"])
        partitions = dict.fromkeys(row["partition"] for row in of_pair)
        overview.append(
            {
                "names": names,
                "figure": "ablation.{model}.{dictionary}".format(**names),
                "find": find,
                "families": tests.where(**names, partition="all"),
                "needed": [p for p in partitions if find("edges_needed", partition=p)["value"]],
            }
        )
    figures = [
        {
            "names": names,
            "figure": "faithfulness.{model}.{dictionary}.{task}".format(**names),
            "sizes": sizes.where(**names, **wanted),
        }
        for names in _tasks(plan)
    ]
    target = results.table("summary").where(key="target")
    return {
        "tests": tests,
        "tested": [line for names in _pairs(plan) for line in tests.where(**names, method=method)],
        "areas": areas,
        "summarised": [
            line for names in _pairs(plan) for line in areas.where(**names, **wanted, task="all")
        ],
        "stability": stability,
        "resampled": [
            line
            for names in _pairs(plan)
            for line in stability.where(**names, method=method, task="all")
        ],
        "overview": overview,
        "units": [
            {
                "names": names,
                "figure": "units.{model}.{task}".format(**names),
                "sizes": sizes.where(**names),
            }
            for names in _units(plan)
        ],
        "figures": figures,
        "curves": curves(runs.lines, plan),
        "sizes": sizes,
        "shown": [line for figure in figures for line in figure["sizes"]],
        "target": target[0] if target else None,
    }


def curves(lines: Iterable[Any], plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Curves that the page draws, one per task and partition, from rows of faithfulness.csv.

    `selected`: edges taken by score, None where they were ranked otherwise than by |score|;
    `edges`: those left after pruning; `f`, `lo`, `hi`: faithfulness with its interval.
    """
    variable = {light: name for name, light, _ in THEME}
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    tasks = {tuple(names.values()) for names in _tasks(plan)}
    wanted = (plan["report"]["method"], "edge", "circuit")
    for line in lines:
        key = tuple(line[name] for name in ("model", "dictionary", "task", "partition"))
        kind = tuple(line[name] for name in ("method", "intervention", "mode"))
        if key[:3] not in tasks or kind != wanted or not line["f_ratio"]:
            continue
        if key not in found:
            look = SERIES.get(key[3])
            found[key] = dict(zip(("model", "dictionary", "task", "partition"), key, strict=True))
            found[key] |= {
                "label": look.label if look else key[3],
                "colour": variable[look.colour] if look else "muted",
                "competent": line["competent"] == "true",
                "points": [],
            }
        by_size = line["ranking"] == "absolute"
        numbers = [line["edges"], line["f_ratio"], line["f_lo"], line["f_hi"]]
        point = [int(line["selected"]) if by_size else None]
        found[key]["points"].append(point + [float(text) if text else None for text in numbers])
    for curve in found.values():
        curve["points"].sort(key=lambda point: point[1])
    return list(found.values())
