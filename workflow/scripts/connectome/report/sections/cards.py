"""Cards: what each ROI responds to, what it writes, which tasks lose what without it; hierarchy."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectome.report import marks
from connectome.report.marks import Html

RANK = 35
TITLE = "What each region is"
KINDS = {"rois": "activation", "rois_attribution": "attribution"}
TABLES = ("cards", "examples", "tokens", "logits", "effects", "tests")


def _sites(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary, "site": site}
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        for site in covered["sites"]
    ]


def _figure(names: Mapping[str, str]) -> str:
    return "hierarchy.{model}.{dictionary}.{site}".format(**names)


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    tables = [*(f"roi_{name}" for name in TABLES), "rois"]
    drawn = [_figure(names) for names in _sites(plan)]
    return [f"tables/{name}.csv" for name in tables] + [f"figures/{name}.svg" for name in drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per site the cards of its ROIs, by partition; per model how many ROIs beat random sets."""
    tables = {name: results.table(f"roi_{name}") for name in TABLES}
    by_roi = {name: _by_roi(tables[name].lines) for name in ("examples", "tokens", "logits")}
    by_roi |= {"effects": _by_roi(tables["effects"].lines)}
    rois = {_key(line): line for line in results.table("rois").lines}
    figures: list[dict[str, Any]] = []
    for names in _sites(plan):
        lines = tables["cards"].where(**names)
        full = _full_bar(tables["effects"].where(**names))
        groups = [
            {
                "partition": partition,
                "kind": kind,
                "cards": [_card(line, by_roi, rois, full) for line in of_partition],
            }
            for partition, kind in KINDS.items()
            if (of_partition := _where(lines, "partition", partition))
        ]
        figures.append({"names": names, "figure": _figure(names), "groups": groups})
    tests = [line for line in tables["tests"].lines if line["model"] in plan["models"]]
    return {
        "tables": tables,
        "figures": figures,
        "first": figures[0]["groups"][0]["cards"][0] if figures and figures[0]["groups"] else None,
        "totals": [line for line in tests if not line["task"] and line["tested"]],
        "tests": [line for line in tests if line["task"] and line["tested"]],
        "missing_tables": [f"roi_{name}" for name in TABLES if tables[name].missing],
    }


def _key(line: Any) -> tuple[str, ...]:
    return tuple(line[name] for name in ("model", "dictionary", "partition", "site", "part"))


def _by_roi(lines: Iterable[Any]) -> dict[tuple[str, ...], list[Any]]:
    found: dict[tuple[str, ...], list[Any]] = {}
    for line in lines:
        found.setdefault(_key(line), []).append(line)
    return found


def _card(
    line: Any,
    by_roi: Mapping[str, Mapping[tuple[str, ...], list[Any]]],
    rois: Mapping[tuple[str, ...], Any],
    full: float,
) -> dict[str, Any]:
    key = _key(line)
    of = {name: found.get(key, []) for name, found in by_roi.items()}
    limit = float(line["threshold"])
    highest = max((float(row["score"]) for row in of["examples"]), default=limit)
    examples = [
        {"kind": row["kind"], "line": row, "window": window(row.fields, limit, highest)}
        for row in of["examples"]
    ]
    effects = [{"line": row, "style": _bar(row, full)} for row in of["effects"]]
    judged = [row for row in of["effects"] if row["competent"] == "true" and row["effect"]]
    favoured = _where(of["tokens"], "place", "token")[:3]
    return {
        "line": line,
        "gist": Html(" ".join(marks.token(json.loads(row["text"])) for row in favoured)),
        "roi": rois.get(key),
        "examples": examples,
        "tokens": {place: _where(of["tokens"], "place", place) for place in ("token", "previous")},
        "logits": {side: _where(of["logits"], "side", side) for side in ("top", "bottom")},
        "effects": effects,
        "largest": max(judged, key=lambda row: float(row["effect"]), default=None),
    }


def _where(lines: Sequence[Any], column: str, value: str) -> list[Any]:
    return [line for line in lines if line[column] == value]


def window(fields: Mapping[str, str], limit: float, highest: float) -> Html:
    """A window of text. Shades: half the firing threshold, the threshold, halfway to the highest
    profile shown; firing tokens are underlined and bold as well."""
    steps = (limit / 2, limit, (limit + highest) / 2)

    def look(score: float) -> str:
        shade = sum(score >= step for step in steps) if score > 0 else 0
        return f'class="s{shade}{" fires" if score >= limit else ""}"' if shade else ""

    return marks.window(fields, look)


_ENDS = ("effect_lo", "effect", "effect_hi", "random_lo", "random_hi")


def _full_bar(effects: Iterable[Any]) -> float:
    """What a bar of full length stands for: the largest number that bars of a site show."""
    sizes = [
        abs(float(line[name]))
        for line in effects
        for name in _ENDS
        if line["competent"] == "true" and line[name]
    ]
    return max(sizes, default=1.0) or 1.0


def _bar(line: Any, full: float) -> str:
    """Places of the bar of the effect and of the band of random sets, as style variables."""
    if line["competent"] != "true" or not line["effect"]:
        return ""
    ends = {"value": float(line["effect"])}
    if line["random_lo"]:
        ends |= {"low": float(line["random_lo"]), "high": float(line["random_hi"])}
    return marks.bar(ends, full)
