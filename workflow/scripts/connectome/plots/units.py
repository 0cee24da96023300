"""units.{model}.{task}: every kind of unit on one axis, what is kept over how much is kept.

Whole nodes are ablated, on held-out prompts: features of dictionaries, neurons, heads, ROIs of
either, modules, and random groups beside them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import connectome.plots.style as style
from connectome.plots.faithfulness import draw_curve, handle, limit, say_what_is_missing
from connectome.plots.palette import ERROR_POLICIES, MUTED, SERIES, Series, unit_series
from connectome.plots.phrases import ranged, sentences

PARTITIONS = ("features", "rois_attribution", "rois", "heads", "modules", "random")
_OF_SPARSE = ("features", "rois_attribution", "rois", "random")  # the others have no features of it
COLUMNS = (
    *("table", "dictionary", "native", "partition", "error", "nodes", "features", "share"),
    *("f_ratio", "f_lo", "f_hi", "competent", "distinct"),
)
_SIZES = (("nodes", "nodes kept"), ("share", "share of the features in its parts"))
Row = dict[str, Any]


def select(
    sources: Mapping[str, Iterable[Mapping[str, str]]],
    model: str,
    task: str,
    method: str,
    native: str,
) -> list[Row]:
    """Rows of one task under one method from both tables, with their share of all features.

    sources: rows of `faithfulness`, and of `errors` with the runs under each policy for error
    nodes. native: the dictionary of the native features.
    """
    return [
        row | {"table": table, "native": row["dictionary"] == native}
        for table, every in sources.items()
        for row in _with_share(_of_units(every, model, task, method, native))
    ]


def _of_units(
    rows: Iterable[Mapping[str, str]], model: str, task: str, method: str, native: str
) -> list[Mapping[str, str]]:
    return [
        row
        for row in rows
        if (row["model"], row["task"], row["method"]) == (model, task, method)
        and (row["intervention"], row["mode"]) == ("node", "circuit")
        and row["partition"] in (PARTITIONS if row["dictionary"] == native else _OF_SPARSE)
        and row["f_ratio"]
    ]


def _with_share(rows: list[Mapping[str, str]]) -> list[Row]:
    every: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = _curve_of(row)
        every[key] = max(every.get(key, 0.0), float(row["features"]))
    kept = [name for name in COLUMNS if name not in ("table", "native", "share")]
    return [
        {name: row[name] for name in kept}
        | {"share": float(row["features"]) / every[_curve_of(row)]}
        for row in rows
        if every[_curve_of(row)]
    ]


def _curve_of(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("dictionary", "partition", "error"))


def draw(rows: list[dict[str, str]]) -> Figure:
    """All units over nodes kept and over the share of features; below, per dictionary that is not
    exact, what becomes of its error nodes."""
    main, errors = (
        [row for row in rows if row["table"] == table] for table in ("faithfulness", "errors")
    )
    sparse = list(dict.fromkeys(row["dictionary"] for row in errors))
    figure = style.new(style.PAGE, 3.2 + 2.1 * len(sparse))
    grid = figure.subplots(
        1 + len(sparse), 2, sharey="row", squeeze=False, height_ratios=[1.4] + [1] * len(sparse)
    )
    order = {name: i for i, name in enumerate(PARTITIONS)}
    native = {row["dictionary"] for row in main if row["native"] == "true"}
    units = sorted(
        {(row["dictionary"], row["partition"]) for row in main},
        key=lambda unit: (unit[0] not in native, unit[0], order[unit[1]]),
    )
    looks = unit_series(units, native)
    outside = 0
    for column, (size, label) in enumerate(_SIZES):
        for unit, look in looks.items():
            draw_curve(grid[0, column], _curve(main, unit, size), size, look)
        _finish(grid[0, column], "ab"[column], label)
    outside += limit(grid[0, 0], main)
    for line, dictionary in enumerate(sparse, start=1):
        of = [row for row in errors if row["dictionary"] == dictionary]
        partition = next(p for p in PARTITIONS if any(row["partition"] == p for row in of))
        for column, (size, label) in enumerate(_SIZES):
            axes = grid[line, column]
            for policy, look in ERROR_POLICIES.items():
                shown = [row for row in of if row["error"] == policy]
                draw_curve(axes, _curve(shown, (dictionary, partition), size), size, look)
            _finish(axes, "cdefghijkl"[2 * line - 2 + column], label)
        outside += limit(grid[line, 0], [row for row in of if row["partition"] == partition])
        _title(grid[line, 0], f"{dictionary}: {SERIES[partition].label}")
        grid[line, 1].legend(
            handles=[handle(look) for look in ERROR_POLICIES.values()],
            title="error nodes",
            title_fontsize=style.SMALL,
            loc="lower right",
        )
    for row in grid:
        row[0].set_ylabel("faithfulness\n(nodes ablated)")
    say_what_is_missing(figure, grid, rows, outside)
    if looks:
        _legend(figure, looks)
    return figure


def _legend(figure: Figure, looks: Mapping[tuple[str, str], Series]) -> None:
    """A block of columns per dictionary, under its name."""
    names = dict.fromkeys(dictionary for dictionary, _ in looks)
    length = 3 if len(names) <= 2 else len(PARTITIONS)  # of a column
    handles: list[Line2D] = []
    for name in names:
        of = [handle(look) for (dictionary, _), look in looks.items() if dictionary == name]
        for first in range(0, len(of), length):
            column = [_words("" if first else style.printable(name, 24)), *of[first:][:length]]
            handles += column + [_words("")] * (1 + length - len(column))
    columns = len(handles) // (1 + length)
    legend = figure.legend(handles=handles, loc="outside upper center", ncols=columns)
    for text in legend.get_texts()[:: 1 + length]:
        text.set_fontweight("bold")


def _words(text: str) -> Line2D:
    return Line2D([], [], linestyle="", label=text)


def _curve(rows: list[dict[str, str]], unit: tuple[str, str], size: str) -> list[dict[str, str]]:
    found = [
        row
        for row in rows
        if (row["dictionary"], row["partition"]) == unit and float(row[size]) > 0
    ]
    return sorted(found, key=lambda row: float(row[size]))


def _finish(axes: Axes, letter: str, label: str) -> None:
    axes.axhline(1.0, color=MUTED, lw=0.7, linestyle="dotted", zorder=1)
    style.log_axis(axes)
    style.panel(axes, letter)
    style.quiet_grid(axes)
    axes.set_xlabel(label)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(style.printable(text, 40), loc="center", fontsize=style.SMALL, pad=4)


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "Which units keep a task, for how much? Share of the metric that is kept on held-out "
        "prompts when all other nodes are ablated, over the number of nodes kept (a) and over the "
        "share of features in them (b), for single features, regions, heads, modules and random "
        "groups. Hollow: features of a dictionary, at the sites that it covers; native ones "
        "elsewhere. Below, what the curve of single features becomes when error nodes, which hold "
        "what a dictionary misses, are recomputed in each run, keep the clean run's value, or are "
        "ablated with the rest; above, it is the first of these that was run. Bands: ninety-five "
        "percent bootstrap over distinct prompts."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    if not rows:
        return "Nothing was run: the task is refused."
    main = [row for row in rows if row["table"] == "faithfulness"]
    said = []
    for dictionary, partition in dict.fromkeys((r["dictionary"], r["partition"]) for r in main):
        curve = [r for r in main if (r["dictionary"], r["partition"]) == (dictionary, partition)]
        half = [float(row["share"]) for row in curve if float(row["f_ratio"]) >= 0.5]
        if half:
            label = f"{SERIES[partition].label} ({dictionary})"
            said.append(f"{label} {100 * min(half):.1f} %")
    able = all(row["competent"] == "true" for row in rows)
    return sentences(
        [
            f"Smallest share of features that keeps half of the metric: {', '.join(said)}."
            if said
            else "No unit keeps half of the metric.",
            f"Bands are over {ranged((int(row['distinct']) for row in rows), 'distinct prompts')}.",
            "" if able else "The model cannot do this task: these ratios have no meaning.",
        ]
    )
