"""ablation.{model}.{dictionary}: how small a faithful circuit is, per task and partition."""

from collections.abc import Iterable, Mapping
from statistics import median

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import connectome.plots.style as style
from connectome.plots.palette import MUTED, PAPER, RULE, series_of
from connectome.plots.phrases import counted

COLUMNS = (
    "task",
    "competent",
    "partition",
    "target",
    "reached",
    "edges",
    "edges_all",
    "features",
    "features_all",
    "faithfulness",
)


def select(
    sizes: Iterable[Mapping[str, str]], model: str, dictionary: str, method: str
) -> list[dict[str, str]]:
    """Edge ablation under one method from sizes.csv."""
    return [
        {name: row[name] for name in COLUMNS}
        for row in sizes
        if (row["model"], row["dictionary"], row["method"]) == (model, dictionary, method)
        and row["intervention"] == "edge"
    ]


def draw(rows: list[dict[str, str]]) -> Figure:
    """Edges and share of features needed; open marks did not reach the target at any size."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = style.new(style.PAGE, 1.1 + 0.36 * len(tasks))
    panels = figure.subplots(1, 2, sharey=True)
    styles = series_of(row["partition"] for row in rows)
    place = {task: len(tasks) - 1 - i for i, task in enumerate(tasks)}
    cannot = {row["task"] for row in rows if row["competent"] != "true"}
    step = 0.62 / max(len(styles) - 1, 1)
    for axes, size in zip(panels, ("edges", "features"), strict=True):
        for index, (name, look) in enumerate(styles.items()):
            for row in rows:
                if row["partition"] != name or not float(row[f"{size}_all"]):
                    continue
                share = float(row[size]) / float(row[f"{size}_all"])
                value = float(row[size]) if size == "edges" else share
                if value <= 0:
                    continue
                axes.plot(
                    value,
                    place[row["task"]] + 0.31 - index * step,
                    marker=look.marker,
                    markerfacecolor=look.colour if row["reached"] == "true" else PAPER,
                    markeredgecolor=look.outline,
                    alpha=0.35 if row["task"] in cannot else 1,
                )
        for y in range(len(tasks) - 1):
            axes.axhline(y + 0.5, color=RULE, lw=0.4)
        style.log_axis(axes)
        axes.set_ylim(-0.5, len(tasks) - 0.5)
        style.quiet_grid(axes, "x")
        style.unlabelled(axes)
    names = {task: style.printable(task, 40) for task in tasks}
    labels = [f"{names[t]}\n(cannot do)" if t in cannot else names[t] for t in tasks]
    panels[0].set_yticks([place[task] for task in tasks], labels)
    target = float(rows[0]["target"]) if rows else 0.0
    panels[0].set_xlabel(f"edges of the smallest circuit with faithfulness {target:g}")
    panels[1].set_xlabel("share of all features in its parts")
    style.panel(panels[0], "a")
    style.panel(panels[1], "b")
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=look.marker,
            color=look.colour,
            markeredgecolor=look.outline,
            label=style.printable(look.label, 24),
        )
        for look in styles.values()
    ]
    open_mark = Line2D([], [], linestyle="", marker="o", markerfacecolor=PAPER, color=MUTED)
    open_mark.set_label("open: not reached")
    figure.legend(handles=[*handles, open_mark], loc="outside upper center", ncols=4)
    return figure


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "How small a circuit is enough? Smallest circuit that reaches the target, by number of "
        "edges (a) and by share of all features in its parts (b); open: not reached at any size. "
        "Parts differ in size, so partitions are compared on features."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    able = [row for row in rows if row["competent"] == "true"]
    said = []
    for name, look in series_of(row["partition"] for row in able).items():
        of = [row for row in able if row["partition"] == name]
        edges = [float(row["edges"]) for row in of if row["reached"] == "true"]
        tasks = counted(len(of), "task")
        needed = f", {median(edges):g} edges in the median" if edges else ""
        said.append(f"{look.label}: reached in {len(edges)} of {tasks}{needed}")
    return "; ".join(said) + "." if said else "The model can do none of the tasks."
