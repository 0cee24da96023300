"""hierarchy.{model}.{dictionary}.{site}: nested levels of the block models of a site, as trees."""

from collections.abc import Iterable, Mapping
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import connectome.plots.style as style
from connectome.plots.palette import BAND, BLUE, INK, MUTED, RULE, SKY

COLUMNS = ("kind", "level", "part", "name", "features", "parent", "height", "status")
_FROM_LEVELS = ("kind", "level", "part", "features", "parent")
KINDS = ("activation", "attribution")
Side = Literal["left", "right"]
_LINE, _FEWEST, _TALLEST = 0.165, 4, 9.0  # inches of a leaf; leaves; inches
_MARKS = {-1: "ungrouped", -2: "dead"}


def select(
    sites: Iterable[Mapping[str, str]],
    levels: Iterable[Mapping[str, str]],
    model: str,
    dictionary: str,
    site: str,
    blocks: int | None,
) -> list[dict[str, object]]:
    """One row per part and level of each block model of the site, and one of a refused one.

    Levels finer than that of the ROIs are left out: the ROIs are the finest level, or the one
    nearest to `blocks` parts. `height` is the place of a part from the top: leaves in the order
    of the tree, marks last, a coarser part in the middle of its own.
    """
    names = {"model": model, "dictionary": dictionary, "site": site}

    def here(row: Mapping[str, str]) -> bool:
        return all(row[name] == value for name, value in names.items())

    rows = [row for row in levels if here(row)]
    result: list[dict[str, object]] = []
    for fit in sites:
        if not here(fit):
            continue
        if fit["status"] != "ok":
            refused: dict[str, object] = dict.fromkeys(COLUMNS, "")
            result.append(refused | {"kind": fit["kind"], "status": fit["status"]})
            continue
        counts = [int(count) for count in fit["levels"].split(" > ")]
        finest = 0 if blocks is None else counts.index(min(counts, key=lambda n: abs(n - blocks)))
        tree = [row for row in rows if row["kind"] == fit["kind"] and int(row["level"]) >= finest]
        heights = _heights(tree)
        for row in tree:
            of_part: dict[str, object] = {name: row[name] for name in _FROM_LEVELS}
            of_part |= {"name": _name(site, int(row["part"])), "status": fit["status"]}
            of_part["height"] = repr(heights[int(row["level"]), int(row["part"])])
            result.append(of_part)
    return result


def _name(site: str, part: int) -> str:
    return _MARKS.get(part) or f"{site[0]}{site.split('.')[1]}.r{part}"


def _heights(tree: list[Mapping[str, str]]) -> dict[tuple[int, int], float]:
    """Place of each (level, part)."""
    children: dict[tuple[int, int], list[tuple[int, int]]] = {}
    top = max(int(row["level"]) for row in tree)
    for row in tree:
        level, part = int(row["level"]), int(row["part"])
        if level < top:
            children.setdefault((level + 1, int(row["parent"])), []).append((level, part))
    heights: dict[tuple[int, int], float] = {}
    leaves = 0

    def place(node: tuple[int, int]) -> float:
        nonlocal leaves
        below = sorted(children.get(node, []), key=lambda child: child[1])
        if below:
            found = [place(child) for child in below]
            heights[node] = (found[0] + found[-1]) / 2
        else:
            heights[node] = float(leaves)
            leaves += 1
        return heights[node]

    roots = [(top, int(row["part"])) for row in tree if int(row["level"]) == top]
    for root in sorted(roots, key=lambda node: (node[1] < 0, abs(node[1]))):
        place(root)
    return heights


def _leaves(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    finest = min((int(row["level"]) for row in rows if row["level"]), default=0)
    return [row for row in rows if row["level"] == str(finest)]


def draw(rows: list[dict[str, str]]) -> Figure:
    """A tree per kind, coarsest level left, ROIs right; area of a disc: number of features."""
    trees = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    lines = max(_FEWEST, *(len(_leaves(tree)) for tree in trees.values()))
    figure = style.new(style.PAGE, min(_TALLEST, 0.85 + _LINE * lines))
    largest = max((float(row["features"]) for row in rows if row["features"]), default=1.0)
    for axes, (kind, tree), letter in zip(figure.subplots(1, 2), trees.items(), "ab", strict=True):
        style.panel(axes, letter)
        axes.set_title(f"by {kind}", fontsize=style.NORMAL, pad=4)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_yticks([])
        axes.set_ylim(lines - 0.4, -0.7)
        axes.tick_params(axis="x", length=0)
        _tree(axes, tree, largest)
    return figure


def _tree(axes: Axes, rows: list[dict[str, str]], largest: float) -> None:
    leaves = _leaves(rows)
    if not leaves:
        axes.set_xticks([])
        axes.set_xlim(0, 1)
        style.subdued(axes, 0.5, 0.4, "refused: no block model here", ha="center")
        return
    found = [row for row in rows if row["level"]]
    at = {(row["level"], row["part"]): row for row in found}
    levels = sorted({int(row["level"]) for row in found}, reverse=True)
    for row in found:
        x, y = levels[0] - int(row["level"]), float(row["height"])
        above = at.get((str(int(row["level"]) + 1), row["parent"]))
        if above is not None:
            ends = [float(above["height"])] * 2 + [y] * 2
            axes.plot([x - 1, x - 0.5, x - 0.5, x], ends, color=RULE, lw=0.8)
        leaf, marked = row in leaves, int(row["part"]) < 0
        axes.scatter(
            [x],
            [y],
            s=6 + 90 * float(row["features"]) / largest,
            color=BAND if marked else (BLUE if leaf else SKY),
            edgecolors=MUTED,
            linewidths=0.5,
            zorder=3,
        )
        if leaf:
            _label(axes, x, y, 10, row["name"], INK, "left")
            _label(axes, x, y, 66, row["features"], MUTED, "right")
        elif not marked:
            axes.annotate(
                row["features"],
                (x, y),
                xytext=(0, 6 + 3 * (float(row["features"]) / largest) ** 0.5),
                textcoords="offset points",
                ha="center",
                fontsize=style.SMALL,
                color=MUTED,
            )
    if sum(int(row["part"]) >= 0 for row in leaves) == 1:
        style.subdued(axes, len(levels) - 1, 1.2, "one group: no regions to tell apart")
    axes.set_xlim(-0.25, len(levels) - 0.2 + 0.15 * len(levels))
    axes.set_xticks(range(len(levels)), [f"level {level}" for level in levels])


def _label(
    axes: Axes, x: float, y: float, right: float, text: str, colour: str, side: Side
) -> None:
    axes.annotate(
        text,
        (x, y),
        xytext=(right, 0),
        textcoords="offset points",
        va="center_baseline",
        ha=side,
        fontsize=style.SMALL,
        color=colour,
    )


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "Nested levels of one site. Trees of its block models by activation (a) and attribution "
        "(b). Each level groups the parts of the level to its right; the leaves are the regions. "
        "Numbers and areas of discs: features."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    said = []
    for kind in KINDS:
        parts = [row for row in rows if row["kind"] == kind and row["level"]]
        levels = sorted({int(row["level"]) for row in parts})
        counts = [
            str(sum(int(row["level"]) == level and int(row["part"]) >= 0 for row in parts))
            for level in levels
        ]
        said.append(f"By {kind}: {' > '.join(counts)} parts." if counts else f"By {kind}: none.")
    return " ".join(said)
