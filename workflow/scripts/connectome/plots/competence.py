"""competence.{model}: accuracy on clean and corrupted prompts, and the gap, per task."""

from collections.abc import Iterable, Mapping

from matplotlib.figure import Figure

import connectome.plots.style as style
from connectome.plots.palette import BLUE, INK, MUTED, PAPER, PURPLE
from connectome.plots.phrases import counted, ranged, sentences, spread

COLUMNS = ("task", "measure", "value", "lo", "hi", "chance", "competent", "distinct")
MEASURES = ("accuracy_clean", "accuracy_corrupted", "gap")


def select(competence: Iterable[Mapping[str, str]], model: str) -> list[dict[str, str]]:
    """Held-out rows of one model from competence.csv, one row per task and measure."""
    return [
        {
            "task": row["task"],
            "measure": measure,
            "value": row[measure],
            "lo": row[f"{measure}_lo"],
            "hi": row[f"{measure}_hi"],
            "chance": row["chance"],
            "competent": row["competent"],
            "distinct": row["distinct"],
        }
        for row in competence
        if row["model"] == model and row["split"] == "heldout"
        for measure in MEASURES
    ]


def draw(rows: list[dict[str, str]]) -> Figure:
    """Dots with intervals; the chance level is a tick; tasks the model cannot do say so."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = style.new(style.TEXT, 0.9 + 0.3 * len(tasks))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
    place = {task: len(tasks) - 1 - i for i, task in enumerate(tasks)}
    looks = {
        "accuracy_clean": (left, 0.12, BLUE, "o", BLUE, "clean prompts"),
        "accuracy_corrupted": (left, -0.12, PURPLE, "s", PAPER, "corrupted prompts"),
        "gap": (right, 0.0, INK, "D", INK, "gap"),
    }
    for measure, (axes, shift, colour, marker, face, label) in looks.items():
        shown = [row for row in rows if row["measure"] == measure and row["value"]]
        y = [place[row["task"]] + shift for row in shown]
        axes.hlines(y, style.numbers(shown, "lo"), style.numbers(shown, "hi"), colour, lw=1.0)
        x = style.numbers(shown, "value")
        axes.plot(x, y, marker, color=colour, markerfacecolor=face, label=label, linestyle="")
    chances = {row["task"]: row["chance"] for row in rows if row["chance"]}
    at = [place[task] for task in chances]
    level = [float(chance) for chance in chances.values()]
    low, high = [y - 0.35 for y in at], [y + 0.35 for y in at]
    left.vlines(level, low, high, MUTED, linestyles="dotted", lw=1.0, label="chance")
    cannot = {row["task"] for row in rows if row["competent"] != "true"}
    labels = [f"{task} (cannot do)" if task in cannot else task for task in tasks]
    left.set_yticks([place[task] for task in tasks], [style.printable(label) for label in labels])
    for label, task in zip(left.get_yticklabels(), tasks, strict=True):
        label.set_color(MUTED if task in cannot else INK)
    left.set_xlim(0, 1.03)
    left.set_ylim(-0.6, len(tasks) - 0.4)
    left.set_xlabel("accuracy, held-out prompts")
    right.axvline(0, color=MUTED, lw=0.8, linestyle="dotted")
    right.set_xlabel("gap of the metric")
    for axes, letter in ((left, "a"), (right, "b")):
        style.panel(axes, letter)
        style.quiet_grid(axes, "x")
        style.unlabelled(axes)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "Can it do the tasks? Accuracy on held-out clean and corrupted prompts (a) and the gap of "
        "the metric between them (b), with ninety-five percent intervals over distinct prompts; "
        "dotted: chance, and no gap. A task counts only with both accuracies above chance and a "
        "gap above zero."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    clean = [row for row in rows if row["measure"] == "accuracy_clean"]
    able = [row for row in clean if row["competent"] == "true"]
    prompts = [int(row["distinct"]) for row in clean if row["distinct"]]
    of_able = [float(row["value"]) for row in able if row["value"]]
    return sentences(
        [
            f"The model can do {len(able)} of {counted(len(clean), 'task')}.",
            f"Its accuracy on clean prompts there: {spread(of_able)}." if of_able else "",
            f"Intervals are over {ranged(prompts, 'distinct prompts')}." if prompts else "",
        ]
    )
