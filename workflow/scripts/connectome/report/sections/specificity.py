"""Specificity: what is left of every task when the parts of one are ablated, or kept alone."""

from collections.abc import Mapping
from typing import Any

RANK = 52
TITLE = "Specificity"
SETS = ("circuit", "assigned")
LEVEL, HALF = 0.05, 0.5


def _pairs(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"model": model, "dictionary": plan["native"]} for model in plan["models"]]


def _figure(names: Mapping[str, str], sets: str) -> str:
    return "specificity.{model}.{dictionary}.{sets}".format(**names, sets=sets)


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    drawn = [_figure(names, sets) for names in _pairs(plan) for sets in SETS]
    tables = ["tables/specificity.csv", "tables/specificity_summary.csv"]
    return tables + [f"figures/{name}.svg" for name in drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per model and dictionary one claim per partition, kind of sets and intervention."""
    cells, summary = results.table("specificity"), results.table("specificity_summary")
    found = [
        {
            "names": names,
            "figures": [{"name": _figure(names, sets), "sets": sets} for sets in SETS],
            "claims": [
                {"line": line, "verdict": verdict(line)}
                for line in summary.where(**names, measure="f")
            ],
            "cannot": [line for line in cells.where(**names) if not line["partition"]],
        }
        for names in _pairs(plan)
    ]
    return {
        "of_tasks": cells,
        "summary": summary,
        "found": found,
        "shown": [line for names in _pairs(plan) for line in summary.where(**names)],
    }


def verdict(line: Any) -> str:
    """ "holds", "partly", "fails" or "untested": do the parts of a task carry it and no other?

    Chance is beaten where the separation lies above 0 with its interval, above that of random sets
    of as many parts, and above that of the same sets handed to the tasks at random (corrected p).
    It holds where moreover more than half of the metric is left on the one side (beside the
    diagonal for ablation, on it for keeping) and less than half on the other; a difference that is
    beyond chance but no such contrast holds in part.
    """
    if line["status"] != "ok" or not line["separation_lo"] or not line["null_hi"]:
        return "untested"
    beaten = (
        float(line["separation_lo"]) > 0
        and float(line["separation_first"]) > float(line["null_hi"])
        and float(line["p_labels_adj"]) <= LEVEL
    )
    if not beaten:
        return "fails"
    on, beside = float(line["diagonal"]), float(line["beside"])
    low, high = (on, beside) if line["intervention"] == "ablate" else (beside, on)
    return "holds" if low < HALF < high else "partly"
