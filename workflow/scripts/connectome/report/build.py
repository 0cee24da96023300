"""The page: every section rendered from its fragment, in one file that loads nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectome.errors import DataError
from connectome.plots.palette import SERIES, THEME
from connectome.report import drawing, marks, sections, squeeze
from connectome.report.marks import Html
from connectome.report.reader import Line, Results, Table

STATIC_ROWS = 20
_LARGEST = 8_000_000  # bytes; above it the page opens slowly
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def build(results: Path, plan: Mapping[str, Any], fragments: Path) -> str:
    """The text of the page: a pure function of the files, the plan and the fragments.

    results: folder with `tables/` and `figures/`; what is missing there is said on the page, with
    the command that makes it. Raises DataError for a damaged table, or a page above 8 MB.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(fragments),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = Results(results)
    environment.globals |= {
        "token": marks.token,
        "tokens": marks.tokens,
        "series": lambda name: SERIES[name].label if name in SERIES else name,
        "cells": cells,
        "figure_image": lambda name, text: figure_image(found, name, text),
        "command": command,
        "script_json": marks.script_json,
        "static_rows": STATIC_ROWS,
        "plan": plan,
    }
    environment.filters["visible"] = marks.escape
    parts = []
    for module in sections():
        name = module.__name__.rpartition(".")[2]
        context = module.context(found, plan)
        body = environment.get_template(f"sections/{name}.html").render(context)
        parts.append({"id": name, "title": module.TITLE, "body": Html(body)})
    page = environment.get_template("page.html").render(
        title=plan["report"]["name"],
        policy=_POLICY,
        style=Html(squeeze.style(_theme() + (fragments / "style.css").read_text(encoding="utf-8"))),
        script=Html(_script(fragments)),
        parts=parts,
        data=marks.script_json(_data(found)),
    )
    size = len(page.encode())
    if size > _LARGEST:
        largest = sorted(((len(p["body"]), p["id"]) for p in parts), reverse=True)[:3]
        blocks = ", ".join(f"{name} {length / 1e6:.1f} MB" for length, name in largest)
        raise DataError(
            f"the page has {size / 1e6:.1f} MB, at most {_LARGEST / 1e6:.0f} are readable; largest "
            f"sections: {blocks}; list fewer partitions in report.circuits or fewer sites"
        )
    return page


def _script(fragments: Path) -> str:
    """The script of the page, then those of the sections that have one."""
    names = [module.__name__.rpartition(".")[2] for module in sections()]
    own = [fragments / "sections" / f"{name}.js" for name in names]
    files = [fragments / "report.js", *(file for file in own if file.is_file())]
    return squeeze.script("\n".join(file.read_text(encoding="utf-8") for file in files))


def _theme() -> str:
    """Colours as style variables, light and dark."""
    light, dark = (";".join(f"--{row[0]}:{row[i]}" for row in THEME) for i in (1, 2))
    return f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _data(results: Results) -> dict[str, Any]:
    """All tables that the page read, column by column: {"name", "words", "at"}.

    `words` are the different fields of a column in order of appearance, `at` their numbers row by
    row; `at` is left out where every row has a word of its own.
    """
    return {
        table.name: [_column(name, [line[name] for line in table.lines]) for name in table.columns]
        for table in results.tables()
        if not table.missing
    }


def _column(name: str, fields: list[str]) -> dict[str, Any]:
    words = list(dict.fromkeys(fields))
    if len(words) == len(fields):
        return {"name": name, "words": words}
    number = {word: i for i, word in enumerate(words)}
    return {"name": name, "words": words, "at": [number[field] for field in fields]}


def figure_image(results: Results, name: str, description: str) -> Html | None:
    """The figure as an image with this text, None where its file is missing."""
    svg = results.drawing(name)
    return None if svg is None else drawing.image(svg, description)


def cells(table: Table, lines: list[Line], columns: list[list[str]]) -> list[list[Html]]:
    """Cells of a table in a section; columns: [column, heading, form], "text" for words."""
    return [[_cell(line, column, form) for column, _, form in columns] for line in lines]


def _cell(line: Line, column: str, form: str) -> Html:
    if form == "interval":
        value = line.n(column, "share")
        if "undefined" in value:
            return value
        return Html(f"{value} {line.between('share', f'{column}_lo', f'{column}_hi')}")
    if form == "tokens":
        return marks.tokens(line[column])
    if form == "text":
        return marks.escape(line[column])
    if form == "flag":
        return marks.escape({"true": "yes", "false": "no"}.get(line[column], line[column]))
    return line.n(column, form)


def command(target: str) -> str:
    """The command that makes a file of the results."""
    return f"snakemake --cores 2 results/{target}"
