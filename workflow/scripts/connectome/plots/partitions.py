"""partitions.{model}.{dictionary}: how far each two partitions of a site agree."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import connectome.plots.style as style
from connectome.plots.palette import BAND, BLUE, INK, MUTED, PAPER, series_of
from connectome.plots.phrases import counted, spread

COLUMNS = ("site", "left", "right", "status", "features", "ami", "ami_null_hi", "p")
_ACROSS = 3
_SHADES = LinearSegmentedColormap.from_list("agreement", [PAPER, BLUE])
_BY_CHANCE = 0.05  # p above which an agreement is shown as chance


def select(rows: Iterable[Mapping[str, str]], model: str, dictionary: str) -> list[dict[str, str]]:
    """Rows of partition_agreement.csv of one model and dictionary."""
    return [
        {name: row[name] for name in COLUMNS}
        for row in rows
        if (row["model"], row["dictionary"]) == (model, dictionary)
    ]


def draw(rows: Sequence[Mapping[str, str]]) -> Figure:
    """One triangle per site: adjusted mutual information of each pair of partitions.

    In brackets: no more than permuted labels give (p above .05). Grey: one side has a single part
    or was not made.
    """
    found = [name for row in rows for name in (row["left"], row["right"])]
    looks = series_of(dict.fromkeys(found))
    names = [name for name in looks if name in found]
    sites = sorted(dict.fromkeys(row["site"] for row in rows), key=_place)
    across = max(1, min(_ACROSS, len({_place(site)[1] for site in sites})))
    down = -(-max(1, len(sites)) // across)
    cells = max(1, len(names) - 1)
    side = min(0.32 * cells, (style.PAGE - 1.2) / across)
    figure = style.new(style.PAGE, 1.3 + (side + 0.3) * down)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat:
        axes.set_visible(False)
    labels = [looks[name].label for name in names]
    for axes, site in zip(grid.flat, sites, strict=False):
        axes.set_visible(True)
        _triangle(axes, [row for row in rows if row["site"] == site], names)
        axes.set_title(site, fontsize=style.SMALL, loc="left")
        axes.set_xticks(range(len(names) - 1), labels[:-1], rotation=90)
        axes.set_yticks(range(1, len(names)), labels[1:])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    for column in grid.T:
        shown = [axes for axes in column if axes.get_visible()]
        for axes in shown[-1:]:
            axes.tick_params(labelbottom=True)
    note = "AMI; in brackets: no more than permuted labels give; grey: one part alone, or not made"
    figure.supxlabel(note, fontsize=style.SMALL, color=MUTED)
    return figure


def _place(site: str) -> tuple[str, int]:
    kind, layer = site.split(".")
    return kind, int(layer)


def _triangle(axes: Axes, rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> None:
    order = {name: place for place, name in enumerate(names)}
    n = len(names)
    values = np.full((n, n), np.nan)
    for row in rows:
        j, i = sorted((order[row["left"]], order[row["right"]]))
        if not row["ami"]:
            axes.add_patch(_cell(i, j))
            continue
        values[i, j] = ami = float(row["ami"])
        text = f"{round(ami, 2) + 0.0:.2f}".replace("0.", ".").replace("-", "\u2212")
        chance = float(row["p"]) > _BY_CHANCE
        axes.text(
            j,
            i,
            f"({text})" if chance else text,
            ha="center",
            va="center_baseline",
            fontsize=5.5,
            color=MUTED if chance else (PAPER if ami > 0.6 else INK),
        )
    axes.imshow(values, cmap=_SHADES, vmin=0, vmax=1, interpolation="none")
    axes.set_xlim(-0.5, n - 1.5)
    axes.set_ylim(n - 0.5, 0.5)


def _cell(i: int, j: int) -> Rectangle:
    return Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, facecolor=BAND, linewidth=0)


def caption(rows: Sequence[Mapping[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "Other ways to group the same features. Adjusted mutual information between every two "
        "partitions of each site, over the features that both group: one is the same grouping, "
        "zero is chance. In brackets: no more than permuted labels give; grey: a side with one "
        "part, or not made."
    )


def claim(rows: Sequence[Mapping[str, str]]) -> str:
    """What these rows say."""
    found = [row for row in rows if row["ami"]]
    if not found:
        return "No two partitions can be compared."
    chance = sum(float(row["p"]) > _BY_CHANCE for row in found)
    values = spread([float(row["ami"]) for row in found])
    pairs = counted(len(found), "pair of partitions", "pairs of partitions")
    return f"Over {pairs} of a site: {values}; {chance} agree no more than permuted labels."
