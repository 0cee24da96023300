"""rois.{model}.{dictionary}: sizes of the ROIs of each site, evidence against none, stability."""

from collections.abc import Iterable, Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import connectome.plots.style as style
from connectome.plots.palette import BAND, BLUE, INK, MUTED, PAPER, SKY, VERMILLION
from connectome.plots.phrases import counted

COLUMNS = (
    "mark",
    "kind",
    "site",
    "part",
    "features",
    "status",
    "saved",
    "saved_uncorrected",
    "seed_ami",
    "half_ami",
    "half_ami_null",
    "null_pass",
    "blocks",
)


_FROM_SITES = (
    "kind",
    "site",
    "features",
    "status",
    "blocks",
    "null_pass",
    "seed_ami",
    "half_ami",
    "half_ami_null",
)


def select(
    sites: Iterable[Mapping[str, str]],
    levels: Iterable[Mapping[str, str]],
    model: str,
    dictionary: str,
) -> list[dict[str, object]]:
    """Rows `site` (from sites.csv) and `part` (finest level, from levels.csv).

    `saved` is the share of the description length of one block that the fit saves.
    """
    empty: dict[str, object] = dict.fromkeys(COLUMNS, "")
    result: list[dict[str, object]] = []
    for row in sites:
        if (row["model"], row["dictionary"]) != (model, dictionary):
            continue
        of_site = {"mark": "site"} | {name: row[name] for name in _FROM_SITES}
        one = float(row["description_length_one_block"] or 0)
        for name, column in (("saved", ""), ("saved_uncorrected", "_uncorrected")):
            length = row[f"description_length{column}"]
            of_site[name] = repr(1 - float(length) / one) if length and one else ""
        result.append(empty | of_site)
    result.extend(
        empty
        | {"mark": "part", "kind": row["kind"], "site": row["site"]}
        | {"part": row["part"], "features": row["features"]}
        for row in levels
        if (row["model"], row["dictionary"], row["level"]) == (model, dictionary, "0")
    )
    return result


def draw(rows: list[dict[str, str]]) -> Figure:
    """One line per site and kind: (a) sizes, (b) description length saved, (c) agreement."""
    sites = [row for row in rows if row["mark"] == "site"]
    sites.sort(key=lambda row: row["kind"])
    figure = style.new(style.PAGE, 1.1 + 0.21 * len(sites))
    sizes, saved, stable = figure.subplots(1, 3, sharey=True, width_ratios=[2.2, 1, 1])
    for y, row in enumerate(reversed(sites)):
        key = (row["kind"], row["site"])
        parts = [r for r in rows if r["mark"] == "part" and (r["kind"], r["site"]) == key]
        _sizes(sizes, y, parts, row)
        if row["saved"]:
            passed = row["null_pass"] == "true"
            face = INK if passed else PAPER
            saved.plot(float(row["saved"]), y, "o", color=INK, markerfacecolor=face)
        if row["saved_uncorrected"]:
            saved.plot(float(row["saved_uncorrected"]), y, "|", color=MUTED, markersize=6)
        for column, colour, marker, face in _AGREEMENTS:
            if row[column]:
                stable.plot(float(row[column]), y, marker, color=colour, markerfacecolor=face)
    names = [f"{row['kind']}  {row['site']}" for row in reversed(sites)]
    sizes.set_yticks(range(len(sites)), names)
    sizes.set_ylim(-0.6, len(sites) - 0.4)
    sizes.set_xlabel("features, one segment per ROI")
    saved.axvline(0, color=MUTED, lw=0.7, linestyle="dotted")
    saved.set_xlabel("description length saved")
    stable.set_xlim(-0.1, 1.05)
    stable.set_xlabel("agreement (AMI)")
    for axes, letter in zip((sizes, saved, stable), "abc", strict=True):
        style.panel(axes, letter)
        style.unlabelled(axes)
        style.quiet_grid(axes, "x")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=2)
    return figure


def _legend() -> list[Line2D]:
    looks = (
        ("saved, shuffled data gave one block", "o", INK, INK),
        ("saved; shuffled data gave groups too", "o", INK, PAPER),
        ("saved without degree correction", "|", MUTED, MUTED),
        ("between seeds", "o", BLUE, BLUE),
        ("between data halves", "s", VERMILLION, VERMILLION),
        ("halves, labels shuffled", "x", MUTED, MUTED),
    )
    return [
        Line2D([], [], linestyle="", marker=marker, color=colour, markerfacecolor=face, label=label)
        for label, marker, colour, face in looks
    ]


_AGREEMENTS = (
    ("seed_ami", BLUE, "o", BLUE),
    ("half_ami", VERMILLION, "s", VERMILLION),
    ("half_ami_null", MUTED, "x", MUTED),
)


def _sizes(axes, y: int, parts: list[dict[str, str]], row: Mapping[str, str]) -> None:
    start = 0.0
    order = sorted(parts, key=lambda part: (int(part["part"]) < 0, abs(int(part["part"]))))
    for part in order:
        number, width = int(part["part"]), float(part["features"])
        grouped = number >= 0
        axes.barh(
            y,
            width,
            left=start,
            height=0.72,
            color=(BLUE if number % 2 == 0 else SKY) if grouped else BAND,
            edgecolor=PAPER,
            linewidth=0.5,
            hatch="" if grouped else ("////" if number == -1 else "xxxx"),
        )
        start += width
    if row["status"] != "ok":
        style.subdued(axes, 0, y, "refused: no ROIs here", va="center_baseline")
    else:
        count = int(row["blocks"])
        axes.annotate(
            str(count),
            (start, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
            color=MUTED,
        )


def caption(rows: list[dict[str, str]]) -> str:
    """What is drawn, in words that hold for every run."""
    return (
        "The regions of every site. (a) One segment per region, hatched: live but in no group, or "
        "dead. (b) Share of the description length of a single block that the groups save; bars "
        "without degree correction. (c) Adjusted mutual information between seeds, between data "
        "halves, and with shuffled labels."
    )


def claim(rows: list[dict[str, str]]) -> str:
    """What these rows say."""
    sites = [row for row in rows if row["mark"] == "site"]
    said = []
    for kind in dict.fromkeys(row["kind"] for row in sites):
        fitted = [row for row in sites if row["kind"] == kind and row["status"] == "ok"]
        regions = sum(int(row["blocks"]) for row in fitted)
        passed = sum(row["null_pass"] == "true" for row in fitted)
        tested = sum(bool(row["null_pass"]) for row in fitted)
        said.append(
            f"By {kind}: {counted(regions, 'region')} at {counted(len(fitted), 'site')}; shuffled "
            f"data gave one block at {passed} of {tested}."
        )
    return " ".join(said)
