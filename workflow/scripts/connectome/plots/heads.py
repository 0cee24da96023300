"""heads.{model}.{dictionary}.{site}: features by head and by region; how sure the heads are."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

import connectome.plots.style as style
from connectome.plots.palette import (
    BAND,
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    SKY,
    VERMILLION,
    series_of,
)
from connectome.plots.phrases import counted

COLUMNS = (
    "mark",
    "partition",
    "head",
    "part",
    "features",
    "low",
    "high",
    "right_low",
    "right_high",
)
_COLOURS = (
    BLUE,
    VERMILLION,
    GREEN,
    PURPLE,
    ORANGE,
    SKY,
)  # of heads, in turn: labels tell them apart
_MOST = 30  # regions drawn apart; the smaller ones are one block
_GAP = 0.4  # of the height, shared by the gaps between blocks of a side
_LOWEST, _LINE = 3.0, 0.09  # inches: of a panel, and from one block to the next at least
_BAR = 0.05  # width of a block, where the sides are 1 apart
_SMALLER, _UNGROUPED = "smaller regions", "ungrouped"


def select(
    overlap: Iterable[Mapping[str, str]],
    heads: Iterable[Mapping[str, str]],
    model: str,
    dictionary: str,
    site: str,
) -> list[dict[str, object]]:
    """Blocks and ribbons with their places (0 to 1 from the top), from head_overlap.csv; margins.

    Heads stand in their order, regions in that of the mean place of their features on the left.
    """
    names = {"model": model, "dictionary": dictionary, "site": site}

    def here(row: Mapping[str, str]) -> bool:
        return all(row[name] == value for name, value in names.items())

    empty: dict[str, object] = dict.fromkeys(COLUMNS, "")
    pairs: dict[str, dict[tuple[str, str], int]] = {}
    result: list[dict[str, object]] = []
    for row in filter(here, overlap):
        if row["of"] == "pair":
            of_partition = pairs.setdefault(row["partition"], {})
            of_partition[row["head"], row["part"]] = int(row["features"])
    for partition, counts in pairs.items():
        rows = _flow(_fewer(counts))
        result += [empty | {"partition": partition} | row for row in rows]
    result += [
        empty
        | {"mark": "margin", "low": row["margin_from"], "high": row["margin_to"]}
        | {"features": row["features"]}
        for row in filter(here, heads)
        if row["of"] == "margin"
    ]
    return result


def _fewer(counts: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """The same with the regions beyond the largest few as one."""
    sizes: dict[str, int] = defaultdict(int)
    for (_, part), count in counts.items():
        sizes[part] += count
    regions = sorted((part for part in sizes if part != _UNGROUPED), key=lambda p: -sizes[p])
    kept = {*regions[:_MOST], _UNGROUPED}
    result: dict[tuple[str, str], int] = defaultdict(int)
    for (head, part), count in counts.items():
        result[head, part if part in kept else _SMALLER] += count
    return result


def _flow(counts: Mapping[tuple[str, str], int]) -> list[dict[str, object]]:
    """Rows of the blocks of both sides and of the ribbons between them."""
    left: dict[str, int] = defaultdict(int)
    right: dict[str, int] = defaultdict(int)
    for (head, part), count in counts.items():
        left[head] += count
        right[part] += count
    heads = _stacked({head: left[head] for head in sorted(left, key=_number)})
    middle = {head: sum(ends) / 2 for head, ends in heads.items()}
    place = {
        part: sum(middle[h] * n for (h, p), n in counts.items() if p == part) / right[part]
        for part in right
    }
    last = {_SMALLER: 1, _UNGROUPED: 2}
    order = sorted(right, key=lambda part: (last.get(part, 0), place[part], _number(part)))
    parts = _stacked({part: right[part] for part in order})
    rows: list[dict[str, object]] = [
        {"mark": "head", "head": head, "features": left[head], "low": low, "high": high}
        for head, (low, high) in heads.items()
    ]
    rows += [
        {"mark": "part", "part": part, "features": right[part]}
        | {"right_low": low, "right_high": high}
        for part, (low, high) in parts.items()
    ]
    taken = {head: low for head, (low, _) in heads.items()}
    filled = {part: low for part, (low, _) in parts.items()}
    per = (1 - _GAP) / sum(counts.values())
    for head in heads:
        for part in parts:
            height = per * counts.get((head, part), 0)
            if height:
                rows.append(
                    {"mark": "ribbon", "head": head, "part": part, "features": counts[head, part]}
                    | {"low": taken[head], "high": taken[head] + height}
                    | {"right_low": filled[part], "right_high": filled[part] + height}
                )
            taken[head] += height
            filled[part] += height
    return rows


def _stacked(sizes: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Ends of each block from the top, gaps between them."""
    total = sum(sizes.values())
    gap = _GAP / (len(sizes) - 1) if len(sizes) > 1 else 0.0
    ends, start = {}, 0.0 if len(sizes) > 1 else _GAP / 2
    for name, size in sizes.items():
        height = (1 - _GAP) * size / total
        ends[name] = (start, start + height)
        start += height + gap
    return ends


def _number(name: str) -> int:
    """The number at the end of a name such as `a0.h3`; 0 without one."""
    digits = name.rpartition(".")[2][1:]
    return int(digits) if digits.isdecimal() else 0


def draw(rows: Sequence[Mapping[str, str]]) -> Figure:
    """Heads left, regions right, a ribbon for the features of both; last panel: margins."""
    partitions = list(dict.fromkeys(row["partition"] for row in rows if row["partition"]))
    blocks = [sum(_is_part(row, name) for row in rows) for name in partitions]
    figure = style.new(style.PAGE, 0.6 + max(_LOWEST, _LINE * max(blocks, default=0) / _GAP))
    ratios = [2.0] * len(partitions) + [1.0]
    panels = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
    looks = series_of(partitions)
    for axes, letter in zip(panels, "abcdefgh", strict=False):
        style.panel(axes, letter)
    for axes, partition in zip(panels, partitions, strict=False):
        _alluvial(axes, [row for row in rows if row["partition"] == partition])
        axes.set_title(looks[partition].label, fontsize=style.NORMAL, pad=4)
    _margins(panels[-1], [row for row in rows if row["mark"] == "margin"])
    return figure


def _is_part(row: Mapping[str, str], partition: str) -> bool:
    return (row["mark"], row["partition"]) == ("part", partition)


def _alluvial(axes: Axes, rows: Sequence[Mapping[str, str]]) -> None:
    heads = [row["head"] for row in rows if row["mark"] == "head"]
    colours = {head: _COLOURS[_number(head) % len(_COLOURS)] for head in heads}
    axes.set_xlim(-0.5, 1.55)
    axes.set_ylim(1.01, -0.01)
    axes.set_axis_off()
    for row in rows:
        if row["mark"] == "ribbon":
            axes.add_patch(_ribbon(row, colours[row["head"]]))
        elif row["mark"] == "head":
            low, high = float(row["low"]), float(row["high"])
            axes.barh(low, _BAR, high - low, -_BAR, align="edge", color=colours[row["head"]])
            _label(axes, -2 * _BAR, (low + high) / 2, row["head"], row["features"], "right")
        else:
            low, high = float(row["right_low"]), float(row["right_high"])
            shade = BAND if row["part"] == _UNGROUPED else MUTED
            axes.barh(low, _BAR, high - low, 1, align="edge", color=shade)
            _label(axes, 1 + 2 * _BAR, (low + high) / 2, row["part"], row["features"], "left")


def _ribbon(row: Mapping[str, str], colour: str) -> PathPatch:
    low, high, right_low, right_high = (
        float(row[name]) for name in ("low", "high", "right_low", "right_high")
    )
    corners = [
        *((0, low), (0.5, low), (0.5, right_low), (1, right_low)),
        *((1, right_high), (0.5, right_high), (0.5, high), (0, high), (0, low)),
    ]
    curve = [Path.CURVE4] * 3
    codes = [Path.MOVETO, *curve, Path.LINETO, *curve, Path.CLOSEPOLY]
    return PathPatch(
        Path(corners, codes),  # type: ignore[arg-type]  # its hints want an array
        facecolor=colour,
        alpha=0.55,
        edgecolor=PAPER,
        linewidth=0.2,
    )


def _label(axes: Axes, x: float, y: float, name: str, features: str, side: str) -> None:
    axes.text(
        x,
        y,
        f"{name}  {features}" if side == "left" else f"{features}  {name}",
        ha=side,
        va="center_baseline",
        fontsize=5.5,
        color=INK,
    )


def _margins(axes: Axes, rows: Sequence[Mapping[str, str]]) -> None:
    for row in rows:
        low = float(row["low"])
        high = float(row["high"] or 1)
        axes.bar(
            low,
            float(row["features"]),
            high - low,
            align="edge",
            color=SKY,
            edgecolor=INK,
            linewidth=0.4,
        )
    axes.set_xlabel("margin of the first head")
    axes.set_ylabel("features")
    axes.set_xlim(0, 1)
    style.quiet_grid(axes)


def caption(rows: Sequence[Mapping[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "Heads and regions. Heads at the left, regions at the right in the order of what they "
        "share with heads; the height of a band is the number of features of both, and features "
        "that never fire are left out. Last panel: by how much of the first head's part the "
        "second stays behind."
    )


def claim(rows: Sequence[Mapping[str, str]]) -> str:
    """What these rows say."""
    said = []
    for name, look in series_of(row["partition"] for row in rows if row["partition"]).items():
        of = [row for row in rows if row["partition"] == name]
        features = sum(int(row["features"]) for row in of if row["mark"] == "head")
        heads = sum(row["mark"] == "head" for row in of)
        said.append(
            f"{look.label}: {counted(features, 'feature')} of {counted(heads, 'head')} in "
            f"{counted(sum(_is_part(row, name) for row in of), 'block')}."
        )
    return " ".join(said) or "No feature has a head."
