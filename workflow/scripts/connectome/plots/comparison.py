"""comparison.{dictionary}: several models, or one model while it learns, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import connectome.plots.style as style
from connectome.plots.palette import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    RULE,
    SKY,
    VERMILLION,
    series_of,
)
from connectome.plots.phrases import counted

COLUMNS = (
    *("panel", "model", "other", "place", "step", "one_run", "of", "partition"),
    *("value", "lo", "hi", "null", "null_hi"),
)
# how each task is drawn: no two of the first nine share colour and marker
_TASKS = tuple(
    zip((BLUE, VERMILLION, GREEN, PURPLE, INK, ORANGE, SKY, MUTED), "osD^vPX*", strict=True)
)
_GROWTH = ("accuracy", "rois", "effective_rois", "modularity", "circuit")
_MATRICES = {"profiles": "matched ROIs, |r|", "features": "same neurons, AMI"}
_DARK, _LIGHT = "#101418", "#fdfdfd"  # text on cells, which keep their colour on a dark page


def select(
    growth: Sequence[Mapping[str, str]], comparison: Iterable[Mapping[str, str]], dictionary: str
) -> list[dict[str, str]]:
    """Rows of growth.csv and comparison.csv of one dictionary, panel by panel."""
    one_run = "true" if len({row["origin"] for row in growth}) == 1 else "false"
    result = [
        {"panel": row["quantity"], "other": "", "one_run": one_run}
        | {name: row[name] for name in COLUMNS if name in row}
        for quantity in _GROWTH
        for row in growth
        if row["quantity"] == quantity
        and row["dictionary"] in ("", dictionary)
        and (quantity == "accuracy" or row["of"] == "all")
    ]
    for row in comparison:
        if row["dictionary"] == dictionary and row["measure"] in _MATRICES and row["value"]:
            of_pair = {"panel": row["measure"], "model": row["left"], "other": row["right"]}
            empty = dict.fromkeys(COLUMNS, "") | {"one_run": one_run}
            kept = {name: row[name] for name in ("partition", "value", "null", "null_hi")}
            result.append(empty | kept | of_pair)
    return result


def draw(rows: list[dict[str, str]]) -> Figure:
    """Six panels: accuracy, ROIs, modularity, circuit size, and two matrices of agreement."""
    figure = style.new(style.PAGE, 4.9)
    grid = figure.subplots(2, 3)
    models = list(dict.fromkeys(row["model"] for row in rows if row["place"]))
    place = {row["model"]: _x(row) for row in rows if row["place"]}
    panels = dict(zip("abcdef", grid.ravel(), strict=True))
    for letter, axes in panels.items():
        style.panel(axes, letter)
    _accuracy(panels["a"], [row for row in rows if row["panel"] == "accuracy"])
    _curves(panels["b"], [row for row in rows if row["panel"] == "rois"], "", "-")
    _curves(
        panels["b"], [row for row in rows if row["panel"] == "effective_rois"], "effective", "--"
    )
    _curves(panels["c"], [row for row in rows if row["panel"] == "modularity"], "", "-", True)
    _curves(panels["d"], [row for row in rows if row["panel"] == "circuit"], "", "-")
    for letter, title in zip(
        "abcd",
        ("accuracy", "number of ROIs", "modularity of ROIs", "edges of circuit"),
        strict=True,
    ):  # fmt: skip
        _finish(panels[letter], title, models, place, rows)
    panels["d"].yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    for letter in "bcd":  # room for the legends
        low, high = panels[letter].get_ylim()
        panels[letter].set_ylim(min(low, 0), high + 0.45 * (high - min(low, 0)))
    image = None
    for letter, measure in zip("ef", _MATRICES, strict=True):
        shown = [row for row in rows if row["panel"] == measure]
        image = _matrix(panels[letter], shown, models) or image
        panels[letter].set_title(_MATRICES[measure], fontsize=style.NORMAL)
    if image is not None:
        bar = figure.colorbar(image, ax=[panels["e"], panels["f"]], shrink=0.6, ticks=[0, 0.5, 1])
        bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _x(row: Mapping[str, str]) -> float:
    return float(row["step"] if row["one_run"] == "true" else row["place"])


def _accuracy(axes: Axes, rows: list[dict[str, str]]) -> None:
    tasks = dict.fromkeys(row["of"] for row in rows)
    for task, (colour, marker) in zip(tasks, cycle(_TASKS), strict=False):
        curve = sorted((row for row in rows if row["of"] == task), key=_x)
        x, y = [_x(row) for row in curve], style.numbers(curve, "value")
        low, high = style.numbers(curve, "lo"), style.numbers(curve, "hi")
        axes.vlines(x, low, high, colour, lw=0.8)
        label = style.printable(task, 16)
        face = PAPER if colour in (ORANGE, SKY) else colour
        axes.plot(x, y, color=colour, marker=marker, markerfacecolor=face, label=label)
    axes.set_ylim(0, 1.03)
    if len(tasks) <= 12:
        axes.legend(loc="lower right", ncols=2 if len(tasks) > 5 else 1)


def _curves(
    axes: Axes, rows: list[dict[str, str]], what: str, dash: str, null: bool = False
) -> None:
    """One line per partition; its null, where there is one, as a band up to the 95th percentile."""
    for name, look in series_of(row["partition"] for row in rows).items():
        curve = sorted((row for row in rows if row["partition"] == name), key=_x)
        x, y = [_x(row) for row in curve], style.numbers(curve, "value")
        label = f"{look.label}, {what}" if what else look.label
        face = PAPER if what else look.colour
        (line,) = axes.plot(x, y, dash, color=look.colour, marker=look.marker, label=label)
        line.set(markerfacecolor=face, markeredgecolor=look.outline)
        if null:
            level = style.numbers(curve, "null_hi")
            axes.plot(x, level, ":", color=look.colour, label="labels permuted")
    if rows:
        axes.legend(loc="best", fontsize=style.SMALL - 1.5, handlelength=2.0)
    else:
        style.notice(axes, "nothing to show")


def _finish(
    axes: Axes,
    title: str,
    models: Sequence[str],
    place: Mapping[str, float],
    rows: Sequence[Mapping[str, str]],
) -> None:
    axes.set_title(title, fontsize=style.NORMAL)
    style.quiet_grid(axes)
    if any(row["one_run"] == "true" for row in rows):
        axes.set_xlabel("training step", color=MUTED)
        steps = [place[model] for model in models]
        axes.set_xlim(0, max(steps) * 1.05)
        axes.set_xticks(steps, [f"{step:g}" for step in steps])
    else:
        labels = [style.printable(model, 14) for model in models]
        axes.set_xticks([place[model] for model in models], labels, rotation=30)


def _matrix(axes: Axes, rows: Sequence[Mapping[str, str]], models: Sequence[str]):  # type: ignore[no-untyped-def]
    """Value of each pair, above the diagonal its first partition, below it the second."""
    partitions = list(series_of(row["partition"] for row in rows))
    n = len(models)
    values = np.full((n, n), np.nan)
    beyond: dict[tuple[int, int], bool] = {}
    at = {model: i for i, model in enumerate(models)}
    for row in rows:
        i, j = sorted((at[row["model"]], at[row["other"]]))
        cell = (i, j) if row["partition"] == partitions[-1] else (j, i)
        values[cell] = float(row["value"])
        beyond[cell] = bool(row["null_hi"]) and float(row["value"]) > float(row["null_hi"])
    axes.set_xticks(range(n), [style.printable(model, 14) for model in models], rotation=90)
    axes.set_yticks(range(n), [style.printable(model, 14) for model in models])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for i in range(n):
        axes.plot([i - 0.5, i + 0.5], [i - 0.5, i + 0.5], color=RULE, lw=0.6)
    image = axes.imshow(values, cmap=colormaps["Blues"], vmin=0, vmax=1, interpolation="none")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            shown = f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212").replace("0.", ".", 1)
            text = shown + ("" if beyond[i, j] else "\n(chance)")
            colour = _LIGHT if value > 0.55 else _DARK
            axes.text(j, i, text, ha="center", va="center", fontsize=6, color=colour)
    labels = [series_of([name])[name].label for name in partitions]
    if len(labels) > 1:
        axes.set_xlabel(f"above: {labels[-1]}\nbelow: {labels[0]}", fontsize=style.SMALL)
    elif labels:
        axes.set_xlabel(labels[0], fontsize=style.SMALL)
    else:
        style.notice(axes, "nothing to compare by this route")
        return None
    return image


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    one_run = any(row["one_run"] == "true" for row in rows)
    return (
        f"{'The model while it learns' if one_run else 'The models side by side'}. (a) Accuracy on "
        "clean held-out prompts, with intervals. (b) Number of ROIs over all fitted sites, and the "
        "effective number (exponential of the entropy of their sizes). (c) Modularity of the ROIs "
        "on the graph they were fitted to; dotted: the upper end under permuted labels. (d) Edges "
        "of the smallest circuit that keeps the wanted share of the metric, as a share of all "
        "edges, median over the tasks that the model can do (other tasks, maybe, in each). (e) "
        "Mean |r| between activity profiles of matched ROIs. (f) AMI of the groups of the same "
        "neurons, median over MLP sites. A cell that is not above the upper end under permuted "
        "labels says so."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    models = dict.fromkeys(row["model"] for row in rows if row["place"])
    said = [f"{counted(len(models), 'model')}."]
    for measure, title in _MATRICES.items():
        tested = [row for row in rows if row["panel"] == measure and row["null_hi"]]
        above = sum(float(row["value"]) > float(row["null_hi"]) for row in tested)
        if tested:
            pairs = counted(len(tested), "comparison")
            said.append(f"{title}: {above} of {pairs} above the upper end of permuted labels.")
    return " ".join(said)
