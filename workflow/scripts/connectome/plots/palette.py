"""Colours, markers and dashes: one fixed table for figures and page; standard library only.

Okabe-Ito colours; those below 3:1 on white (sky blue, orange) are drawn with an ink outline.
Colour is never the only carrier: each series has a marker and a dash of its own.
"""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

Dash = Literal["-", "--", "-.", ":"] | tuple[int, tuple[int, ...]]

INK, MUTED, RULE, BAND, PAPER = "#1b1f24", "#5c6570", "#c9ced6", "#e4e7ec", "#ffffff"
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#00835f", "#a84f80"
SKY, ORANGE = "#56b4e9", "#e69f00"
POSITIVE, NEGATIVE = BLUE, VERMILLION

# The same colours where the page is dark: name of the style variable, light, dark.
THEME: tuple[tuple[str, str, str], ...] = (
    ("ink", INK, "#e8ebef"),
    ("muted", MUTED, "#a3acb8"),
    ("rule", RULE, "#434b57"),
    ("band", BAND, "#2b323c"),
    ("paper", PAPER, "#171b21"),
    ("blue", BLUE, "#3f9fe0"),
    ("vermillion", VERMILLION, "#ff8a3d"),
    ("green", GREEN, "#2fc99c"),
    ("purple", PURPLE, "#e08fbf"),
    ("sky", SKY, "#a3d8f7"),
    ("orange", ORANGE, "#f0b840"),
)


class Series(NamedTuple):
    """How one partition is drawn, everywhere."""

    label: str
    colour: str
    marker: str
    dash: Dash
    outline: str
    face: str  # of the marker


def _series(label: str, colour: str, marker: str, dash: Dash) -> Series:
    outline = INK if colour in (SKY, ORANGE) else colour
    return Series(label, colour, marker, dash, outline, colour)


SERIES: dict[str, Series] = {
    "rois_attribution": _series("ROIs (attribution)", VERMILLION, "o", "-"),
    "rois": _series("ROIs (activation)", BLUE, "s", "-"),
    "kmeans": _series("k-means", GREEN, "^", "--"),
    "spectral": _series("spectral", ORANGE, "v", "--"),
    "leiden": _series("Leiden", ORANGE, ">", "-."),
    "infomap": _series("Infomap", SKY, "<", "-."),
    "classical": _series("classical", BLUE, "8", ":"),
    "heads": _series("heads", INK, "D", "-"),
    "modules": _series("modules", PURPLE, "p", ":"),
    "features": _series("single features", SKY, ".", "-"),
    "top_features": _series("top single features", BLUE, "d", "-."),
    "random": _series("random groups", MUTED, "x", ":"),
}
_OWN = [
    _series("", SKY, "P", "-"),
    _series("", ORANGE, "X", "-"),
    _series("", GREEN, "h", ":"),
    _series("", PURPLE, "*", "--"),
]


_SPARSE_DASHES: tuple[Dash, ...] = ("--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)))
ERROR_POLICIES = {
    "in-graph": _series("in the graph", BLUE, "o", "-"),
    "kept": _series("kept", GREEN, "s", "--"),
    "ablated": _series("ablated", VERMILLION, "^", ":"),
}


def unit_series(
    units: Iterable[tuple[str, str]], native: Collection[str]
) -> dict[tuple[str, str], Series]:
    """Style per (dictionary, partition): the partition's own, in dictionaries that are not native
    with hollow markers and the dash of the dictionary.

    Raises KeyError for more dictionaries than there are dashes.
    """
    found = list(dict.fromkeys(units))
    sparse = list(dict.fromkeys(dictionary for dictionary, _ in found if dictionary not in native))
    if len(sparse) > len(_SPARSE_DASHES):
        raise KeyError(f"{len(sparse)} dictionaries, {len(_SPARSE_DASHES)} styles")
    dash_of = dict(zip(sparse, _SPARSE_DASHES, strict=False))
    result = {}
    for dictionary, partition in found:
        style = SERIES[partition]
        if dictionary not in native:
            style = style._replace(dash=dash_of[dictionary], face=PAPER)
        result[dictionary, partition] = style
    return result


def series_of(partitions: Iterable[str]) -> dict[str, Series]:
    """Style per partition, in the order of the table; files made by hand come last, by name.

    Raises KeyError where more partitions came from files than there are distinct styles: two
    curves that look alike would be read as one.
    """
    names = set(partitions)
    result = {name: style for name, style in SERIES.items() if name in names}
    own = sorted(names - SERIES.keys())
    if len(own) > len(_OWN):
        raise KeyError(f"{len(own)} partitions from files, {len(_OWN)} styles: {', '.join(own)}")
    return result | {
        name: style._replace(label=name) for name, style in zip(own, _OWN, strict=False)
    }
