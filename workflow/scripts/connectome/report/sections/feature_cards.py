"""Feature cards: when single features fire, what they write, which tasks use them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectome.report import marks
from connectome.report.marks import Html

RANK = 37
TITLE = "What single features are"
TABLES = ("cards", "examples", "tokens", "logits", "scores")
HISTOGRAM = (200, 40)  # width and height of its drawing, in its own units


def _pairs(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary}
        for model, facts in plan["models"].items()
        for dictionary in facts["dictionaries"]
        if dictionary != plan["native"]
    ]


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads; none without such a dictionary."""
    return [f"tables/feature_{name}.csv" for name in TABLES] if _pairs(plan) else []


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per site of a dictionary the cards of its chosen features."""
    if not _pairs(plan):
        return {"sites": []}
    tables = {name: results.table(f"feature_{name}") for name in TABLES}
    of = {name: _by_feature(tables[name].lines) for name in TABLES[1:]}
    sites: list[dict[str, Any]] = []
    for names in _pairs(plan):
        lines = tables["cards"].where(**names)
        for site in dict.fromkeys(line["site"] for line in lines):
            of_site = [line for line in lines if line["site"] == site]
            scores = [row for line in of_site for row in of["scores"].get(_key(line), [])]
            full = max((float(row["share"] or 0) for row in scores), default=0) or 1
            groups = [
                {
                    "chosen": chosen,
                    "cards": [
                        _card(line, of, full) for line in of_site if line["chosen"] == chosen
                    ],
                }
                for chosen in dict.fromkeys(line["chosen"] for line in of_site)
            ]
            sites.append({"names": names | {"site": site}, "groups": groups})
    return {
        "sites": sites,
        "missing_tables": [f"feature_{name}" for name in TABLES if tables[name].missing],
        "first": sites[0]["groups"][0]["cards"][0] if sites else None,
    }


def _key(line: Any) -> tuple[str, ...]:
    return tuple(line[name] for name in ("model", "dictionary", "feature"))


def _by_feature(lines: Iterable[Any]) -> dict[tuple[str, ...], list[Any]]:
    found: dict[tuple[str, ...], list[Any]] = {}
    for line in lines:
        found.setdefault(_key(line), []).append(line)
    return found


def _card(
    line: Any, of: Mapping[str, Mapping[tuple[str, ...], list[Any]]], full: float
) -> dict[str, Any]:
    rows = {name: found.get(_key(line), []) for name, found in of.items()}
    highest = float(line["highest"] or 0)
    favoured = [row for row in rows["tokens"] if row["place"] == "token"]
    scored = [row for row in rows["scores"] if row["share"]]
    return {
        "line": line,
        "gist": Html(" ".join(marks.token(json.loads(row["text"])) for row in favoured[:3])),
        "histogram": histogram(line),
        "examples": [
            {"kind": row["kind"], "line": row, "window": window(row.fields, highest)}
            for row in rows["examples"]
        ],
        "tokens": {place: _where(rows["tokens"], place=place) for place in ("token", "previous")},
        "logits": {side: _where(rows["logits"], side=side) for side in ("top", "bottom")},
        "scores": [{"line": row, "style": _bar(row, full)} for row in scored],
        "largest": max(scored, key=lambda row: float(row["share"]), default=None),
    }


def _where(lines: Sequence[Any], **wanted: str) -> list[Any]:
    return [line for line in lines if all(line[key] == value for key, value in wanted.items())]


def _bar(row: Any, full: float) -> str:
    """The bar of a share of scores, to the left where the score is below zero."""
    sign = -1 if float(row["score"]) < 0 else 1
    return marks.bar({"value": sign * float(row["share"])}, full)


def window(fields: Mapping[str, str], highest: float) -> Html:
    """A window of text. Shades: above zero, a third and two thirds of the highest value; the value
    of a token is its title."""

    def look(value: float) -> str:
        shade = 1 + sum(value >= part * highest / 3 for part in (1, 2))
        return f'class="s{shade} fires" title="{value:.3g}"' if value > 0 else ""

    return marks.window(fields, look)


def histogram(line: Any) -> Html:
    """The histogram of a card as a drawing: bars from 0 to the highest value, a line at the median.

    Heights are shares of the highest bar; a bar that is not empty can be seen.
    """
    counts = json.loads(line["histogram"])
    if not any(counts):
        return Html("")
    width, height = HISTOGRAM
    step, most = width / len(counts), max(counts)
    path = f"M0 {height}"
    for i, count in enumerate(counts):
        top = height - max(count / most * height, 1.0) if count else height
        path += f"V{top:.1f}H{(i + 1) * step:g}"
    middle = float(line["median"]) / float(line["highest"]) * width
    return Html(
        f'<svg class="histogram" viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        'role="img" aria-label="Histogram of the values above zero">'
        f'<path d="{path}V{height}Z"/><path class="median" d="M{middle:.1f} 0V{height}"/></svg>'
    )
