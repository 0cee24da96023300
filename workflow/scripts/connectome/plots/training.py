"""training.{model}: loss and accuracy per task over the steps of a model trained here."""

from collections.abc import Iterable, Mapping

from matplotlib.figure import Figure

import connectome.plots.style as style
from connectome.plots.palette import BLUE, INK, MUTED, RULE
from connectome.plots.phrases import counted, rounded, sentences, spread

COLUMNS = ("quantity", "task", "step", "value")


def select(training: Iterable[Mapping[str, str]], model: str) -> list[dict[str, str]]:
    """Loss and accuracies of one model from training.csv."""
    return [
        {name: row[name] for name in COLUMNS}
        for row in training
        if row["model"] == model and row["quantity"] in ("loss", "accuracy")
    ]


def draw(rows: list[dict[str, str]]) -> Figure:
    """Small multiples: one panel per task, the other tasks faint behind it."""
    tasks = list(dict.fromkeys(row["task"] for row in rows if row["quantity"] == "accuracy"))
    columns = 5
    lines = max(1, -(-(len(tasks) + 1) // columns))
    figure = style.new(style.PAGE, 0.4 + 1.15 * lines)
    grid = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    curves = {
        task: [row for row in rows if row["quantity"] == "accuracy" and row["task"] == task]
        for task in tasks
    }
    loss = [row for row in rows if row["quantity"] == "loss"]
    grid[0].plot(style.numbers(loss, "step"), style.numbers(loss, "value"), color=INK)
    grid[0].set_title("loss", fontsize=style.SMALL, loc="left")
    for axes, task in zip(grid[1:], tasks, strict=False):
        for other, curve in curves.items():
            if other != task:
                x, y = style.numbers(curve, "step"), style.numbers(curve, "value")
                axes.plot(x, y, color=RULE, lw=0.6)
        x, y = style.numbers(curves[task], "step"), style.numbers(curves[task], "value")
        axes.plot(x, y, color=BLUE, lw=1.2)
        axes.set_title(style.printable(task, 24), fontsize=style.SMALL, loc="left")
        axes.set_ylim(0, 1.05)
        axes.set_yticks([0, 0.5, 1])
    for axes in grid[len(tasks) + 1 :]:
        axes.set_visible(False)
    for axes in grid[len(tasks) + 1 - columns : len(tasks) + 1]:
        axes.tick_params(labelbottom=True)
    last = float(max(style.numbers(rows, "step"), default=1))
    grid[0].set_xlim(0, last)
    grid[0].set_xticks([0, last], ["0", f"{last:,.0f}"])
    figure.supxlabel("training step", fontsize=style.NORMAL, color=MUTED)
    return figure


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "How it learned. Loss, and accuracy on held-out prompts of each task over the steps of "
        "training; the other tasks stand faint behind."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    if not rows:
        return ""
    last = max(float(row["step"]) for row in rows)
    loss = [row for row in rows if row["quantity"] == "loss"]
    ends = [float(row["value"]) for row in (loss[0], loss[-1])] if loss else []
    final = [
        float(row["value"])
        for row in rows
        if row["quantity"] == "accuracy" and float(row["step"]) == last and row["value"]
    ]
    return sentences(
        [
            f"Loss {rounded(ends[0])} at first, {rounded(ends[1])} at the end." if ends else "",
            f"Accuracy at step {last:,.0f} over {counted(len(final), 'task')}: {spread(final)}."
            if final
            else "",
        ]
    )
