"""Figures inside the page: SVG as data, following the light or dark scheme of the reader."""

import re
from collections import Counter
from collections.abc import Callable
from urllib.parse import quote

from connectome.plots.palette import THEME
from connectome.report.marks import Html, escape

_WIDE = 400  # CSS pixels; wider figures keep a readable size on a phone and scroll in their frame


# Characters that may stand in a data address and in a quoted attribute as they are; quoting the
# rest is a third shorter than base64, and a heat map inside is not encoded twice.
_PLAIN = " !$'()*+,-./:;<=>?@[]^_`{|}~"


def image(svg: str, description: str) -> Html:
    """An `<img>` of the figure. Nothing in it can run: an image has no scripts and no links."""
    width, height = _size(svg)
    data = quote(themed(svg), safe=_PLAIN)
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


def themed(svg: str) -> str:
    """The figure with its fixed colours as variables that dark pages turn over.

    The document type and the prologue go: an image needs neither, and both name remote addresses.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _small(_in_tags(svg, _STYLE, lambda found: _variables(found[0])))
    rules = [";".join(f"--{row[0]}:{row[i]}" for row in THEME) for i in (1, 2)]
    style = (
        f"<style>:root{{{rules[0]}}}@media (prefers-color-scheme:dark){{:root{{{rules[1]}}}}}"
        "text{font-family:system-ui,'DejaVu Sans',sans-serif!important}</style>"
    )
    head = svg.index(">") + 1
    return svg[:head] + style + svg[head:]


_TAG = re.compile(r"<[^<>]*>")
_STYLE = re.compile(r' style="([^"]*)"')


def _in_tags(svg: str, pattern: re.Pattern[str], change: Callable[[re.Match[str]], str]) -> str:
    """Replace a pattern inside tags alone: text of data may look like an attribute."""
    return _TAG.sub(lambda tag: pattern.sub(change, tag[0]), svg)


_IDENTITY = re.compile(r' transform="rotate\(-?0(?: [^"]*)?\)"')
_PLACES = re.compile(r' (?:d|x|y|width|height|transform)="[^"]*"')


def _small(svg: str) -> str:
    """The same drawing in about half the bytes.

    Numbers to a hundredth of a point, repeated styles as classes, short names, no groups without
    a purpose, and quotes that need no escape in the page.
    """
    svg = re.sub(r">\s+<", "><", svg)
    svg = _in_tags(svg, _IDENTITY, lambda found: "")
    svg = _in_tags(svg, _PLACES, lambda found: _coarse(found[0]))
    svg = _ungrouped(_classes(_renamed(svg)))
    return _TAG.sub(lambda tag: tag[0] if "'" in tag[0] else tag[0].replace('"', "'"), svg)


def _coarse(attribute: str) -> str:
    text = re.sub(r"-?\d+\.\d+", lambda found: _number(found[0]), attribute)
    if text.startswith(" d="):  # the letters of a path need no blanks, and break its lines
        text = re.sub(r'\s*([A-Za-z])\s*(?=[-\d])|\s+(?=")', lambda found: found[1] or "", text[4:])
        text = f' d="{text}'
    return re.sub(r"\s*\n\s*", " ", text)


def _number(text: str) -> str:
    return f"{float(text):.2f}".rstrip("0").rstrip(".")


def _ungrouped(svg: str) -> str:
    """Without the groups that carry no attribute."""
    kept: list[str] = []
    opened: list[bool] = []
    for part in re.split(r"(<g>|<g [^>]*>|</g>)", svg):
        if part == "</g>":
            if opened.pop():
                kept.append(part)
        elif part == "<g>" or part.startswith("<g "):
            opened.append(part != "<g>" and not part.endswith("/>"))
            if part != "<g>":
                kept.append(part)
        else:
            kept.append(part)
    return "".join(kept)


_NAME = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(href="|url\()#([^")]*)')


def _renamed(svg: str) -> str:
    """Names that something refers to, by their order; the others are dropped."""
    names = dict.fromkeys(
        found[2] for tag in _TAG.findall(svg) for found in _REFERENCE.finditer(tag)
    )
    short = {name: f"i{number}" for number, name in enumerate(names)}
    svg = _in_tags(
        svg, _NAME, lambda found: f' id="{short[found[1]]}"' if found[1] in short else ""
    )
    return _in_tags(svg, _REFERENCE, lambda found: f"{found[1]}#{short[found[2]]}")


def _classes(svg: str) -> str:
    """Styles that more than one element has, once in the head of the drawing."""
    styles = Counter(style for tag in _TAG.findall(svg) for style in _STYLE.findall(tag))
    repeated = [style for style, count in styles.items() if count > 1]
    names = {style: f"c{number}" for number, style in enumerate(repeated)}

    def named(found: re.Match[str]) -> str:
        return f' class="{names[found[1]]}"' if found[1] in names else found[0]

    svg = _in_tags(svg, _STYLE, named)
    rules = "".join(f".{name}{{{style}}}" for style, name in names.items())
    head = svg.index(">") + 1
    return f"{svg[:head]}<style>{rules}</style>{svg[head:]}" if rules else svg


def _variables(style: str) -> str:
    """Colours of one style attribute as variables; text of the figure is never touched."""
    for name, light, _ in THEME:
        style = style.replace(light, f"var(--{name})")
    style = re.sub(r"font-family: [^;\"]*;? ?", "", style)  # the drawing has one for all
    return re.sub(r"([:;]) ", r"\1", style)
