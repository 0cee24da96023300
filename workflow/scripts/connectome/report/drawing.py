"""Figures inside the page: SVG as data, following the light or dark scheme of the reader."""

import base64
import io
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from connectome.plots.palette import DEFAULT, theme
from connectome.report.marks import Html, escape

Colours = Iterable[tuple[str, str, str]]  # name, light, dark

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
    """The figure in few bytes, the colours of its palette as variables that dark pages turn over.

    The document type and the prologue go: an image needs neither, and both name remote addresses.
    Text is left as it is, whatever it looks like.
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r">\s+<", "><", svg)
    used = dict.fromkeys(name for tag in _TAG.findall(svg) for name in _REFERENCE.findall(tag))
    names = {name: f"i{number}" for number, name in enumerate(used)}
    classes: dict[str, str] = {}  # by style: one that stands at many places is written once
    colours = theme(palette)
    svg = _TAG.sub(lambda found: _small(found[0], names, classes, colours), svg)
    svg = _PNG.sub(lambda found: indexed(found[0]), svg)
    svg = _unwrapped(svg)
    seen = svg + "".join(classes)
    colours = tuple(row for row in colours if f"var(--{row[0]})" in seen)
    rules = [";".join(f"--{row[0]}:{row[i]}" for row in colours) for i in (1, 2)]
    style = (
        f"<style>:root{{{rules[0]}}}@media (prefers-color-scheme:dark){{:root{{{rules[1]}}}}}"
        "text{font-family:system-ui,'DejaVu Sans',sans-serif}"
        f"{''.join(f'.{name}{{{style}}}' for style, name in classes.items())}</style>"
    )
    head = svg.index(">") + 1
    return svg[:head] + style + svg[head:]


_TAG = re.compile(r"<[a-z][^>]*>")
_REFERENCE = re.compile(r'(?<=href="#|..url\(#)[^")]+')  # dots: a look behind has one width
_PNG = re.compile(r"(?<=data:image/png;base64,)[\w+/=\s]+")
_FAMILY = re.compile(r"font-family:[^;\"]*;? ?")


def _small(tag: str, names: Mapping[str, str], classes: dict[str, str], colours: Colours) -> str:
    """A tag of a drawing in fewer bytes: lengths in hundredths of a point, no names nobody refers
    to, and single quotes, which stay one byte in a data address."""
    tag = re.sub(r' id="([^"]*)"', lambda found: _id(names.get(found[1])), tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    tag = re.sub(r' (?:d|x|y|points)="[^"]*"', lambda found: _coarse(found[0]), tag)
    tag = _REFERENCE.sub(lambda found: names[found[0]], tag)
    tag = tag.replace("xlink:href", "href")
    clip = re.search(r' clip-path="([^"]*)"', tag)
    if clip and ' style="' in tag:  # the class says it for all that are clipped alike
        tag = tag.replace(clip[0], "").replace(' style="', f' style="clip-path: {clip[1]}; ')
    tag = re.sub(r' style="([^"]*)"', lambda found: _class(found[1], classes, colours), tag)
    return re.sub(r"=\"([^\"']*)\"", r"='\1'", tag)


def _unwrapped(svg: str) -> str:
    """A drawing without the groups that say nothing: those without attributes, and empty ones."""
    kept: list[bool] = []  # of the groups that are open

    def one(found: re.Match[str]) -> str:
        tag = found[0]
        if tag == "</g>":
            return tag if kept.pop() else ""
        if tag.endswith("/>"):
            return ""
        kept.append(tag != "<g>")
        return tag if kept[-1] else ""

    return re.sub(r"<g(?: [^>]*)?/?>|</g>", one, svg)


def _id(name: str | None) -> str:
    return f' id="{name}"' if name else ""


def indexed(png: str) -> str:
    """The same pixels of an image (base64) by numbers of a palette, where 256 colours are enough:
    heat maps have few, and take a third of the bytes."""
    from PIL import Image  # matplotlib brings it

    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        return png
    values = image.convert("RGB").tobytes()
    pixels = [values[start : start + 3] for start in range(0, len(values), 3)]
    numbers = {colour: number for number, colour in enumerate(sorted(set(pixels)))}
    if len(numbers) > 256:
        return png
    small = Image.frombytes("P", image.size, bytes(map(numbers.__getitem__, pixels)))
    small.putpalette(b"".join(numbers))
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _class(style: str, classes: dict[str, str], colours: Colours) -> str:
    short = re.sub(r"([:;,])\s+", r"\1", _variables(_FAMILY.sub("", style), colours))
    return f' class="{classes.setdefault(short, f"s{len(classes)}")}"'


def _coarse(attribute: str) -> str:
    text = re.sub(r"-?\d+\.\d{2,}", lambda found: f"{float(found[0]):.2f}", attribute)
    text = re.sub(r"(\.\d*?)0+\b", r"\1", text)
    text = re.sub(r"\.(?!\d)", "", text)
    text = re.sub(r'\s*\n\s*|\s+(?=")', lambda found: " " if "\n" in found[0] else "", text)
    if text.startswith(" d="):
        text = _straight(re.sub(r" ?([A-Za-z]) ?", r"\1", text.strip()))
    return " " + re.sub(r' (?=["-])', "", text.strip())


def _straight(path: str) -> str:
    """The path with lines along an axis by the one coordinate that they change."""
    last = ["", ""]

    def one(found: re.Match[str]) -> str:
        ends = found[2].split()
        before, last[:] = tuple(last), ends[-2:] if len(ends) > 1 else ["", ""]
        if found[1] == "L" and len(ends) == 2 and before[1] == ends[1]:
            return f"H{ends[0]}"
        if found[1] == "L" and len(ends) == 2 and before[0] == ends[0]:
            return f"V{ends[1]}"
        return found[0]

    return re.sub(r"([MLCQz])([-\d. ]*)", one, path)


def _variables(style: str, colours: Colours) -> str:
    """Colours of one style attribute as variables; text of the figure is never touched."""
    for name, light, _ in colours:
        style = style.replace(light, f"var(--{name})")
    return style
