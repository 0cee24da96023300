"""The gallery: every figure of a run on one static page, with its caption and its files.

It reads the sidecars alone; the pictures are the SVG files beside it.
"""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from connectome.plots.literal import visible
from connectome.plots.palette import theme
from connectome.report.marks import Html, caption, lead

_LONGEST = 4000  # characters of a claim, which may hold a reason of any length
FORMATS = ("pdf", "svg", "png", "csv", "json")
_POLICY = (
    # `file:` beside `'self'`: a page opened by double click has no origin of its own
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file:; "
    "base-uri 'none'; form-action 'none'"
)


def build(sidecars: Sequence[Mapping[str, Any]], title: str, palette: str, template: Path) -> str:
    """The text of the page: figures by kind, in the order of their names.

    sidecars: records of the figures in the folder of the page; title: what the run is called.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["visible"] = lambda text: Html(html.escape(visible(text, _LONGEST)))
    kinds: dict[str, list[dict[str, Any]]] = {}
    for record in sorted(sidecars, key=lambda record: record["name"]):
        kinds.setdefault(record["name"].partition(".")[0], []).append(_shown(record))
    colours = [";".join(f"--{row[0]}:{row[i]}" for row in theme(palette)) for i in (1, 2)]
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        title=title,
        policy=_POLICY,
        colours=Html(
            f":root{{{colours[0]}}}\n@media (prefers-color-scheme:dark){{:root{{{colours[1]}}}}}"
        ),
        kinds=[{"name": name, "figures": figures} for name, figures in kinds.items()],
        formats=FORMATS,
    )


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": record["name"],
        "link": quote(record["name"]),
        "lead": lead(record["caption"]),
        "claim": record["claim"],
        "caption": caption(record),
    }
