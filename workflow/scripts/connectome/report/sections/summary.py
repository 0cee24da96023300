"""Summary: what was mapped, what was found, how far to believe it."""

from collections.abc import Mapping
from typing import Any

RANK = 0
TITLE = "Summary"
TABLES = ("models", "competence", "summary")


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    return [f"tables/{name}.csv" for name in TABLES]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per model and dictionary the summary rows, and whether each claim holds."""
    table = results.table("summary")
    found = []
    for model in results.table("models").lines:
        if model["model"] not in plan["models"]:
            continue
        for dictionary in plan["models"][model["model"]]["dictionaries"]:
            of_model = results.summary(model["model"])
            of_pair = results.summary(model["model"], dictionary)
            drawn = [
                p for p in plan["report"]["circuits"] if of_pair("circuits", partition=p)["key"]
            ]
            found.append(
                {
                    "model": model,
                    "dictionary": dictionary,
                    "of_model": of_model,
                    "of_pair": of_pair,
                    "cannot": table.where(key="task_cannot", model=model["model"]),
                    "drawn": drawn,
                    "needed": [p for p in drawn if of_pair("edges_needed", partition=p)["value"]],
                    "able": bool(of_model("accuracy_clean")["value"]),
                    "controls": _controls(table, model["model"], dictionary),
                    "verdicts": _verdicts(of_model, of_pair, drawn)
                    | {"controls": _beaten(_controls(table, model["model"], dictionary))},
                }
            )
    target = table.where(key="target")
    return {
        "table": table,
        "found": found,
        "target": target[0] if target else None,
        "missing_tables": [name for name in TABLES if results.table(name).missing],
    }


def _controls(table: Any, model: str, dictionary: str) -> list[Any]:
    """Rows that hold ROIs against other groupings of as many parts."""
    return table.where(key="fewer_features", model=model, dictionary=dictionary)


def _beaten(controls: list[Any]) -> str:
    shares = [float(row["value"]) / float(row["hi"]) for row in controls]
    return _joint(["holds" if s == 1 else ("partly" if s else "fails") for s in shares])


def _value(line: Any, column: str = "value") -> float | None:
    return float(line[column]) if line[column] else None


def _verdicts(of_model: Any, of_pair: Any, drawn: list[str]) -> dict[str, str]:
    """ "holds", "partly", "fails" or "untested" for each claim of the summary."""
    verdicts = {"able": _all_of(of_model("tasks_competent"), of_model("tasks"))}
    kinds = ("activation", "attribution")
    passed = [of_pair("sites_null_pass", kind=kind) for kind in kinds]
    fitted = [of_pair("sites_fitted", kind=kind) for kind in kinds]
    verdicts["rois"] = _joint([_all_of(p, f) for p, f in zip(passed, fitted, strict=True)])
    if not any(_value(of_pair("rois", kind=kind)) for kind in kinds):
        verdicts["rois"] = "untested"  # no region to be one
    worst = [_value(of_pair("half_ami", kind=kind), "lo") for kind in kinds]
    best = [_value(of_pair("half_ami", kind=kind), "hi") for kind in kinds]
    verdicts["stable"] = _joint(
        [
            "holds" if low > 0.5 else ("partly" if high > 0.5 else "fails")
            for low, high in zip(worst, best, strict=True)
            if low is not None and high is not None
        ]
    )
    verdicts["faithful"] = _joint([_small(of_pair, partition) for partition in drawn])
    verdicts["null"] = _joint(
        [
            _all_of(
                of_pair("circuits_beat_null", partition=p), of_pair("circuits_tested", partition=p)
            )
            for p in drawn
        ]
    )
    return verdicts


def _all_of(part: Any, whole: Any) -> str:
    some, every = _value(part), _value(whole)
    if not every or some is None:
        return "untested"
    return "holds" if some == every else ("partly" if some else "fails")


SMALL = 0.5  # share of all edges; the whole graph is among the evaluated sizes and always faithful


def _small(of_pair: Any, partition: str) -> str:
    """Whether circuits of at most SMALL keep enough: on all tasks, on some, on none."""
    reached = of_pair("circuits_reached", partition=partition)
    found = _all_of(reached, of_pair("circuits", partition=partition))
    share = of_pair("edges_share", partition=partition)
    least, most = _value(share, "lo"), _value(share, "hi")
    if found == "untested" or least is None or most is None:
        return found
    if least > SMALL:
        return "fails"
    return found if most <= SMALL else "partly"


def _joint(verdicts: list[str]) -> str:
    known = [verdict for verdict in verdicts if verdict != "untested"]
    if not known:
        return "untested"
    return known[0] if len(set(known)) == 1 else "partly"
