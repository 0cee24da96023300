"""Figures inside the page: SVG as data, following the light or dark scheme of the reader."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from connectome.plots.palette import DEFAULT, theme
from connectome.report.marks import Html, escape

_WIDE = 400  # CSS pixels; wider figures keep a readable size on a phone and scroll in their frame


# Characters that may stand in a data address and in a quoted attribute as they are; quoting the
# rest is a third shorter than base64, and a heat map inside is not encoded twice.
_PLAIN = " !$'()*+,-./:;<=>?@[]^_`{|}~"


def image(svg: str, description: str, palette: str = DEFAULT) -> Html:
    """An `<img>` of a figure that was drawn in this palette.

    Nothing in it can run: an image has no scripts and no links.
    """
    width, height = _size(svg)
    data = quote(themed(svg, palette), safe=_PLAIN)
    wide = ' class="wide"' if width > _WIDE else ""
    return Html(
        f'<img{wide} src="data:image/svg+xml,{data}" alt="{escape(description)}" '
        f'width="{width}" height="{height}" decoding="async">'
    )


def _size(svg: str) -> tuple[int, int]:
    """Width and height in CSS pixels, from the points of the figure."""
    found = re.search(r'<svg[^>]*?width="([\d.]+)pt"[^>]*?', svg)
    tall = re.search(r'<svg[^>]*?height="([\d.]+)pt"[^>]*?', svg)
    if found is None or tall is None:
        return 648, 400
    return round(float(found[1]) * 96 / 72), round(float(tall[1]) * 96 / 72)


def themed(svg: str, palette: str = DEFAULT) -> str:
    """The figure with the fixed colours of its palette as variables that dark pages turn over.

    The document type and the prologue go: an image needs neither, and both name remote addresses.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    colours = theme(palette)
    svg = re.sub(r'style="[^"]*"', lambda found: _variables(found[0], colours), svg)
    svg = _small(svg)
    rules = [";".join(f"--{row[0]}:{row[i]}" for row in colours) for i in (1, 2)]
    style = (
        f"<style>:root{{{rules[0]}}}@media (prefers-color-scheme:dark){{:root{{{rules[1]}}}}}"
        "text{font-family:system-ui,'DejaVu Sans',sans-serif!important}</style>"
    )
    head = svg.index(">") + 1
    return svg[:head] + style + svg[head:]


def _small(svg: str) -> str:
    """The same drawing in fewer bytes: a hundredth of a point, no names nobody refers to."""
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r">\s+<", "><", svg)
    return re.sub(r' (?:d|x|y)="[^"]*"', lambda found: _coarse(found[0]), svg)


def _coarse(attribute: str) -> str:
    text = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", attribute)
    return re.sub(r'\s*\n\s*|\s+(?=")', lambda found: " " if "\n" in found[0] else "", text)


def _variables(style: str, colours: Iterable[tuple[str, str, str]]) -> str:
    """Colours of one style attribute as variables; text of the figure is never touched."""
    for name, light, _ in colours:
        style = style.replace(light, f"var(--{name})")
    return style
