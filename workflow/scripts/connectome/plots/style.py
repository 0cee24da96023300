"""The look of all figures, and how they are written: the same bytes from the same rows.

Designed at final size (7-8 pt text; 3.25, 5.5 or 6.75 inch wide), vector text, fonts that ship
with matplotlib. No pyplot: nothing here keeps a figure alive.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from connectome.command import atomic
from connectome.plots.literal import visible
from connectome.plots.palette import INK, MUTED, PAPER, RULE

COLUMN, TEXT, PAGE = 3.25, 5.5, 6.75  # inches
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
_FONT = FT2Font(font_manager.findfont("DejaVu Sans"))


def new(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write the figure as pdf, svg and png beside `path` (its suffix is replaced)."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout stands: it would be solved again for each file
    for kind, metadata in _METADATA.items():
        with atomic(path.with_suffix(f".{kind}")) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata, dpi=dpi)


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
