"""matching.csv and matched_rois.csv: ROIs of two models; comparison.csv: what it comes to.

p values are corrected here, where all pairs of models are together.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectome import comparison
from connectome.significance import adjusted
from connectome.tabulate.identity import Row, column_rows, median
from connectome.tabulate.rois import part_name

PAIR = ("dictionary", "left", "right", "same_run", "next")
COLUMNS = (*PAIR, *comparison.SCHEMA.names, "ami_p_adj", "p_permuted_adj", "p_rolled_adj")
ROI_COLUMNS = (
    *PAIR,
    *("partition", "route", "left_roi", "right_roi", "features_left", "features_right"),
    *("strength", "sign", "permuted", "permuted_hi", "p_permuted", "p_rolled", "draws"),
    *("p_permuted_adj", "p_rolled_adj"),
)
VERDICT_COLUMNS = (
    *PAIR,
    *("measure", "partition", "of", "share", "tests", "above", "value", "null", "null_hi"),
    *("p", "rolled", "p_rolled", "parts_left", "parts_right", "level", "reason"),
)
LEVEL = 0.05


def rows(found: Iterable[tuple[Mapping[str, Any], Mapping[str, list[Any]]]]) -> list[Row]:
    """matching.csv from (PAIR, columns of comparison.SCHEMA) of each pair of models."""
    result = [dict(names) | row for names, columns in found for row in column_rows(columns)]
    for test in ("ami_p", "p_permuted", "p_rolled"):
        _correct(result, test, ("dictionary", "route"))
    return result


def roi_rows(found: Iterable[tuple[Mapping[str, Any], Mapping[str, list[Any]]]]) -> list[Row]:
    """matched_rois.csv from (PAIR, columns of comparison.PAIR_SCHEMA) of each pair of models."""
    result = []
    for names, columns in found:
        for row in column_rows(columns):
            ends = {
                f"{end}_roi": part_name(row[f"site_{end}"], row[f"part_{end}"])
                for end in ("left", "right")
            }
            kept = {key: value for key, value in row.items() if key in ROI_COLUMNS}
            result.append(dict(names) | ends | kept)
    for test in ("p_permuted", "p_rolled"):
        _correct(result, test, (*PAIR, "partition", "route"))
    return result


def _correct(result: list[Row], test: str, family: Sequence[str]) -> None:
    """Add the Benjamini-Hochberg p values of each family."""
    families: dict[tuple[Any, ...], list[Row]] = {}
    for row in result:
        families.setdefault(tuple(row[name] for name in family), []).append(row)
    for group in families.values():
        for row, value in zip(group, adjusted([row[test] for row in group]), strict=True):
            row[f"{test}_adj"] = value


def partners(matched: Iterable[Row]) -> dict[tuple[Any, ...], dict[str, str]]:
    """{(dictionary, left, right, partition): {left ROI: right ROI}} of the pairs that hold.

    Those matched by profiles beyond both nulls, corrected.
    """
    result: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in matched:
        if row["route"] == "profiles" and _holds(row):
            key = (row["dictionary"], row["left"], row["right"], row["partition"])
            result.setdefault(key, {})[row["left_roi"]] = row["right_roi"]
    return result


def _holds(row: Row) -> bool:
    return max(row["p_permuted_adj"], row["p_rolled_adj"]) <= LEVEL


def verdicts(matching: Sequence[Row], matched: Sequence[Row], overlaps: Sequence[Row]) -> list[Row]:
    """comparison.csv: per pair of models and measure how much is the same, beside chance.

    `features`: median AMI over the sites compared, `above` those where it is beyond permuted
    labels; `profiles`: mean |r| of matched ROIs, `above` the ROIs that hold against both nulls;
    `circuits`: median Jaccard index over the tasks that both models can do, `above` those beyond
    chance.
    """
    result = [row for row in map(_of_profiles(matched), matching) if row]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in matching:
        if row["route"] == "features":
            groups.setdefault(tuple(row[name] for name in (*PAIR, "partition")), []).append(row)
    result += [_of_features(rows) for rows in groups.values()]
    groups = {}
    for row in overlaps:
        key = tuple(row[name] for name in (*PAIR, "partition", "of", "share"))
        groups.setdefault(key, []).append(row)
    result += [_of_circuits(rows) for rows in groups.values()]
    return [dict.fromkeys(VERDICT_COLUMNS) | {"level": LEVEL} | row for row in result]


def _names(row: Row, *more: str) -> Row:
    return {name: row[name] for name in (*PAIR, "partition", *more)}


def _of_profiles(matched: Sequence[Row]) -> Any:
    def verdict(row: Row) -> Row | None:
        if row["route"] != "profiles":
            return None
        names = _names(row)
        of_pair = [
            pair
            for pair in matched
            if pair["route"] == "profiles" and all(pair[key] == names[key] for key in names)
        ]
        return names | {
            "measure": "profiles",
            "tests": len(of_pair),
            "above": sum(map(_holds, of_pair)),
            "value": row["strength"],
            "null": row["permuted"],
            "null_hi": row["permuted_hi"],
            "p": row["p_permuted_adj"],
            **{
                key: row[key]
                for key in ("rolled", "p_rolled", "parts_left", "parts_right", "reason")
            },
        }

    return verdict


def _of_features(rows: list[Row]) -> Row:
    known = [row for row in rows if row["status"] == "ok"]
    reasons = dict.fromkeys(f"{row['site']}: {row['reason']}" for row in rows if row["reason"])
    return _names(rows[0]) | {
        "measure": "features",
        "tests": len(known),
        "above": sum(row["ami_p_adj"] <= LEVEL for row in known),
        "value": median(row["ami"] for row in known),
        "null": median(row["ami_null"] for row in known),
        "null_hi": median(row["ami_null_hi"] for row in known),
        "parts_left": sum(row["parts_left"] for row in known),
        "parts_right": sum(row["parts_right"] for row in known),
        "reason": "; ".join(reasons) or None,
    }


def _of_circuits(rows: list[Row]) -> Row:
    known = [row for row in rows if row["status"] == "ok" and row["competent"]]
    reasons = dict.fromkeys(str(row["reason"]) for row in rows if row["reason"])
    return _names(rows[0], "of", "share") | {
        "measure": "circuits",
        "tests": len(known),
        "above": sum(row["p_adj"] <= LEVEL for row in known),
        "value": median(row["jaccard"] for row in known),
        "null": median(row["chance"] for row in known),
        "reason": "; ".join(reasons) or None,
    }
