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

# Other colours for the same roles (light, dark); what a palette does not name stays as it is.
DEFAULT = "okabe-ito"
PALETTES: dict[str, dict[str, tuple[str, str]]] = {
    DEFAULT: {},
    "tol-bright": {  # Paul Tol's bright scheme, its light colours drawn with an ink outline
        "blue": ("#4477aa", "#7aa9d8"),
        "vermillion": ("#ee6677", "#ff8f9c"),
        "green": ("#228833", "#5fc470"),
        "purple": ("#aa3377", "#dd7fb2"),
        "sky": ("#66ccee", "#a5e3f8"),
        "orange": ("#ccbb44", "#e0d27c"),
    },
    "grey": {  # for print without colour: steps of lightness that stay apart
        "ink": ("#111111", "#f2f2f2"),
        "muted": ("#5e5e5e", "#adadad"),
        "rule": ("#cccccc", "#4a4a4a"),
        "band": ("#e6e6e6", "#313131"),
        "blue": ("#3d3d3d", "#d6d6d6"),
        "vermillion": ("#262626", "#e6e6e6"),
        "green": ("#757575", "#9c9c9c"),
        "purple": ("#8c8c8c", "#858585"),
        "sky": ("#d4d4d4", "#f7f7f7"),
        "orange": ("#b0b0b0", "#c2c2c2"),
    },
}


def theme(palette: str) -> tuple[tuple[str, str, str], ...]:
    """THEME in the colours of a palette."""
    own = PALETTES[palette]
    return tuple((name, *own.get(name, (light, dark))) for name, light, dark in THEME)


def swaps(palette: str) -> dict[str, str]:
    """{colour of the figures as they are drawn: what stands for it in a palette}."""
    of_roles = zip(THEME, theme(palette), strict=True)
    return {drawn[1]: shown[1] for drawn, shown in of_roles if drawn[1] != shown[1]}


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
