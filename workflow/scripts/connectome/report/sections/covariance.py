"""Covariance: how the features of each site move together."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from connectome.report import marks
from connectome.report.marks import Html

RANK = 20
TITLE = "Covariance"
KINDS = ("activation", "attribution")
BYTES = 1_200_000  # of all maps inside the page; sites beyond keep their picture
STEPS = 127  # of r from 0 to 1 in a map


def _sites(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary, "site": site, "kind": kind}
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        for site in covered["sites"]
        for kind in KINDS
    ]


def figure_name(names: Mapping[str, str]) -> str:
    """Name of the figure of one site."""
    return "covariance.{model}.{dictionary}.{site}.{kind}".format(**names)


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    figures = [f"figures/{figure_name(names)}.svg" for names in _sites(plan)]
    figures += [f"figures/{figure_name(names)}.csv" for names in _sites(plan)]
    return ["tables/sites.csv", "tables/levels.csv", *figures]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """One figure per site and kind, each with its row of sites.csv."""
    table = results.table("sites")
    figures = []
    for names in _sites(plan):
        rows = table.where(**names)
        figures.append(
            {"names": names, "figure": figure_name(names), "row": rows[0] if rows else None}
        )
    return {"figures": figures, "table": table} | _maps(results, figures)


def _maps(results: Any, figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Trees of regions and maps that can be pointed at: a header with one entry for each site, and
    blocks of the cells of those that have a map (`size` is above 0)."""
    levels = results.table("levels")
    header: list[dict[str, Any]] = []
    blocks: list[Html] = []
    left = BYTES
    for figure in figures:
        tree = [
            [int(line[name] or -9) for name in ("level", "part", "features", "parent")]
            for line in levels.where(**figure["names"])
        ]
        about, cells = heat_map(results.columns(f"figures/{figure['figure']}.csv") or {"mark": []})
        left -= 2 * len(cells)  # base64, and names of bins
        if left < 0 or not cells:
            about = {"size": 0}
        else:
            blocks.append(marks.block(f"map-{len(header)}", {"r": ("u8", cells)}))
        row = figure["row"]
        samples = {"samples": row["samples"], "of": row["unit"]} if row else {}
        header.append(dict(figure["names"]) | about | samples | {"tree": tree})
    return {"maps": header, "blocks": Html("\n".join(blocks))}


def heat_map(columns: Mapping[str, Sequence[str]]) -> tuple[dict[str, Any], list[int]]:
    """Facts and cells of one map from the columns of the figure's table.

    Cells are those of bins i <= j, row by row, as whole numbers q: r = q / STEPS - 1.
    """
    at: dict[str, list[int]] = {}
    for line, mark in enumerate(columns["mark"]):
        at.setdefault(mark, []).append(line)
    values = [float(columns["r"][line]) for line in at.get("cell", [])]
    off = [
        abs(value)
        for value, line in zip(values, at.get("cell", []), strict=True)
        if columns["i"][line] != columns["j"][line]
    ]
    parts = [
        [int(columns[name][line]) for name in ("level", "part")]
        + [float(columns[name][line]) for name in ("start", "stop")]
        for line in at.get("part", [])
    ]
    size = max((int(columns["j"][line]) for line in at.get("cell", [])), default=-1) + 1
    about = {
        "size": size,
        "clip": _clip(off),
        "steps": STEPS,
        "parts": parts,
        "bins": [columns["text"][line] for line in at.get("bin", [])],
        "density": [float(columns["text"][line]) for line in at.get("active", [])],
        "cell": columns["text"][at["cell size"][0]] if "cell size" in at else "",
    }
    return about, [round((min(max(value, -1.0), 1.0) + 1) * STEPS) for value in values]


def _clip(sizes: Sequence[float]) -> float:
    """End of the colour scale: the 99th percentile of |r|, as in the figure."""
    ordered = sorted(sizes)
    if not ordered or not ordered[-1]:
        return 1.0
    place = 0.99 * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    found = ordered[low] + (place - low) * (ordered[high] - ordered[low])
    return max(0.05, math.ceil(found * 20) / 20)
