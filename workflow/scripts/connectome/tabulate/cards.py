"""Tables of the ROI cards: what ROIs respond to, what they write, what tasks lose without them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from connectome.tabulate.identity import Row, defined, median
from connectome.tabulate.region_scores import Attribution, rank_correlation
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
WINDOW = ("document", "position", "score", "at", "cut_left", "cut_right", "window", "scores")
FAVOURED = ("place", "rank", "text", "count", "fires", "share", "lift", "coverage", "information")
LOGIT = ("side", "rank", "text", "logit")
EXAMPLE_COLUMNS = (*_ROI, "kind", "rank", *WINDOW)
TOKEN_COLUMNS = (*_ROI, *FAVOURED, "mean")
LOGIT_COLUMNS = (*_ROI, *LOGIT)
EFFECT_COLUMNS = (
    *_ROI,
    "live",
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
    "attribution",
    "attribution_mean",
    "attribution_active",
    "draws",
    "pairs",
    "distinct",
)
_RANKS = {
    "rank_size_effect": ("live", "effect"),
    "rank_size_attribution": ("live", "attribution"),
    "rank_size_mean": ("live", "attribution_mean"),
    "rank_size_active": ("live", "attribution_active"),
    "rank_effect_attribution": ("effect", "attribution"),
}
TEST_COLUMNS = (
    *("model", "dictionary", "partition", "task", "competent", "rois", "tested"),
    *("above_all", "expected", "draws", "effect_max", "part_max", "random_median"),
    *_RANKS,
)

Named = Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]]
Naming = Callable[[Mapping[str, str], Mapping[str, Any]], Row]  # a row with the names of its owner


def short(value: Any) -> Any:
    """Floats to six significant digits: the Parquet files behind keep them all, a page need not."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def region(names: Mapping[str, str], row: Mapping[str, Any]) -> Row:
    """A row about a ROI, which is named as everywhere."""
    shortened = {name: short(value) for name, value in row.items()}
    return {**names, **shortened, "part": part_name(row["site"], row["part"])}


def card_rows(profiles: Named, writing: Named) -> list[Row]:
    """One row per ROI: its profile, and what it writes."""
    written = {
        tuple(row[name] for name in _ROI): row
        for names, rows in writing
        for row in (region(names, row) for row in rows)
    }
    result = []
    for names, rows in profiles:
        for row in (region(names, row) for row in rows):
            share = short(row["fires"] / row["tokens"]) if row["tokens"] else None
            whole = written[tuple(row[name] for name in _ROI)] | row | {"fire_share": share}
            result.append({name: defined(whole[name]) for name in CARD_COLUMNS})
    return result


def example_rows(
    examples: Named, columns: Iterable[str] = EXAMPLE_COLUMNS, naming: Naming = region
) -> list[Row]:
    """Windows of text; tokens and their scores as JSON lists, null where there is no score."""
    result = []
    for names, rows in examples:
        for row in (naming(names, row) for row in rows):
            scores = json.dumps([short(score) for score in row["scores"]])
            row |= {"window": json.dumps(row["tokens"]), "scores": scores}
            result.append({name: row[name] for name in columns})
    return result


def text_rows(tokens: Named, columns: Iterable[str], naming: Naming = region) -> list[Row]:
    """Rows about single tokens; their text as a JSON string, never a formula or a line break."""
    return [
        {name: json.dumps(row[name]) if name == "text" else row[name] for name in columns}
        for names, rows in tokens
        for row in (naming(names, row) for row in rows)
    ]


def effect_rows(
    effects: Named,
    competent: Mapping[tuple[str, str], bool],
    attributions: Mapping[tuple[str, ...], Attribution],
) -> list[Row]:
    """One row per ROI and task. `above_all`: it loses more than with every random set.

    attributions: by (model, dictionary, task, partition, part), a part by its name.
    """
    result = []
    for names, rows in effects:
        for row in (region(names, row) for row in rows):
            row["competent"] = competent[row["model"], row["task"]]
            tested = row["p"] is not None
            row["above_all"] = round(row["p"] * (row["draws"] + 1)) == 1 if tested else None
            key = tuple(row[name] for name in ("model", "dictionary", "task", "partition", "part"))
            names_of = ("attribution", "attribution_mean", "attribution_active")
            found = attributions.get(key, Attribution())
            row |= {name: short(x) for name, x in zip(names_of, found, strict=True)}
            result.append({name: defined(row[name]) for name in EFFECT_COLUMNS})
    return result


def test_rows(effects: Iterable[Row]) -> list[Row]:
    """Per partition and task: how many ROIs lose more than with every random set of their size.

    `expected` is that number where ROIs are themselves random sets. `rank_*` are Spearman
    correlations over ROIs between their size (live features), their effect and the absolute values
    of their attribution. The row without task counts over all tasks that the model can do; its
    correlations are medians over those. Nothing is defined for a task that the model cannot do.
    """
    groups: dict[tuple[Any, ...], dict[str, list[Row]]] = {}
    for row in effects:
        names = tuple(row[name] for name in ("model", "dictionary", "partition"))
        groups.setdefault(names, {}).setdefault(row["task"], []).append(row)
    result = []
    for names, tasks in groups.items():
        of_pair = dict(zip(("model", "dictionary", "partition"), names, strict=True))
        found = [of_pair | {"task": task} | _test(rows) for task, rows in tasks.items()]
        able = [row for rows in tasks.values() for row in rows if row["competent"]]
        ranks = {
            name: median(row[name] for row in found if row[name] is not None) for name in _RANKS
        }
        result += [*found, of_pair | {"task": None} | _test(able) | ranks]
    return result


def _test(rows: Sequence[Row]) -> Row:
    able = bool(rows) and rows[0]["competent"]
    empty: Row = dict.fromkeys(TEST_COLUMNS[4:]) | {"competent": able}
    empty["rois"] = len({row["part"] for row in rows})
    if not able:
        return empty
    tested = [row for row in rows if row["above_all"] is not None]
    strongest = max(tested, key=lambda row: row["effect"], default=None)
    return empty | {
        "tested": len(tested),
        "above_all": sum(row["above_all"] for row in tested),
        "expected": short(sum(1 / (row["draws"] + 1) for row in tested)),
        "draws": min((row["draws"] for row in tested), default=None),
        "effect_max": strongest["effect"] if strongest else None,
        "part_max": strongest["part"] if strongest else None,
        "random_median": median(row["random_median"] for row in tested),
        **{name: short(_rank(rows, *columns)) for name, columns in _RANKS.items()},
    }


def _rank(rows: Sequence[Row], x: str, y: str) -> float | None:
    def column(name: str) -> list[float | None]:
        if name.startswith("attribution"):
            return [None if row[name] is None else abs(row[name]) for row in rows]
        return [row[name] for row in rows]

    return rank_correlation(column(x), column(y))
