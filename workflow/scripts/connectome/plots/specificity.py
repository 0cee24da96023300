"""specificity.{model}.{dictionary}.{sets}: what is left of each task under the parts of each."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

import connectome.plots.style as style
from connectome.plots.palette import BAND, INK, RULE, series_of

COLUMNS = ("partition", "intervention", "task", "measured", "status", "reason", "f", "f_lo", "f_hi")
_TITLES = {"ablate": "parts of the row's task ablated", "keep": "nothing but those parts kept"}
# Text in the cells keeps its colour on a dark page, where the cells keep theirs.
_DARK, _LIGHT = "#101418", "#fdfdfd"


def select(
    cells: Iterable[Mapping[str, str]], names: Sequence[str], sets: str
) -> list[dict[str, str]]:
    """Rows of specificity.csv of one model and dictionary: one kind of sets, and tasks left out."""
    return [
        {name: row[name] for name in COLUMNS}
        for row in cells
        if (row["model"], row["dictionary"]) == tuple(names) and row["sets"] in (sets, "")
    ]


def draw(rows: list[dict[str, str]]) -> Figure:
    """Heat maps of f, one line per partition; tasks the model cannot do are hatched bands."""
    partitions = list(series_of(row["partition"] for row in rows if row["partition"]))
    cannot = {row["task"] for row in rows if not row["partition"]}
    tasks = list(dict.fromkeys(name for row in rows for name in (row["task"], row["measured"])))
    tasks.sort(key=lambda task: task in cannot)
    lines = max(1, len(partitions))
    figure = style.new(style.PAGE, 0.7 + lines * (1.0 + 0.21 * len(tasks)))
    grid = figure.subplots(lines, 2, squeeze=False, sharex=True, sharey=True)
    image = None
    for line, partition in enumerate(partitions):
        for column, intervention in enumerate(_TITLES):
            axes = grid[line, column]
            key = (partition, intervention)
            shown = [row for row in rows if (row["partition"], row["intervention"]) == key]
            image = _matrix(axes, shown, tasks, cannot)
            style.panel(axes, "abcdefghijklmnop"[2 * line + column])
            if line == 0:
                beside = {"xytext": (12, 4), "textcoords": "offset points"}  # of the letter
                axes.annotate(
                    _TITLES[intervention], (0, 1), xycoords="axes fraction",
                    fontsize=style.NORMAL, **beside,
                )  # fmt: skip
        label = next(iter(series_of([partition]).values())).label
        grid[line, 0].set_ylabel(f"{style.printable(label, 24)},\nparts of")
    for axes in grid[-1]:
        axes.set_xlabel("task measured")
    if image is None:
        style.notice(grid[0, 0], "the model can do none of the tasks")
    else:
        bar = figure.colorbar(image, ax=grid, shrink=0.5, ticks=[0, 0.5, 1], extend="both")
        bar.ax.set_title("share\nleft", fontsize=style.SMALL)
        bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _matrix(
    axes: Axes, rows: list[dict[str, str]], tasks: Sequence[str], cannot: set[str]
) -> AxesImage:
    place = {task: i for i, task in enumerate(tasks)}
    n = len(tasks)
    values = np.full((n, n), np.nan)
    for row in rows:
        if row["f"]:
            values[place[row["task"]], place[row["measured"]]] = float(row["f"])
    image = axes.imshow(values, cmap=colormaps["Blues"], vmin=0, vmax=1, interpolation="none")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212").replace("0.", ".", 1)
            colour = _LIGHT if value > 0.55 else _DARK
            axes.text(j, i, text, ha="center", va="center", fontsize=5.5, color=colour)
    for task, i in place.items():
        if task in cannot:
            for corner, width, height in (((-0.5, i - 0.5), n, 1), ((i - 0.5, -0.5), 1, n)):
                band = Rectangle(corner, width, height, facecolor=BAND, edgecolor=RULE)
                band.set_hatch("////")
                band.set_linewidth(0)
                axes.add_patch(band)
            continue
        if not np.isfinite(values[i]).any():
            style.subdued(axes, (n - len(cannot) - 1) / 2, i, "no part", ha="center", va="center")
        else:
            frame = Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=0.9)
            axes.add_patch(frame)
    labels = [
        style.printable(task, 18) + (" (cannot do)" if task in cannot else "") for task in tasks
    ]
    axes.set_xticks(range(n), labels, rotation=90)
    axes.set_yticks(range(n), labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
