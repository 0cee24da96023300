"""faithfulness.{model}.{dictionary}.{task}: what circuits of each size keep, all partitions."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import connectome.plots.style as style
from connectome.plots.palette import MUTED, PAPER, Series, series_of
from connectome.plots.phrases import counted, ranged, sentences

COLUMNS = (
    "partition",
    "method",
    "intervention",
    "mode",
    "edges",
    "nodes",
    "features",
    "f_ratio",
    "f_lo",
    "f_hi",
    "null_lo",
    "null_hi",
    "null_median",
    "competent",
    "distinct",
)
_NAMES = ("model", "dictionary", "task")
_PANELS = (
    ("edge", "circuit", "faithfulness\n(edges ablated)"),
    ("edge", "complement", "completeness\n(circuit's edges ablated)"),
    ("node", "circuit", "faithfulness\n(nodes ablated)"),
)
_LOWEST, _HIGHEST = -0.5, 1.5


def select(
    faithfulness: Iterable[Mapping[str, str]], names: Sequence[str], method: str
) -> list[dict[str, str]]:
    """Rows of one task under one method from faithfulness.csv; names: model, dictionary, task."""
    wanted = {(intervention, mode) for intervention, mode, _ in _PANELS}
    return [
        {name: row[name] for name in COLUMNS}
        for row in faithfulness
        if tuple(row[name] for name in _NAMES) == tuple(names)
        and row["method"] == method
        and (row["intervention"], row["mode"]) in wanted
        and row["f_ratio"]
    ]


def draw(rows: list[dict[str, str]]) -> Figure:
    """Curves with bootstrap bands over edges or nodes, and features; random circuits are bars."""
    figure = style.new(style.PAGE, 6.8)
    grid = figure.subplots(3, 2, sharey="row")
    for column in (0, 1):
        grid[1, column].sharex(grid[0, column])
    styles = series_of(row["partition"] for row in rows)
    outside = 0
    for line, (intervention, mode, label) in enumerate(_PANELS):
        ideal = 0.0 if mode == "complement" else 1.0
        kept = "edges" if intervention == "edge" else "nodes"
        for column, size in enumerate((kept, "features")):
            axes = grid[line, column]
            shown = [
                row
                for row in rows
                if (row["intervention"], row["mode"]) == (intervention, mode)
                and float(row[size]) > 0
            ]
            axes.axhline(ideal, color=MUTED, lw=0.7, linestyle="dotted", zorder=1)
            for name, look in styles.items():
                curve = [row for row in shown if row["partition"] == name]
                curve.sort(key=lambda row: float(row[size]))
                draw_curve(axes, curve, size, look)
                if mode == "circuit" and intervention == "edge":
                    _random(axes, curve, size, look)
            style.log_axis(axes)
            style.panel(axes, "abcdef"[2 * line + column])
            style.quiet_grid(axes)
            if column == 0:
                axes.set_ylabel(label)
                outside += limit(axes, shown)
    grid[1, 0].set_xlabel("edges in the circuit, after pruning")
    grid[2, 0].set_xlabel("nodes kept")
    for line in (1, 2):
        grid[line, 1].set_xlabel("features in its parts")
    say_what_is_missing(figure, grid, rows, outside)
    handles = [handle(look) for look in styles.values()]
    bar = Line2D([], [], color=MUTED, lw=3, alpha=0.4, marker="o", markerfacecolor=PAPER)
    bar.set_label("random circuits")
    handles.append(bar)
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


def draw_curve(axes: Axes, rows: list[dict[str, str]], size: str, look: Series) -> None:
    """Faithfulness over a column of sizes, with its bootstrap band."""
    x = style.numbers(rows, size)
    low, high = style.numbers(rows, "f_lo"), style.numbers(rows, "f_hi")
    axes.fill_between(x, low, high, color=look.colour, alpha=0.16, lw=0)
    axes.plot(
        x,
        style.numbers(rows, "f_ratio"),
        linestyle=look.dash,
        marker=look.marker,
        color=look.colour,
        markerfacecolor=look.face,
        markeredgecolor=look.outline,
    )


def _random(axes: Axes, rows: list[dict[str, str]], size: str, look: Series) -> None:
    """Bars between the null's quantiles at the sizes where random circuits were run."""
    null = [row for row in rows if row["null_lo"] and row["null_hi"]]
    x = style.numbers(null, size)
    low, high = style.numbers(null, "null_lo"), style.numbers(null, "null_hi")
    axes.vlines(x, low, high, look.colour, lw=3.0, alpha=0.25)
    axes.plot(
        x,
        style.numbers(null, "null_median"),
        linestyle="",
        marker=look.marker,
        markersize=2.5,
        markerfacecolor=PAPER,
        markeredgecolor=look.colour,
    )


def limit(axes: Axes, rows: list[dict[str, str]]) -> int:
    """Axis limits that runaway ratios cannot stretch; returns how many values lie outside."""
    ends = [v for name in ("f_ratio", "f_lo", "f_hi") for v in style.numbers(rows, name)]
    values = [v for v in ends if v == v]
    low = max(_LOWEST, min([-0.05, *values]) - 0.05)
    high = min(_HIGHEST, max([1.05, *values]) + 0.05)
    axes.set_ylim(low, high)
    return sum(not low <= float(row["f_ratio"]) <= high for row in rows)


def say_what_is_missing(
    figure: Figure, grid: np.ndarray, rows: list[dict[str, str]], outside: int
) -> None:
    """Notices on panels (lines, columns) of a task that was refused or that the model cannot do;
    below them how many values lie outside."""
    if not rows:
        style.notice(grid[0, 0], "nothing was run: the task is refused, see its competence")
    if any(row["competent"] != "true" for row in rows):
        for axes in grid.ravel():
            style.notice(axes, "the model cannot do this task")
    if outside:
        text = f"{outside} values lie outside the axes (all in the table)"
        figure.supxlabel(text, fontsize=style.SMALL, color=MUTED)


def handle(look: Series) -> Line2D:
    """What stands for a curve in the legend."""
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markerfacecolor=look.face,
        markeredgecolor=look.outline,
        label=style.printable(look.label, 24),
    )


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "What circuits keep. Share of the metric that a circuit keeps (a, b; ideal: one), that is "
        "left when the circuit is cut out (c, d; ideal: zero), and that is kept when whole nodes "
        "are ablated (e, f), over edges after pruning and over features. Bands: ninety-five "
        "percent bootstrap over distinct held-out prompts; bars: random circuits of the size "
        "asked for, beside the circuit of that size."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    if not rows:
        return "Nothing was run: the task is refused."
    kept = [
        row
        for row in rows
        if (row["intervention"], row["mode"]) == ("edge", "circuit") and row["null_hi"]
    ]
    above = sum(float(row["f_ratio"]) > float(row["null_hi"]) for row in kept)
    names = dict.fromkeys(row["partition"] for row in rows)
    able = all(row["competent"] == "true" for row in rows)
    return sentences(
        [
            f"{counted(len(rows), 'circuit')} of {counted(len(names), 'partition')}, on "
            f"{ranged((int(row['distinct']) for row in rows), 'distinct prompts')}.",
            f"Random circuits were run beside {len(kept)} of them; {above} of these keep more than "
            "the upper end of the random ones."
            if kept
            else "No random circuits were run.",
            "" if able else "The model cannot do this task: these ratios have no meaning.",
        ]
    )
