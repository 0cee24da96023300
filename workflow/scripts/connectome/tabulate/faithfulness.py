"""faithfulness.csv: every ablation run; sizes.csv: the smallest circuit that is faithful enough."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectome.faithfulness import MEASURES
from connectome.tabulate.identity import Row, defined

NAMES = ("model", "dictionary", "task", "competent")
COLUMNS = (*NAMES, *MEASURES)
_SERIES = (*NAMES, "partition", "method", "ablation", "intervention")
_SIZE = ("ranking", "requested", "selected", "edges", "nodes", "features", "weighted", "k")
SIZE_COLUMNS = (
    *_SERIES,
    "target",
    "reached",
    *_SIZE,
    "edges_all",
    "features_all",
    "faithfulness",
    "f_lo",
    "f_hi",
    "null_edges",
    "null_lo",
    "null_hi",
    "null_median",
    "p",
    "draws",
    "pairs",
    "distinct",
)


def rows(
    evaluations: Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]],
    competent: Mapping[tuple[str, str], bool],
) -> list[Row]:
    """All evaluation rows with model, dictionary, task and whether the model can do the task."""
    return [
        dict(names)
        | {"competent": competent[names["model"], names["task"]]}
        | {name: defined(row.get(name)) for name in MEASURES}
        for names, measured in evaluations
        for row in measured
    ]


def size_rows(faithfulness: Iterable[Row], target: float) -> list[Row]:
    """Per curve the smallest circuit whose f_ratio is at least `target`.

    Size is the number of edges after pruning. Where no circuit reaches the target the largest one
    stands, with `reached` false. The null is that of the smallest random circuits that were asked
    for at least as many edges (`null_edges`): it cannot be beaten by being larger.
    """
    curves: dict[tuple[Any, ...], list[Row]] = {}
    nulls: dict[tuple[Any, ...], list[Row]] = {}
    for row in faithfulness:
        key = tuple(row[name] for name in _SERIES)
        if row["mode"] == "circuit" and row["f_ratio"] is not None:
            curves.setdefault(key, []).append(row)
        if row["mode"] != "complement" and row["null_hi"] is not None:
            nulls.setdefault(_null_key(row), []).append(row)
    result: list[Row] = []
    for curve in curves.values():
        curve.sort(key=lambda row: (row["edges"], row["requested"]))
        reaching = [row for row in curve if row["f_ratio"] >= target]
        chosen = reaching[0] if reaching else curve[-1]
        size = {name: chosen[name] for name in (*_SERIES, *_SIZE, "f_lo", "f_hi")}
        result.append(
            size
            | {name: chosen[name] for name in ("pairs", "distinct")}
            | {"target": target, "reached": bool(reaching), "faithfulness": chosen["f_ratio"]}
            | {"edges_all": curve[-1]["edges"], "features_all": curve[-1]["features"]}
            | _null(nulls.get(_null_key(chosen), []), chosen)
        )
    return result


def _null_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Random circuits are shared by all methods of a task."""
    return tuple(row[name] for name in _SERIES if name != "method")


def _null(rows: list[Row], chosen: Row) -> Row:
    fair = [row for row in rows if row["requested"] >= chosen["edges"]]
    if not fair:
        return dict.fromkeys(("null_edges", "null_lo", "null_hi", "null_median", "p", "draws"))
    nearest = min(fair, key=lambda row: (row["requested"], row["method"] != chosen["method"]))
    same = (nearest["requested"], nearest["method"]) == (chosen["requested"], chosen["method"])
    return {
        "null_edges": nearest["requested"],
        "null_lo": nearest["null_lo"],
        "null_hi": nearest["null_hi"],
        "null_median": nearest["null_median"],
        "p": nearest["p"] if same else None,
        "draws": nearest["draws"],
    }
