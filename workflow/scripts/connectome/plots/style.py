"""The look of all figures, and how they are written: the same bytes from the same rows.

Designed at final size (7-8 pt text; 3.25, 5.5 or 6.75 inch wide), vector text, fonts that ship
with matplotlib. No pyplot: nothing here keeps a figure alive. Figures are drawn in the default
palette and at the designed widths; `save` gives them those of the configuration.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps, font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex, to_rgba, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from connectome.command import atomic, canonical
from connectome.plots.literal import visible
from connectome.plots.palette import BLUE, DEFAULT, INK, MUTED, PAPER, RULE, swaps

COLUMN, TEXT, PAGE = 3.25, 5.5, 6.75  # inches
_WIDTHS = {COLUMN: "column_width", TEXT: "text_width", PAGE: "page_width"}  # keys of the config
SMALL, NORMAL = 7.0, 8.0  # points

matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": NORMAL,
        "mathtext.fontset": "stix",
        "text.parse_math": False,  # a dollar sign in a token is a dollar sign
        "text.color": INK,
        "figure.facecolor": PAPER,
        "figure.dpi": 100,
        "axes.facecolor": PAPER,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.labelsize": NORMAL,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "lines.linewidth": 1.0,
        "lines.markersize": 3.5,
        "lines.markeredgewidth": 0.6,
        "hatch.linewidth": 0.4,
        "legend.frameon": False,
        "legend.fontsize": SMALL,
        "legend.handlelength": 2.4,
        "image.composite_image": False,  # keeps a heat map at one pixel per cell
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "lm-connectome",
    }
)
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
_ABOUT = {"svg": "Description", "pdf": "Subject", "png": "Description"}
_COLOURED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
_LUMA = (0.2126, 0.7152, 0.0722)  # of red, green and blue (ITU-R BT.709)
_FONT = FT2Font(font_manager.findfont("DejaVu Sans"))


def new(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def config_digest(cfg: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical configuration slice behind a figure."""
    return hashlib.sha256(canonical(cfg).encode()).hexdigest()


def save(figure: Figure, path: Path, cfg: Mapping[str, Any]) -> None:
    """Write the figure as pdf, svg and png beside `path` (its suffix is replaced).

    cfg: `dpi`; and, where they are not as designed, `palette` and `column_width`, `text_width`,
    `page_width` (inches). Its digest goes into the metadata of the files.
    """
    width = figure.get_figwidth()
    figure.set_figwidth(cfg.get(_WIDTHS.get(width, ""), width))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout stands: it would be solved again for each file
    recolour(figure, cfg.get("palette", DEFAULT))
    digest = f"configuration {config_digest(cfg)}"
    for kind, metadata in _METADATA.items():
        with atomic(path.with_suffix(f".{kind}")) as temporary:
            said = metadata | {_ABOUT[kind]: digest}
            figure.savefig(temporary, format=kind, metadata=said, dpi=cfg["dpi"])


def recolour(figure: Figure, palette: str) -> None:
    """Give every mark and text of a figure the colours of a palette, its shades those alike.

    Done on the finished figure, so that what draws it knows one palette and stays a function of
    its rows alone. Under `grey` colours without a role become the grey that is as light.
    """
    table = swaps(palette)
    if not table:
        return
    grey = palette == "grey"
    for artist in figure.findobj(_is_shaded):
        artist.set_cmap(_shades(artist.get_cmap(), table, grey))  # type: ignore[attr-defined]
        bar = artist.colorbar  # type: ignore[attr-defined]
        if bar is not None:
            bar.ax.minorticks_off()  # new shades bring them back
    for artist in figure.findobj(lambda artist: not _is_shaded(artist)):
        box = artist.get_bbox_patch() if isinstance(artist, Text) else None
        for what in _COLOURED:
            _swap(artist, what, table, grey)
            if box is not None:
                _swap(box, what, table, grey)


def _is_shaded(artist: Artist) -> bool:
    return isinstance(artist, ScalarMappable) and artist.get_array() is not None


def _swap(artist: Artist, what: str, table: Mapping[str, str], grey: bool) -> None:
    get, put = (getattr(artist, f"{verb}_{what}", None) for verb in ("get", "set"))
    if get is None or put is None:
        return
    old = get()
    if isinstance(old, str) and old == "none":
        return
    rows = to_rgba_array(old)
    new = [_swapped(row, table, grey) for row in rows]
    if new and not np.array_equal(rows, new):
        put(new if np.ndim(old) == 2 else new[0])


def _swapped(rgba: Any, table: Mapping[str, str], grey: bool) -> tuple[float, ...]:
    """One colour in the palette; its opacity stays."""
    found = table.get(to_hex(rgba))
    if found is None and grey:
        found = str(float(np.dot(rgba[:3], _LUMA)))
    return to_rgba(rgba if found is None else found, rgba[3])


def _shades(shades: Colormap, table: Mapping[str, str], grey: bool) -> Colormap:
    """What stands for a colour map: another hue at the full end, or shades of grey.

    Both ends of a diverging map would be the same grey: it becomes one that runs from dark to
    light.
    """
    if grey:
        return colormaps["gray" if shades.name == "PRGn" else "Greys"].resampled(shades.N)
    if shades.name == "PRGn":
        return shades
    return LinearSegmentedColormap.from_list(shades.name, [PAPER, table.get(BLUE, BLUE)], shades.N)


def panel(axes: Axes, letter: str) -> None:
    """Bold letter at the top left of a panel."""
    axes.set_title(letter, loc="left", fontsize=NORMAL + 1, fontweight="bold", pad=4)


def printable(text: str, longest: int = 60) -> str:
    """Text for a figure: visible, and nothing that the figures' font cannot draw."""
    shown = visible(text, longest)
    return "".join(c if _FONT.get_char_index(ord(c)) else f"\\u{{{ord(c):x}}}" for c in shown)


def notice(axes: Axes, text: str) -> None:
    """A sentence across a panel that the reader must not miss."""
    axes.text(
        0.5,
        0.97,
        printable(text, 200),
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=SMALL,
        color=INK,
        wrap=True,
        zorder=9,
        bbox={"facecolor": PAPER, "edgecolor": INK, "linewidth": 0.6, "pad": 2.5},
    )


def quiet_grid(axes: Axes, axis: str = "y") -> None:
    """Hairlines behind the data along one axis."""
    axes.set_axisbelow(True)
    axes.grid(True, axis=axis, color=RULE, linewidth=0.4)  # type: ignore[arg-type]


def log_axis(axes: Axes) -> None:
    """Logarithmic x axis with plain numbers at 1, 2, 5 (mathematical text is off)."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps: tuple[float, ...] = (1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)
    steps = (1.0, 2.0, 3.0, 5.0, 7.0) if high / low < 12 else steps
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def number(text: str) -> float | None:
    """Number of a CSV field; None where it is empty."""
    return float(text) if text else None


def numbers(rows: Iterable[dict[str, str]], column: str) -> list[float]:
    """A column as floats, NaN where it is empty (a gap in the line)."""
    return [float(row[column]) if row[column] else float("nan") for row in rows]


def unlabelled(axes: Axes) -> None:
    """No y axis: the rows are labelled elsewhere."""
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def subdued(axes: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """Small muted text in data coordinates."""
    axes.text(x, y, printable(text, 120), fontsize=SMALL, color=MUTED, **options)
