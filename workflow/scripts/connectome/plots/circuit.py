"""circuit.{model}.{dictionary}.{task}.{partition}: the circuit, drawn layer by layer bottom-up."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

import connectome.plots.style as style
from connectome.plots.palette import BAND, INK, MUTED, NEGATIVE, PAPER, POSITIVE, RULE, SERIES
from connectome.plots.phrases import sentences

COLUMNS = ("mark", "name", "row", "x", "share", "score", "dst", "slot", "width", "text")
ENDS = {"input": "input", "logits": "logits"}
_WIDTHS = (0.5, 1.2, 2.4)  # points, by class
_CLASSES = (0.1, 0.35)  # of the largest |score|
_SWEEPS = 6
_SLOT_SIDES = {"q": -0.008, "v": 0.008}  # edges into the slots of a part end side by side


def select(
    edges: Sequence[Mapping[str, str]],
    scores: Sequence[Mapping[str, str]],
    facts: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Rows of the drawing, positions included.

    edges: rows of circuits.csv of one circuit; scores: rows of roi_scores.csv of its partition and
    task (their sites make the rows, input below, logits on top); facts: sentences drawn beside it
    by name (`title`, `clean`, `corrupted`, `answers`, `cannot`).
    """
    site_of = {row["node"]: _site(row["node"], row["site"]) for row in scores}
    for row in edges:
        site_of[row["src"]] = _site(row["src"], row["src_site"])
        site_of[row["dst"]] = _site(row["dst"], row["dst_site"])
    between = sorted({site for site in site_of.values() if site not in ENDS}, key=_site_order)
    rows = ["input", *between, "logits"]
    nodes = sorted({row[end] for row in edges for end in ("src", "dst")} | set(ENDS))
    pairs = [(row["src"], row["dst"]) for row in edges]
    place = _places({name: rows.index(_site(name, site_of.get(name, ""))) for name in nodes}, pairs)
    share = {row["node"]: row["share"] for row in scores}
    largest = max((abs(float(row["score"])) for row in edges), default=1.0) or 1.0
    result = [_row(mark="row", name=name, row=i) for i, name in enumerate(rows)]
    result += [
        _row(mark="node", name=name, row=row, x=x, share=share.get(name))
        for name, (row, x) in place.items()
    ]
    result += [
        _row(
            mark="edge",
            name=row["src"],
            dst=row["dst"],
            slot=row["slot"],
            score=row["score"],
            width=sum(abs(float(row["score"])) >= limit * largest for limit in _CLASSES),
        )
        for row in edges
    ]
    return result + [_row(mark="fact", name=name, text=text) for name, text in facts.items()]


def _row(**values: Any) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS, None) | values


def _site(name: str, site: str) -> str:
    return ENDS.get(name, site)


def _site_order(site: str) -> tuple[int, int]:
    kind, _, layer = site.partition(".")
    return int(layer or 0), ("embed", "attn", "mlp", "resid").index(kind)


def _places(
    row_of: Mapping[str, int], pairs: Sequence[tuple[str, str]]
) -> dict[str, tuple[int, float]]:
    """(row, x) of each node, x in 0..1; neighbours drawn together by sweeps of barycentres."""
    lines: dict[int, list[str]] = defaultdict(list)
    for name in sorted(row_of, key=_natural):
        lines[row_of[name]].append(name)
    near: dict[str, list[str]] = defaultdict(list)
    for src, dst in pairs:
        near[src].append(dst)
        near[dst].append(src)
    x = {
        name: p
        for names in lines.values()
        for name, p in zip(names, _spread(len(names)), strict=True)
    }
    for sweep in range(_SWEEPS):
        for line in sorted(lines, reverse=bool(sweep % 2)):
            below = [n for n in lines[line]]
            centre = {
                n: sum(x[m] for m in near[n]) / len(near[n]) if near[n] else 0.5 for n in below
            }
            lines[line] = sorted(below, key=lambda n: (round(centre[n], 9), _natural(n)))
            x |= dict(zip(lines[line], _spread(len(below)), strict=True))
    for line, names in lines.items():
        if names[0] not in ENDS:
            # neighbouring rows of equally many parts would hide the edges that pass them by
            side = (0.5 - line % 2) * 0.4 / len(names)
            x |= {name: x[name] + side for name in names}
    return {name: (row_of[name], x[name]) for line in sorted(lines) for name in lines[line]}


def _spread(count: int) -> list[float]:
    return [(i + 0.5) / count for i in range(count)]


def _natural(name: str) -> tuple[str, int]:
    digits = "".join(c for c in name.rpartition(".")[2] if c.isdigit())
    return name.rpartition(".")[0], int(digits or 0)


def draw(rows: Sequence[Mapping[str, str]]) -> Figure:
    """Edges bend upwards from source to target; blue supports the metric, dashed opposes it."""
    lines = [row for row in rows if row["mark"] == "row"]
    nodes = {row["name"]: row for row in rows if row["mark"] == "node"}
    edges = [row for row in rows if row["mark"] == "edge"]
    facts = {row["name"]: row["text"] for row in rows if row["mark"] == "fact"}
    figure = style.new(style.PAGE, 1.2 + 0.47 * len(lines))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.09, 1.02)
    axes.set_ylim(-0.6, len(lines) - 0.35)
    for row in lines:
        y = int(row["row"])
        axes.axhspan(y - 0.36, y + 0.36, color=BAND, alpha=0.55 if y % 2 == 0 else 0.0, lw=0)
        style.subdued(axes, -0.085, y, row["name"], va="center")
    for row in sorted(edges, key=lambda row: abs(float(row["score"]))):
        _edge(axes, nodes[row["name"]], nodes[row["dst"]], row)
    largest = max((float(row["share"]) for row in nodes.values() if row["share"]), default=1.0)
    for row in nodes.values():
        _node(axes, row, largest or 1.0)
    axes.text(0, 1.0, style.printable(facts.get("title", ""), 200), transform=axes.transAxes,
              va="bottom", fontsize=style.NORMAL)  # fmt: skip
    example = [
        f"{name}: {style.printable(facts[name], 90)}"
        for name in ("clean", "corrupted", "answers")
        if facts.get(name)
    ]
    axes.text(0, 0, "\n".join(example), transform=axes.transAxes, va="top",
              fontsize=style.SMALL, color=MUTED, linespacing=1.4)  # fmt: skip
    if facts.get("cannot"):
        style.notice(axes, f"the model cannot do this task: {facts['cannot']}")
    if not edges:
        axes.text(0.25, len(lines) / 2 - 0.5, "no edge is left", ha="center", va="center")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5)
    return figure


def _edge(
    axes: Axes, source: Mapping[str, str], target: Mapping[str, str], row: Mapping[str, str]
) -> None:
    x0, y0, x1, y1 = (float(v) for v in (source["x"], source["row"], target["x"], target["row"]))
    x1 += _SLOT_SIDES.get(row["slot"], 0.0)
    bend = 0.45 * (y1 - y0)
    path = Path(
        [(x0, y0), (x0, y0 + bend), (x1, y1 - bend), (x1, y1)],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    positive = float(row["score"]) >= 0
    width = _WIDTHS[int(row["width"])]
    axes.add_patch(
        PathPatch(
            path,
            facecolor="none",
            edgecolor=POSITIVE if positive else NEGATIVE,
            linestyle="-" if positive else (0, (4, 1.6)),
            linewidth=width,
            alpha=0.45 if width == _WIDTHS[0] else 0.8,
            capstyle="butt",
            zorder=2,
        )
    )


def _node(axes: Axes, row: Mapping[str, str], largest: float) -> None:
    x, y, name = float(row["x"]), int(row["row"]), row["name"]
    if name in ENDS:
        box = {"boxstyle": "round,pad=0.35", "facecolor": PAPER, "edgecolor": INK, "linewidth": 0.8}
        axes.text(x, y, name, ha="center", va="center", fontsize=style.SMALL, bbox=box, zorder=5)
        return
    share = float(row["share"]) if row["share"] else 0.0
    area = 18 + 190 * share / largest
    marker = "s" if name.startswith("a") else "o"
    axes.scatter(
        [x], [y], s=area, marker=marker, facecolor=PAPER, edgecolor=INK, linewidth=0.8, zorder=4
    )
    label = name.rpartition(".")[2] or name
    axes.annotate(
        label,
        (x, y),
        xytext=(area**0.5 / 2 + 1.5, 0),
        textcoords="offset points",
        va="center_baseline",
        fontsize=6.5,
        zorder=6,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.7, "pad": 0.3},
    )


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=POSITIVE, lw=1.6, label="supports the answer"),
        Line2D([], [], color=NEGATIVE, lw=1.6, linestyle=(0, (4, 1.6)), label="opposes it"),
        Line2D([], [], color=RULE, marker="s", linestyle="", markerfacecolor=PAPER,
               markeredgecolor=INK, label="attention part"),
        Line2D([], [], color=RULE, marker="o", linestyle="", markerfacecolor=PAPER,
               markeredgecolor=INK, label="MLP part; area: share of |score|"),
    ]  # fmt: skip


def _few(texts: Sequence[str]) -> str:
    """The first answers in quotes."""
    quoted = ", ".join(f"\u201c{text}\u201d" for text in texts[:4])
    return quoted + (", \u2026" if len(texts) > 4 else "")


def _label(partition: str) -> str:
    return SERIES[partition].label if partition in SERIES else partition


def facts(
    tables: Mapping[str, Sequence[Mapping[str, str]]], task: str, partition: str, method: str
) -> dict[str, str]:
    """Sentences beside the drawing, from the rows of its task and partition by table name."""
    result: dict[str, str] = {}
    sizes = [
        row for row in tables["sizes"] if row["method"] == method and row["intervention"] == "edge"
    ]
    if sizes:
        row = sizes[0]
        value = " to ".join(f"{float(row[name]):.2f}" for name in ("f_lo", "f_hi") if row[name])
        result["title"] = (
            f"{task}, {_label(partition)}: {row['edges']} of {row['edges_all']} edges keep "
            f"{float(row['faithfulness']):.2f} of the metric ({value})"
        )
        if row["reached"] != "true":
            result["title"] += f"; target {float(row['target']):g} not reached"
    for row in tables["prompts"][:1]:
        result |= {"clean": json.loads(row["clean"]), "corrupted": json.loads(row["corrupted"])}
        answers, wrong = (_few(json.loads(row[name])) for name in ("answers", "wrong"))
        result["answers"] = f"{answers} against {wrong}"
    for row in tables["competence"]:
        if row["split"] == "heldout" and row["competent"] != "true":
            result["cannot"] = row["reason"]
    return result


def caption(rows: Sequence[Mapping[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "The smallest faithful circuit. Of those tested, the smallest that kept enough of the "
        "metric on held-out prompts. It runs from the input below to the logits above. Lines bend "
        "upwards from the part that writes to the part that reads; whole lines support the "
        "answer, dashed ones oppose it, and their width is the size of the score in three "
        "classes. The area of a part is its share of the absolute score."
    )


def claim(rows: Sequence[Mapping[str, str]]) -> str:
    """What these rows say."""
    said = {row["name"]: row["text"] for row in rows if row["mark"] == "fact"}
    cannot = f"The model cannot do this task: {said['cannot']}." if "cannot" in said else ""
    drawn = f"{said['title']}." if "title" in said else "No circuit was evaluated."
    return sentences([drawn, cannot])
