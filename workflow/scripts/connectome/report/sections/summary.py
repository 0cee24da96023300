"""Summary: what was mapped, what was found, how far to believe it."""

from collections.abc import Mapping
from typing import Any

from connectome.plots.palette import SERIES
from connectome.report.sections import directions, specificity

RANK = 0
TITLE = "Summary"
TABLES = ("models", "competence", "summary")
NEEDED = TABLES  # without the others it lacks a line, and says nothing that is not so
BESIDE = {"directions": directions, "specificity_summary": specificity}  # tables of other sections
KINDS = ("activation", "attribution")


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    beside = [name for name in BESIDE if f"tables/{name}.csv" in BESIDE[name].inputs(plan)]
    return [f"tables/{name}.csv" for name in (*TABLES, *beside)]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per model and dictionary its numbers, whether each claim holds, and what failed."""
    read = [path.removeprefix("tables/").removesuffix(".csv") for path in inputs(plan)]
    tables = {name: results.table(name) for name in read}
    found = []
    for model in tables["models"].lines if not tables["summary"].missing else ():
        of_model = plan["models"].get(model["model"], {"dictionaries": {}})
        for place, dictionary in enumerate(of_model["dictionaries"]):
            names = {"model": model["model"], "dictionary": dictionary}
            pair = _pair(results, tables, plan, names)
            found.append({"model": model, "first": not place, **pair})
    target = tables["summary"].where(key="target")
    return {
        "table": tables["summary"],
        "found": found,
        "target": target[0] if target else None,
        "missing_tables": [name for name, table in tables.items() if table.missing],
    }


def _pair(
    results: Any, tables: Mapping[str, Any], plan: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    """What the section says of one dictionary of one model."""
    table = tables["summary"]
    of_model, of_pair = results.summary(names["model"]), results.summary(**names)
    drawn = [p for p in plan["report"]["circuits"] if of_pair("circuits", partition=p)["key"]]
    controls = table.where(key="fewer_features", **names)
    wider = _rows(tables, "directions", **names, of="all", end="writing")
    specific = [
        row
        for row in _rows(tables, "specificity_summary", **names, measure="f", sets="circuit")
        if row["partition"] in drawn and row["intervention"] == "ablate"
    ]
    return {
        "dictionary": names["dictionary"],
        "native": names["dictionary"] == plan["native"],
        "of_model": of_model,
        "of_pair": of_pair,
        "drawn": drawn,
        "short": {p: _short(p, drawn) for p in drawn},
        "needed": [p for p in drawn if of_pair("edges_needed", partition=p)["value"]],
        "able": bool(of_model("accuracy_clean")["value"]),
        "controls": controls,
        "wider": wider,
        "wider_of": [_KIND.get(row["partition"], row["partition"]) for row in wider],
        "specific": specific,
        "cannot": table.where(key="task_cannot", model=names["model"]),
        "failed": _failed(table, names, drawn),
        "verdicts": _verdicts(of_model, of_pair, drawn)
        | {
            "controls": _beaten(controls),
            "wider": _joint([_WIDER[directions.verdict(row)] for row in wider]),
            "specific": _joint([specificity.verdict(row) for row in specific]),
            "dictionary": _better(of_pair("dictionary_better")),
        },
    }


def _short(partition: str, beside: list[str]) -> str:
    """Name of a partition in a line; ROIs are told apart where both kinds stand in it."""
    if partition == "rois_attribution" and "rois" not in beside:
        return "ROIs"
    return SERIES[partition].label if partition in SERIES else partition


_KIND = {"rois": "by activation", "rois_attribution": "by attribution"}
_WIDER = {"wider": "fails", "more": "holds", "chance": "holds"}  # a group at chance is no direction
FAILURES = (
    *("sites_refused", "sites_null_fail", "circuits_missed", "circuits_meet_null"),
    "dictionary_refused",
)


def _failed(table: Any, names: Mapping[str, str], drawn: list[str]) -> list[Any]:
    """Rows that say what was refused, missed or no better than its null."""
    return [
        row
        for key in FAILURES
        for row in table.where(key=key, **names)
        if row["value"] != "0" and (not row["partition"] or row["partition"] in drawn)
    ]


def _rows(tables: Mapping[str, Any], name: str, **wanted: str) -> list[Any]:
    return tables[name].where(**wanted) if name in tables else []


def _beaten(controls: list[Any]) -> str:
    shares = [float(row["value"]) / float(row["hi"]) for row in controls]
    return _joint(["holds" if s == 1 else ("partly" if s else "fails") for s in shares])


def _better(row: Any) -> str:
    """Whether a dictionary is better than its baselines at all sites, some, or none."""
    some, every = _value(row), _value(row, "hi")
    if not every or some is None:
        return "untested"
    return "holds" if some == every else ("partly" if some else "fails")


def _value(line: Any, column: str = "value") -> float | None:
    return float(line[column]) if line[column] else None


def _verdicts(of_model: Any, of_pair: Any, drawn: list[str]) -> dict[str, str]:
    """ "holds", "partly", "fails" or "untested" for each claim of the summary."""
    verdicts = {"able": _all_of(of_model("tasks_competent"), of_model("tasks"))}
    passed = [of_pair("sites_null_pass", kind=kind) for kind in KINDS]
    fitted = [of_pair("sites_fitted", kind=kind) for kind in KINDS]
    verdicts["rois"] = _joint([_all_of(p, f) for p, f in zip(passed, fitted, strict=True)])
    if not any(_value(of_pair("rois", kind=kind)) for kind in KINDS):
        verdicts["rois"] = "untested"  # no region to be one
    worst = [_value(of_pair("half_ami", kind=kind), "lo") for kind in KINDS]
    best = [_value(of_pair("half_ami", kind=kind), "hi") for kind in KINDS]
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
