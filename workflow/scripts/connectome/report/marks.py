"""What stands in the page: escaped text, tokens, and numbers that name the cell they come from.

Every number in a sentence goes through `number`, so that a test can hold it against its table.
Standard library only.
"""

import html
import json
import math
from collections.abc import Callable
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


def tokens(literal: str) -> Html:
    """Tokens of a table field that holds a JSON string or a list of them."""
    value = json.loads(literal)
    texts = value if isinstance(value, list) else [value]
    return Html(" ".join(token(str(text)) for text in texts))


def _rounded(value: float, digits: int) -> str:
    """Fixed digits, thousands apart, a true minus sign, and no minus before zero."""
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "\u2212")


FORMS: dict[str, Callable[[float], str]] = {
    "count": lambda value: _rounded(value, 0),
    "size": lambda value: _rounded(value, 0 if value == int(value) else 1),
    "share": lambda value: _rounded(value, 2),
    "percent": lambda value: _rounded(100 * value, 0) + "\u00a0%",
    "fine": lambda value: _rounded(value, 3),
}


def number(text: str, form: str, table: str, row: int, column: str) -> Html:
    """A cell as `<data>`: its exact value, its table, row (from 0) and column, rounded by FORMS."""
    if not text or not math.isfinite(float(text)):
        return undefined(f"{table}: {column} is empty")
    shown = FORMS[form](float(text))
    return Html(
        f'<data value="{escape(text)}" data-table="{escape(table)}" data-row="{row}" '
        f'data-column="{escape(column)}">{shown}</data>'
    )


def undefined(reason: str) -> Html:
    """Stands where a number is not defined."""
    return Html(f'<span class="undefined" title="{escape(reason)}">not defined</span>')


def script_json(value: Any) -> Html:
    """JSON that can stand in a script element whatever it holds."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
