"""dictionaries.{model}.{dictionary}: training, firing, and what is kept for how many features."""

from collections.abc import Iterable, Mapping, Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import connectome.plots.style as style
from connectome.plots.palette import INK, MUTED, PAPER, Dash
from connectome.plots.phrases import rounded, sentences

COLUMNS = (
    "mark",
    "run",
    "site",
    "kind",
    "tokens",
    "explained_variance",
    "dead",
    "low",
    "high",
    "features",
    "l0",
    "recovered_zero",
    "delta",
    "reason",
)
Row = Mapping[str, str]

MAIN = "dictionary"  # run of which firing is shown
_KINDS = {
    "dictionary": ("o", "dictionary"),
    "pca": ("^", "as many principal components"),
    "linear": ("^", "linear map of that rank"),
    "untrained": ("x", "untrained dictionary"),
    "mean": ("_", "mean"),
}
_DASHES: tuple[Dash, ...] = ("-", "--", "-.", ":")
_PANELS = (
    ("explained_variance", "explained variance", 1.0),
    ("recovered_zero", "cross-entropy recovered\n(of zero ablation)", 1.0),
    ("delta", "cross-entropy added, nats", 0.0),
)
_LOWEST = -0.5  # of a share; what is below is counted, not drawn
_NAMED = 8  # sites in the legend


def select(
    dictionaries: Iterable[Row],
    training: Iterable[Row],
    density: Iterable[Row],
    names: Sequence[str],
) -> list[dict[str, str]]:
    """Curves, bins and points of one dictionary from the three tables; names: model, dictionary."""

    def own(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if [row["model"], row["dictionary"]] == list(names)]

    curves = [
        _row("curve", row, row["tokens"], row["ev_batch"], row["dead_share"])
        for row in own(training)
    ]
    bins = [
        _row("bin", row) | {name: row[name] for name in ("low", "high", "features")}
        for row in own(density)
        if row["run"] == MAIN
    ]
    points = [
        _row("point", row, ev=row["explained_variance"])
        | {name: row[name] for name in ("kind", "l0", "recovered_zero", "delta", "reason")}
        for row in own(dictionaries)
    ]
    return [*curves, *bins, *points]


def _row(mark: str, row: Row, tokens: str = "", ev: str = "", dead: str = "") -> dict[str, str]:
    found = {"mark": mark, "run": row["run"], "site": row["site"]}
    found |= {"tokens": tokens, "explained_variance": ev, "dead": dead}
    return dict.fromkeys(COLUMNS, "") | found


def draw(rows: list[dict[str, str]]) -> Figure:
    """Above training and firing; below what is kept, over the number of features on a token."""
    figure = style.new(style.PAGE, 4.6)
    grid = figure.subplots(2, 3)
    sites = list(dict.fromkeys(row["site"] for row in rows))
    looks = {site: _look(number, len(sites)) for number, site in enumerate(sites)}
    curves, bins, points = (
        [row for row in rows if row["mark"] == mark] for mark in ("curve", "bin", "point")
    )
    for axes, column, label in (
        (grid[0, 0], "explained_variance", "explained variance\nof the training batch"),
        (grid[0, 1], "dead", "share of features\nthat stopped firing"),
    ):
        _curves(axes, curves, column, looks)
        axes.set_ylabel(label)
        axes.set_xlabel("tokens seen")
        axes.ticklabel_format(axis="x", style="plain")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g} M")
        if not curves:
            style.notice(axes, "not trained here")
    grid[0, 0].set_ylim(*_limits(curves, "explained_variance"))
    grid[0, 1].set_ylim(0, max([0.02, *style.numbers(curves, "dead")]) * 1.05)
    _density(grid[0, 2], bins, looks)
    outside = 0
    for axes, (column, label, ideal) in zip(grid[1], _PANELS, strict=True):
        outside += _points(axes, points, column, looks)
        axes.axhline(ideal, color=MUTED, lw=0.7, linestyle="dotted", zorder=1)
        axes.set_xlabel("features on a token")
        axes.set_ylabel(label)
    for axes, letter in zip(grid.ravel(), "abcdef", strict=True):
        style.panel(axes, letter)
        style.quiet_grid(axes)
    refused = [row for row in points if row["kind"] == "dictionary" and row["reason"]]
    for row in refused[:1]:
        style.notice(grid[1, 0], f"{row['site']}: {row['reason']}")
    if outside:
        text = f"{outside} values lie outside the axes (all in the table)"
        figure.supxlabel(text, fontsize=style.SMALL, color=MUTED)
    handles = [*_of_sites(looks), *_of_kinds(points)]
    figure.legend(handles=handles, loc="outside upper center", ncols=5)
    return figure


def _look(number: int, count: int) -> tuple[str, Dash]:
    """Colour and dash of a site: lighter with the depth, but none below 3:1 on white."""
    colour = to_hex(colormaps["viridis"](0.6 * number / max(1, count - 1)))
    return colour, _DASHES[number % len(_DASHES)]


def _curves(
    axes: Axes, rows: list[dict[str, str]], column: str, looks: Mapping[str, tuple[str, Dash]]
) -> None:
    for run, site in dict.fromkeys((row["run"], row["site"]) for row in rows):
        curve = [row for row in rows if (row["run"], row["site"]) == (run, site)]
        colour, dash = looks[site]
        x, y = style.numbers(curve, "tokens"), style.numbers(curve, column)
        width = 1.1 if run == MAIN else 0.5
        axes.plot(x, y, color=colour, linestyle=dash, lw=width)


def _density(axes: Axes, rows: list[dict[str, str]], looks: Mapping[str, tuple[str, Dash]]) -> None:
    """Features per bin as steps, from the first bin that any site fills."""
    filled = [float(row["low"]) for row in rows if float(row["features"])]
    for site, (colour, dash) in looks.items():
        own = [row for row in rows if row["site"] == site]
        own = [row for row in own if float(row["low"]) >= min(filled, default=0)]
        if own:
            edges = [*style.numbers(own, "low"), float(own[-1]["high"])]
            counts = style.numbers(own, "features")
            axes.stairs(counts, edges, color=colour, linestyle=dash, lw=1.0)
    axes.set_xlabel("log10 of the share of tokens")
    axes.set_ylabel("features that fire on it")


def _points(
    axes: Axes, rows: list[dict[str, str]], column: str, looks: Mapping[str, tuple[str, Dash]]
) -> int:
    """Dictionaries and controls over their number of features; how many lie outside the axes."""
    shown = [row for row in rows if row["l0"] and row[column]]
    for row in shown:
        colour, _ = looks[row["site"]]
        marker, _ = _KINDS[row["kind"]]
        own = row["kind"] == "dictionary"
        filled = colour if own and row["run"] == MAIN else PAPER
        size = 4.0 if own else 3.5
        axes.plot(
            float(row["l0"]),
            float(row[column]),
            marker,
            color=colour,
            markersize=size,
            markerfacecolor=filled,
            zorder=3 if own else 2,
        )
    low, high = _limits(shown, column)
    axes.set_ylim(low, high)
    axes.set_xlim(left=min(0.0, *axes.get_xlim()))
    return sum(not low <= float(row[column]) <= high for row in shown)


def _limits(rows: list[dict[str, str]], column: str) -> tuple[float, float]:
    """Axis limits that controls far off cannot stretch."""
    values = [value for value in style.numbers(rows, column) if value == value]
    if column == "delta":
        near = [row for row in rows if row["kind"] in ("dictionary", "pca", "linear")]
        high = max([0.05, *(v for v in style.numbers(near, column) if v == v)])
        return min([0.0, *values]) - 0.05 * high, 1.1 * high
    return max(_LOWEST, min([0.0, *values])) - 0.05, max([1.0, *values]) + 0.05


def _of_sites(looks: Mapping[str, tuple[str, Dash]]) -> list[Line2D]:
    """Sites of the legend: all of a few, else so many at equal distances."""
    names = list(looks)
    count = min(_NAMED, len(names))
    chosen = [names[round(i * (len(names) - 1) / max(1, count - 1))] for i in range(count)]
    return [
        Line2D([], [], color=looks[site][0], linestyle=looks[site][1], label=site)
        for site in chosen
    ]


def _of_kinds(points: list[dict[str, str]]) -> list[Line2D]:
    present = {row["kind"] for row in points}
    handles = [
        Line2D([], [], color=INK, marker=marker, linestyle="", label=label)
        for kind, (marker, label) in _KINDS.items()
        if kind in present
    ]
    if any(row["run"] != MAIN for row in points):
        others = Line2D([], [], color=INK, marker="o", markerfacecolor=PAPER, linestyle="")
        others.set_label("its other runs")
        handles.append(others)
    return handles


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "How a dictionary was trained, how often its features fire, and what it keeps. (a) "
        "Explained variance and (b) features that stopped firing, over the tokens of training; "
        "(c) features by the share of tokens on which they fire. Below, over the number of "
        "features on a token, on documents held out: explained variance (d), cross-entropy "
        "recovered (e) and added (f), beside controls; hollow: other runs."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    own = [
        row
        for row in rows
        if (row["mark"], row["kind"], row["run"]) == ("point", "dictionary", MAIN)
    ]
    return sentences(
        f"At {row['site']}: {float(row['l0']):.1f} features on a token explain "
        f"{rounded(float(row['explained_variance']))} of the variance."
        if row["l0"] and row["explained_variance"]
        else f"Not measured at {row['site']}: {row['reason']}."
        for row in own
    )
