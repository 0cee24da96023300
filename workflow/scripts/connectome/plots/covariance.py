"""covariance.{model}.{dictionary}.{site}.{kind}: correlation in the order of the ROIs."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

import connectome.plots.style as style
from connectome import cofiring
from connectome.cofiring import Cofiring
from connectome.moments import Found, correlations
from connectome.plots.palette import INK, MUTED, PAPER, RULE
from connectome.plots.phrases import counted

COLUMNS = ("mark", "i", "j", "r", "level", "part", "start", "stop", "text")
_SIGNED = FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\u2212"))
_CLASSES = 21  # shades: few, so that the picture stays small inside the page


def select(moments: Found, fit: Mapping[str, Any], unit: str, bins: int) -> list[dict[str, Any]]:
    """Rows of the drawing from the moments and the sbm record of the site.

    Features lie in the order of the parts, coarsest level first; dead ones are left out. `cell`
    rows hold r of bins i <= j (means over equal bins where there are more than `bins`
    features), rounded to three decimals; `part` rows the extent of each part of each level in
    units of bins; `bin` rows name the features of each bin, `active` rows say in which share of
    all samples they are not zero (for the page's map, not drawn here).
    """
    d = len(moments.mean)
    levels = [np.array(labels) for labels in fit["levels"]] or [np.full(d, -1)]
    live = np.flatnonzero((levels[0] != -2) & (moments.variance > 0))
    keys = [np.where(labels < 0, d, labels)[live] for labels in levels]
    order = live[np.lexsort([live, *keys])]
    width = max(1, -(-len(order) // bins))
    edges = np.append(np.arange(0, len(order), width), len(order))
    if len(order) > moments.widest and isinstance(moments, Cofiring):
        cells = np.round(cofiring.binned(moments, order, edges), 3) + 0.0
    else:
        cells = _binned(correlations(moments, order), edges)
    rows: list[dict[str, Any]] = [
        _row(mark="cell", i=i, j=j, r=float(cells[i, j]))
        for i in range(len(cells))
        for j in range(i, len(cells))
    ]
    for level, labels in enumerate(levels):
        rows += [
            _row(mark="part", level=level, part=part, start=start / width, stop=stop / width)
            for part, start, stop in _runs(labels[order])
        ]
    note = fit["reason"] if fit["status"] != "ok" else None
    density = moments.active / max(moments.count, 1)
    for i, (start, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        names = " ".join(map(str, order[start:stop].tolist()))
        rows.append(_row(mark="bin", i=i, text=names))
        rows.append(_row(mark="active", i=i, text=f"{density[order[start:stop]].mean():.4g}"))
    bin_text = f"mean of {width} by {width} features" if width > 1 else "one feature"
    rows.append(_row(mark="cell size", text=bin_text))
    rows.append(_row(mark="unit", text=unit))
    return rows + ([_row(mark="refused", text=note)] if note else [])


def _row(**values: Any) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS, None) | values


def _binned(r: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means over bins, the diagonal of single features left out."""
    kept = ~np.eye(len(r), dtype=bool)
    if len(edges) - 1 == len(r):
        return np.round(r, 3) + 0.0
    sums = np.add.reduceat(np.add.reduceat(r * kept, edges[:-1], 0), edges[:-1], 1)
    counts = np.add.reduceat(np.add.reduceat(kept * 1.0, edges[:-1], 0), edges[:-1], 1)
    return np.round(sums / np.maximum(counts, 1), 3) + 0.0


def _runs(labels: np.ndarray) -> list[tuple[int, int, int]]:
    """(label, start, stop) of the stretches of equal labels."""
    if len(labels) == 0:
        return []
    cuts = np.flatnonzero(np.diff(labels)) + 1
    bounds = [0, *cuts.tolist(), len(labels)]
    return [
        (int(labels[start]), start, stop)
        for start, stop in zip(bounds[:-1], bounds[1:], strict=True)
    ]


def draw(rows: Sequence[Mapping[str, str]]) -> Figure:
    """Heat map with ROI borders; the strips at the left are the nested levels, finest inside."""
    cells = [row for row in rows if row["mark"] == "cell"]
    parts = [row for row in rows if row["mark"] == "part"]
    n = max((int(row["j"]) for row in cells), default=-1) + 1
    depth = max((int(row["level"]) for row in parts), default=0) + 1
    figure = style.new(style.COLUMN, 2.7)
    axes = figure.subplots()
    matrix = np.zeros((n, n))
    i, j = ([int(row[name]) for row in cells] for name in ("i", "j"))
    matrix[i, j] = matrix[j, i] = [float(row["r"]) for row in cells]
    clip = _clip(matrix)
    shades = colormaps["PRGn"].resampled(_CLASSES)
    norm = BoundaryNorm(np.linspace(-clip, clip, _CLASSES + 1), _CLASSES, clip=True)
    image = axes.imshow(
        matrix,
        cmap=shades,
        norm=norm,
        interpolation="none",
        extent=(0, max(n, 1), max(n, 1), 0),
    )
    _borders(axes, parts)
    _strips(axes.inset_axes((-0.05 * depth, 0, 0.045 * depth, 1), sharey=axes), parts, depth)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(RULE)
    bar = figure.colorbar(
        image, ax=axes, shrink=0.6, ticks=[-clip, 0, clip], format=_SIGNED, extend="both"
    )
    bar.ax.minorticks_off()
    bar.ax.set_title("r", fontsize=style.SMALL)
    bar.outline.set_visible(False)  # type: ignore[operator]
    for row in rows:
        if row["mark"] == "refused":
            reason = textwrap.fill(style.printable(f"no ROIs: {row['text']}", 200), 48)
            axes.set_xlabel(reason, fontsize=style.SMALL)
    return figure


def _clip(matrix: np.ndarray) -> float:
    """End of the colour scale: the 99th percentile of |r| off the diagonal, one digit."""
    off = np.abs(matrix[~np.eye(len(matrix), dtype=bool)])
    if off.size == 0 or not off.max():
        return 1.0
    return max(0.05, float(np.ceil(np.quantile(off, 0.99) * 20) / 20))


def _borders(axes: Axes, parts: Sequence[Mapping[str, str]]) -> None:
    for row in parts:
        if row["level"] != "0" or int(row["part"]) < 0:
            continue
        start, stop = float(row["start"]), float(row["stop"])
        x = [start, stop, stop, start, start]
        axes.plot(x, [start, start, stop, stop, start], color=INK, lw=0.6)


def _strips(axes: Axes, parts: Sequence[Mapping[str, str]], depth: int) -> None:
    """One strip per level, neighbours told apart by shade; the largest ROIs are named."""
    extent = max((float(row["stop"]) for row in parts), default=1.0)
    for turn, row in enumerate(parts):
        level, part = int(row["level"]), int(row["part"])
        start, stop = float(row["start"]), float(row["stop"])
        shade = PAPER if part < 0 else (RULE if turn % 2 else MUTED)
        left = depth - 1 - level
        axes.bar(left, stop - start, bottom=start, width=0.9, color=shade, lw=0, align="edge")
    axes.set_xlim(0, depth)
    axes.set_axis_off()
    for row in parts:
        start, stop = float(row["start"]), float(row["stop"])
        part = int(row["part"])
        if row["level"] == "0" and (stop - start) / extent > 0.035:
            label = f"r{part}" if part >= 0 else "none"
            axes.text(-0.15, (start + stop) / 2, label, ha="right", va="center", fontsize=5.5)


def caption(rows: Sequence[Mapping[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "How features move together. Correlation of those of one site, in the order of the "
        "regions found there. Outlined squares are regions; the strips at the left are the nested "
        "levels, the coarsest outside. The scale, from against each other to together, ends at "
        "the value beside it."
    )


def claim(rows: Sequence[Mapping[str, str]]) -> str:
    """What these rows say."""
    text = {row["mark"]: row["text"] for row in rows if row["text"]}
    if not text:
        return ""
    lines = max((int(row["j"]) for row in rows if row["mark"] == "cell"), default=-1) + 1
    parts = [row for row in rows if row["mark"] == "part" and row["level"] == "0"]
    regions = counted(sum(int(row["part"]) >= 0 for row in parts), "region")
    found = f"no regions: {text['refused']}" if "refused" in text else regions
    size = f"{lines} by {lines} cells, each {text['cell size']}, over {text['unit']}"
    return f"{size}; {found}."
