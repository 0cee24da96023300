"""tests.csv: how many circuits are sufficient and necessary; summaries.csv: areas of each curve."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectome.curves import AREAS, SHARES, SUMMARIES
from connectome.significance import needed_at_floor
from connectome.tabulate.faithfulness import NAMES, shown
from connectome.tabulate.identity import Row, defined, median

LEVEL = 0.05
ALL = "all"
TEST_COLUMNS = (
    "model",
    "dictionary",
    "test",
    "partition",
    "method",
    "k",
    "tests",
    "f_median",
    "null_median",
    "below",
    "below_adj",
    "fraction_adj",
    "p_smallest",
    "p_adj_smallest",
    "draws",
    "null_pairs",
    "p_floor",
    "at_floor",
    "needed",
    "level",
)
SUMMARY_COLUMNS = (*NAMES, *SUMMARIES)
_CURVE = (
    *("model", "dictionary", "partition", "method", "ablation", "intervention", "error"),
    "ranking",
)
_TESTS = {"circuit": "sufficient", "complement": "necessary"}


def summary_rows(
    summaries: Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]],
    competent: Mapping[tuple[str, str], bool],
) -> list[Row]:
    """Summaries of curves with model, dictionary, task, and whether the model can do it.

    Where parts are errors of dictionaries, curves are those under the first policy of them.

    Rows of the task "all" hold the median of each area over the tasks that the model can do; there
    the smallest and the largest stand in place of the interval.
    """
    result = [
        dict(names)
        | {"competent": competent[names["model"], names["task"]]}
        | {name: defined(row.get(name)) for name in SUMMARIES}
        for names, found in summaries
        for row in found
    ]
    result = shown(result)
    curves: dict[tuple[Any, ...], list[Row]] = {}
    for row in result:
        if row["competent"]:
            curves.setdefault(tuple(row[name] for name in _CURVE), []).append(row)
    return result + [
        dict.fromkeys(SUMMARY_COLUMNS)
        | dict(zip(_CURVE, key, strict=True))
        | {"task": ALL, "competent": True}
        | {name: min(row[name] for row in rows) for name in ("points", "k_min", "k_max", "pairs")}
        | {"cpr_empty": median(row["cpr_empty"] for row in rows)}
        | _spread_of_areas(rows)
        for key, rows in curves.items()
    ]


def _spread_of_areas(rows: list[Row]) -> Row:
    result: Row = {}
    for name in (*AREAS, *SHARES):
        known = [row[name] for row in rows if row[name] is not None]
        result[name] = median(known)
        if name in AREAS:
            ends = min(known, default=None), max(known, default=None)
            result |= dict(zip((f"{name}_lo", f"{name}_hi"), ends, strict=True))
    return result


def test_rows(faithfulness: Iterable[Row]) -> list[Row]:
    """Tests against random circuits, counted over the tasks that the model can do.

    faithfulness: rows of faithfulness.csv. One row per test, partition, method and size, and
    before them one per test over all of them (partition "all"): the family that is corrected. There
    `at_floor` p values are the smallest possible 1 / (draws + 1), and `needed` must be before
    the first corrected one can be at most `level`.
    """
    families: dict[tuple[str, str, str], list[Row]] = {}
    for row in faithfulness:
        if row["intervention"] == "edge" and row["p_adj"] is not None:
            key = (row["model"], row["dictionary"], _TESTS[row["mode"]])
            families.setdefault(key, []).append(row)
    return [
        dict(zip(("model", "dictionary", "test"), key, strict=True)) | row
        for key, family in families.items()
        for row in _of_family(family)
    ]


def _of_family(family: list[Row]) -> Iterator[Row]:
    yield {"partition": ALL, "method": ALL, "k": None} | _counted(family)
    names = ("partition", "method", "k")
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in family:  # a graph that depends on its task has another number of edges in each
        groups.setdefault((row["partition"], row["method"], round(row["k"], 3)), []).append(row)
    for key, rows in groups.items():
        yield dict(zip(names, key, strict=True)) | _counted(rows)


def _counted(rows: list[Row]) -> Row:
    floor = max(1 / (row["draws"] + 1) for row in rows)
    return {
        "tests": len(rows),
        "f_median": median(row["f_ratio"] for row in rows if row["f_ratio"] is not None),
        "null_median": median(row["null_median"] for row in rows),
        "below": sum(row["p"] <= LEVEL for row in rows),
        "below_adj": sum(row["p_adj"] <= LEVEL for row in rows),
        "fraction_adj": sum(row["p_fraction_adj"] <= LEVEL for row in rows),
        "p_smallest": min(row["p"] for row in rows),
        "p_adj_smallest": min(row["p_adj"] for row in rows),
        "draws": min(row["draws"] for row in rows),
        "null_pairs": min(row["null_pairs"] for row in rows),
        "p_floor": floor,
        "at_floor": sum(row["p"] <= floor * (1 + 1e-9) for row in rows),
        "needed": needed_at_floor(len(rows), floor, LEVEL),
        "level": LEVEL,
    }
