"""faithfulness.csv: every ablation run; sizes.csv: the smallest circuit that is faithful enough.

Where parts are errors of dictionaries, these and the page show the first policy of them that was
run; errors.csv has the runs under each.

p values are corrected here, where all tasks, methods, partitions and sizes are together.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from connectome.faithfulness import MEASURES, TESTS
from connectome.significance import adjusted
from connectome.tabulate.identity import Row, defined

NAMES = ("model", "dictionary", "task", "competent")
COLUMNS = (*NAMES, *MEASURES, *(f"{test}_adj" for test in TESTS))
_FAMILY = ("model", "dictionary", "error", "intervention", "mode")
_SERIES = (*NAMES, "partition", "method", "ablation", "intervention")
_SIZE = ("ranking", "requested", "selected", "edges", "nodes", "features", "weighted", "k")
_OF_CHOSEN = ("p_equivalent_adj", "p_different_adj", "pairs", "distinct")
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
    "p_adj",
    "draws",
    "left",
    "p_equivalent_adj",
    "p_different_adj",
    "pairs",
    "distinct",
)


def rows(
    evaluations: Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]],
    competent: Mapping[tuple[str, str], bool],
) -> list[Row]:
    """All evaluation rows with model, dictionary, task and whether the model can do the task.

    `p_adj` and its like are Benjamini-Hochberg p values of one family per test, intervention and
    mode (circuit: is it sufficient? complement: is it necessary?) of a model and dictionary, and
    policy of errors: all tasks that the model can do x methods x partitions x sizes.
    """
    result = [
        dict(names)
        | {"competent": competent[names["model"], names["task"]]}
        | {name: defined(row.get(name)) for name in MEASURES}
        for names, measured in evaluations
        for row in measured
    ]
    for test in TESTS:
        families: dict[tuple[Any, ...], list[Row]] = {}
        for row in result:
            row[f"{test}_adj"] = None
            if row["competent"]:
                families.setdefault(tuple(row[name] for name in _FAMILY), []).append(row)
        for family in families.values():
            found = adjusted([row[test] for row in family])
            for row, value in zip(family, found, strict=True):
                row[f"{test}_adj"] = value
    return result


def shown(rows: Iterable[Row]) -> list[Row]:
    """Rows under the first policy of errors of each model, dictionary, task and partition."""
    first: dict[tuple[Any, ...], Any] = {}
    key = (*NAMES[:3], "partition")
    return [
        row
        for row in rows
        if first.setdefault(tuple(row[name] for name in key), row["error"]) == row["error"]
    ]


def size_rows(faithfulness: Iterable[Row], target: float) -> list[Row]:
    """Per curve the smallest circuit whose f_ratio is at least `target`.

    Size is the number of edges after pruning. Where no circuit reaches the target the largest one
    stands, with `reached` false. The null is that of the smallest random circuits that were asked
    for at least as many edges (`null_edges`): it cannot be beaten by being larger. `left` is what
    remains when the circuit alone is cut.
    """
    curves: dict[tuple[Any, ...], list[Row]] = {}
    complements: dict[tuple[Any, ...], float | None] = {}
    nulls: dict[tuple[Any, ...], list[Row]] = {}
    for row in faithfulness:
        key = tuple(row[name] for name in _SERIES)
        if row["mode"] == "circuit" and row["f_ratio"] is not None:
            curves.setdefault(key, []).append(row)
        if row["mode"] == "complement":
            complements[*key, row["requested"]] = row["f_ratio"]
        if row["mode"] != "complement" and row["null_hi"] is not None:
            nulls.setdefault(_null_key(row), []).append(row)
    result: list[Row] = []
    for key, curve in curves.items():
        curve.sort(key=lambda row: (row["edges"], row["requested"]))
        reaching = [row for row in curve if row["f_ratio"] >= target]
        chosen = reaching[0] if reaching else curve[-1]
        size = {name: chosen[name] for name in (*_SERIES, *_SIZE, "f_lo", "f_hi")}
        result.append(
            size
            | {name: chosen[name] for name in _OF_CHOSEN}
            | {"left": complements.get((*key, chosen["requested"]))}
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
        return dict.fromkeys(
            ("null_edges", "null_lo", "null_hi", "null_median", "p", "p_adj", "draws")
        )
    nearest = min(fair, key=lambda row: (row["requested"], row["method"] != chosen["method"]))
    same = (nearest["requested"], nearest["method"]) == (chosen["requested"], chosen["method"])
    return {
        "null_edges": nearest["requested"],
        "null_lo": nearest["null_lo"],
        "null_hi": nearest["null_hi"],
        "null_median": nearest["null_median"],
        "p": nearest["p"] if same else None,
        "p_adj": nearest["p_adj"] if same else None,
        "draws": nearest["draws"],
    }
