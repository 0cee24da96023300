"""What stands in the page: escaped text, tokens, and numbers that name the cell they come from.

Every number in a sentence goes through `number`, so that a test can hold it against its table.
Standard library only.
"""

import base64
import html
import json
import math
import re
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connectome.plots.literal import visible


class Html(str):
    """Text that is markup already; templates escape everything else."""

    def __html__(self) -> str:
        return str(self)


def escape(text: Any) -> Html:
    """Text of data as text of the page: invisible characters shown, markup inert."""
    return Html(html.escape(visible(str(text)), quote=True))


def token(text: str) -> Html:
    """A token or prompt: kept apart from the direction of the text around it."""
    return Html(f'<bdi class="token">{escape(text)}</bdi>')


def running(text: str) -> Html:
    """A token within running text: its leading blank stays one, unless there is nothing else."""
    return Html(html.escape(visible(text, 60, ends=not text.strip(" ")), quote=True))


def window(fields: Mapping[str, str], look: Callable[[float], str]) -> Html:
    """Tokens of a table row with JSON lists `window` and `scores`, as running text.

    look: attributes of the mark around a token of this score, "" for no mark.
    """
    parts = ["\u2026 " if fields["cut_left"] == "true" else ""]
    for text, score in zip(json.loads(fields["window"]), json.loads(fields["scores"]), strict=True):
        attributes = "" if score is None else look(score)
        shown = running(text)
        if attributes:  # a blank in front stays outside
            blank = " " if shown.startswith(" ") else ""
            shown = Html(f"{blank}<mark {attributes}>{shown.strip(' ')}</mark>")
        parts.append(shown)
    parts.append(" \u2026" if fields["cut_right"] == "true" else "")
    return Html("".join(parts))


def bar(ends: Mapping[str, float], full: float) -> str:
    """Places of a bar from zero to `value`, and of a band from `low` to `high` if any, as style
    variables; a quarter of the width lies below zero, and `full` is as far as it goes."""
    place = {name: min(max(25 + 75 * end / full, 0), 100) for name, end in ends.items()}
    found = {"a": min(25.0, place["value"]), "b": max(25.0, place["value"])}
    if "low" in place:
        found |= {"c": place["low"], "d": place["high"]}
    return ";".join(f"--{name}:{x:.1f}%" for name, x in found.items())


def tokens(literal: str) -> Html:
    """Tokens of a table field that holds a JSON string or a list of them."""
    value = json.loads(literal)
    texts = value if isinstance(value, list) else [value]
    return Html(" ".join(token(str(text)) for text in texts))


def _rounded(value: float, digits: int) -> str:
    """Fixed digits, thousands apart, a true minus sign, and no minus before zero."""
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "\u2212")


def _significant(value: float) -> str:
    """Two significant digits, all of the whole part."""
    digits = 1 - math.floor(math.log10(abs(value))) if value else 0
    return _rounded(value, min(max(digits, 0), 6))


FORMS: dict[str, Callable[[float], str]] = {
    "count": lambda value: _rounded(value, 0),
    "size": lambda value: _rounded(value, 0 if value == int(value) else 1),
    "share": lambda value: _rounded(value, 2),
    "rate": lambda value: _significant(100 * value) + "\u00a0%",
    "percent": lambda value: _rounded(100 * value, 0) + "\u00a0%",
    "fine": lambda value: _rounded(value, 3),
}


def number(text: str, form: str, table: str, row: int, column: str) -> Html:
    """A cell as `<data>`: its exact value, rounded by FORMS, and where it is from.

    `data-at` is table, row (from 0) and column: ten thousand numbers name theirs, in few bytes.
    """
    if not text or not math.isfinite(float(text)):
        return undefined(f"{table}: {column} is empty")
    shown = FORMS[form](float(text))
    at = f"{table.removesuffix('.csv')} {row} {column}"
    return Html(f'<data value="{escape(text)}" data-at="{escape(at)}">{shown}</data>')


def packed(value: Any) -> str:
    """A value as JSON, deflated, in base64: a third of its bytes, which a script unpacks when
    somebody asks. The format of zlib has no header that tells of a time or a system."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


_CODES = {"u8": "B", "u16": "H", "f32": "f"}


def block(name: str, columns: Mapping[str, tuple[str, Iterable[float]]]) -> Html:
    """Numbers as little-endian typed arrays, for scripts of the page: {column: (type, values)}.

    Types are u8, u16 and f32. Wider types must come first, so that each array is aligned.
    """
    arrays = {key: (kind, array(_CODES[kind], values)) for key, (kind, values) in columns.items()}
    if sys.byteorder == "big":
        for _, values in arrays.values():
            values.byteswap()
    told = " ".join(f"{key}:{kind}:{len(values)}" for key, (kind, values) in arrays.items())
    data = base64.b64encode(b"".join(values.tobytes() for _, values in arrays.values())).decode()
    return Html(
        f'<script type="text/plain" id="{escape(name)}" data-columns="{told}">{data}</script>'
    )


def undefined(reason: str) -> Html:
    """Stands where a number is not defined."""
    return Html(f'<span class="undefined" title="{escape(reason)}">not defined</span>')


def caption(sidecar: Mapping[str, Any] | None) -> Html:
    """The caption of a figure as its sidecar has it: first sentence strong, panels bold, sources.

    Empty without a sidecar.
    """
    if sidecar is None:
        return Html("")
    tables = [path.rpartition("/")[2] for path in sidecar["sources"] if path.endswith(".csv")]
    codes = [f"<code>{escape(name)}</code>" for name in tables or [f"{sidecar['name']}.csv"]]
    first = lead(sidecar["caption"])
    rest = html.escape(sidecar["caption"].removeprefix(first))
    body = re.sub(r"\(([a-z](?:, [a-z])*)([;)])", r"(<b>\1</b>\2", rest)
    return Html(f"<p><strong>{html.escape(first)}</strong>{body} From {', '.join(codes)}.</p>")


def lead(text: str) -> str:
    """The first sentence of a caption."""
    return re.split(r"(?<=[.?])(?: |$)", text, maxsplit=1)[0]


def script_json(value: Any) -> Html:
    """JSON that can stand in a script element whatever it holds."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
