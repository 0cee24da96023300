"""Tables of the ROI cards: what each ROI responds to, what it writes, what tasks lose without it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectome.tabulate.identity import Row, defined, median
from connectome.tabulate.rois import part_name

_ROI = ("model", "dictionary", "partition", "site", "part")
_SPREAD = ("random", "random_lo", "random_hi")
CARD_COLUMNS = (
    *_ROI,
    "features",
    "live",
    "alignment",
    "tokens",
    "fires",
    "fire_share",
    "threshold",
    *(
        name
        for measure in ("rms", "cosine", "cosine_signed")
        for name in (measure, *(f"{measure}_{end}" for end in _SPREAD))
    ),
    "draws",
)
EXAMPLE_COLUMNS = (
    *_ROI,
    "kind",
    "rank",
    "document",
    "position",
    "score",
    "at",
    "cut_left",
    "cut_right",
    "window",
    "scores",
)
TOKEN_COLUMNS = (
    *_ROI,
    "place",
    "rank",
    "text",
    "count",
    "fires",
    "share",
    "lift",
    "coverage",
    "information",
    "mean",
)
LOGIT_COLUMNS = (*_ROI, "side", "rank", "text", "logit")
EFFECT_COLUMNS = (
    *_ROI,
    "task",
    "competent",
    "metric",
    "m_model",
    "m_empty",
    "m_ablated",
    "effect",
    "effect_lo",
    "effect_hi",
    "random_lo",
    "random_median",
    "random_hi",
    "p",
    "above_all",
    "accuracy_model",
    "accuracy_lost",
    "accuracy_lo",
    "accuracy_hi",
    "accuracy_random",
    "draws",
    "pairs",
    "distinct",
)
TEST_COLUMNS = (
    *("model", "dictionary", "partition", "task", "competent", "rois", "tested"),
    *("above_all", "expected", "draws", "effect_max", "part_max", "random_median"),
)

Named = Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]]


def _named(names: Mapping[str, str], row: Mapping[str, Any]) -> Row:
    return {**names, **row, "part": part_name(row["site"], row["part"])}


def card_rows(profiles: Named, writing: Named) -> list[Row]:
    """One row per ROI: its profile, and what it writes."""
    written = {
        tuple(row[name] for name in _ROI): row
        for names, rows in writing
        for row in (_named(names, row) for row in rows)
    }
    result = []
    for names, rows in profiles:
        for row in (_named(names, row) for row in rows):
            share = row["fires"] / row["tokens"] if row["tokens"] else None
            whole = written[tuple(row[name] for name in _ROI)] | row | {"fire_share": share}
            result.append({name: defined(whole[name]) for name in CARD_COLUMNS})
    return result


def example_rows(examples: Named) -> list[Row]:
    """Windows of text; tokens and their profiles as JSON lists, null where there is no profile."""
    result = []
    for names, rows in examples:
        for row in (_named(names, row) for row in rows):
            scores = [None if score is None else round(score, 3) for score in row["scores"]]
            row |= {"window": json.dumps(row["tokens"]), "scores": json.dumps(scores)}
            result.append({name: row[name] for name in EXAMPLE_COLUMNS})
    return result


def text_rows(tokens: Named, columns: Iterable[str]) -> list[Row]:
    """Rows about single tokens; their text as a JSON string, so that no reader takes it for more."""
    return [
        {name: json.dumps(row[name]) if name == "text" else row[name] for name in columns}
        for names, rows in tokens
        for row in (_named(names, row) for row in rows)
    ]


def effect_rows(effects: Named, competent: Mapping[tuple[str, str], bool]) -> list[Row]:
    """One row per ROI and task. `above_all`: it loses more than with every random set."""
    result = []
    for names, rows in effects:
        for row in (_named(names, row) for row in rows):
            row["competent"] = competent[row["model"], row["task"]]
            tested = row["p"] is not None
            row["above_all"] = row["p"] <= 1 / (row["draws"] + 1) if tested else None
            result.append({name: defined(row[name]) for name in EFFECT_COLUMNS})
    return result


def test_rows(effects: Iterable[Row]) -> list[Row]:
    """Per partition and task: how many ROIs lose more than with every random set of their size.

    `expected` is that number where ROIs are themselves random sets. A row without task counts over
    all tasks that the model can do.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in effects:
        names = tuple(row[name] for name in ("model", "dictionary", "partition"))
        groups.setdefault((*names, row["task"]), []).append(row)
        if row["competent"]:
            groups.setdefault((*names, None), []).append(row)
    return [_test(key, rows) for key, rows in groups.items()]


def _test(key: tuple[Any, ...], rows: Sequence[Row]) -> Row:
    tested = [row for row in rows if row["above_all"] is not None]
    strongest = max(tested, key=lambda row: row["effect"], default=None)
    return dict(zip(("model", "dictionary", "partition", "task"), key, strict=True)) | {
        "competent": rows[0]["competent"],
        "rois": len({row["part"] for row in rows}),
        "tested": len(tested),
        "above_all": sum(row["above_all"] for row in tested),
        "expected": sum(1 / (row["draws"] + 1) for row in tested),
        "draws": min((row["draws"] for row in tested), default=None),
        "effect_max": strongest["effect"] if strongest else None,
        "part_max": strongest["part"] if strongest else None,
        "random_median": median(row["random_median"] for row in tested),
    }
