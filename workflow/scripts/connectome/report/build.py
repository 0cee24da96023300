"""The page: every section rendered from its fragment, in one file that loads nothing."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from connectome.command import atomic
from connectome.errors import DataError
from connectome.plots.palette import DEFAULT, SERIES, theme
from connectome.report import drawing, marks, sections
from connectome.report.marks import Html
from connectome.report.reader import Line, Results, Table
from connectome.report.unfinished import Unfinished

STATIC_ROWS = 20
_LARGEST = 8_000_000  # bytes; above it the page opens slowly
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def build(
    results: Path, plan: Mapping[str, Any], fragments: Path, left: Unfinished | None = None
) -> str:
    """The text of the page: a pure function of the files, the plan and the fragments.

    results: folder with `tables/` and `figures/`; what is missing there is said on the page, with
    the command that makes it. Of a run that failed, `left` says what it left; then the page says
    first that it is unfinished. Raises DataError for a damaged table, or a page above 8 MB.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(fragments),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = Results(results, left.unmade if left else ())
    palette = plan.get("palette", DEFAULT)
    environment.globals |= {
        "token": marks.token,
        "tokens": marks.tokens,
        "series": lambda name: SERIES[name].label if name in SERIES else name,
        "cells": cells,
        "told_apart": told_apart,
        "figure_image": lambda name, text: figure_image(found, name, text, palette),
        "figure_caption": lambda name: marks.caption(found.sidecar(name)),
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
        if left and (gone := [path for path in module.inputs(plan) if path in left.unmade]):
            why = _reasons(environment, gone, module.inputs(plan), left)
            body = why + body if _can_speak(module, gone) else why
        parts.append({"id": name, "title": module.TITLE, "body": Html(body)})
    data = _data(found)
    title = plan["report"]["name"]
    if left:
        title = f"unfinished: {title}"
        body = environment.get_template("unfinished.html").render(left=left)
        parts.insert(0, {"id": "unfinished", "title": "Unfinished run", "body": Html(body)})
    page = environment.get_template("page.html").render(
        title=title,
        policy=_POLICY,
        style=Html(_style(fragments, palette)),
        script=Html(_script(fragments)),
        parts=parts,
        data=marks.script_json(data),
    )
    size = len(page.encode())
    if size > _LARGEST:
        raise DataError(
            f"the page has {size / 1e6:.1f} MB, at most {_LARGEST / 1e6:.0f} are readable; largest "
            f"blocks: {_largest(parts, data)}; list fewer partitions in report.circuits or fewer "
            "sites"
        )
    return page


def _largest(parts: list[dict[str, Any]], data: Mapping[str, str]) -> str:
    """The three largest of all sections and tables, with their sizes."""
    sizes = [(len(part["body"]), f"section {part['id']}") for part in parts]
    sizes += [(len(packed), name) for name, packed in data.items()]
    found = sorted(sizes, reverse=True)[:3]
    return ", ".join(f"{name} {length / 1e6:.1f} MB" for length, name in found)


def _reasons(environment: Any, gone: list[str], every: list[str], left: Unfinished) -> str:
    """Why a section of an unfinished page lacks what is gone, and how to make it."""
    tables = [path for path in gone if path.startswith("tables/")]
    return environment.get_template("unmade.html").render(
        left=left,
        gone=len(gone),
        every=len(every),
        lacking=tables or gone,
        behind=left.behind(gone),
    )


def _can_speak(module: ModuleType, gone: list[str]) -> bool:
    """Whether a section has all tables that it draws conclusions from: without one of them it
    would say that there is nothing where nothing was looked up. NEEDED names them, else all."""
    needed = getattr(module, "NEEDED", None)
    tables = {
        path.removeprefix("tables/").removesuffix(".csv") for path in gone if "tables/" in path
    }
    return not (tables if needed is None else tables.intersection(needed))


def unfinished_path(page: Path) -> Path:
    """Where the page of a run that failed lies, beside the one that it did not make."""
    return page.with_suffix(f".unfinished{page.suffix}")


def write_unfinished(
    page: Path, plan: Mapping[str, Any], fragments: Path, left: Unfinished
) -> Path:
    """Write the page of a run that failed, and return where it lies."""
    path = unfinished_path(page)
    text = build(page.parent, plan, fragments, left)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _script(fragments: Path) -> str:
    """The script of the page, then those of the sections that have one."""
    names = [module.__name__.rpartition(".")[2] for module in sections()]
    own = [fragments / "sections" / f"{name}.js" for name in names]
    files = [fragments / "report.js", *(file for file in own if file.is_file())]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return minified(text, "application/javascript")


def _style(fragments: Path, palette: str) -> str:
    """The style sheet of the page in the colours of a palette."""
    text = _theme(palette) + (fragments / "style.css").read_text(encoding="utf-8")
    return minified(text, "text/css")


def minified(text: str, kind: str) -> str:
    """A script or a style sheet as short as it means the same.

    Raises ValueError for one that no browser would read.
    """
    import minify

    return minify.string(kind, text)


def _theme(palette: str) -> str:
    """Colours of a palette as style variables, light and dark."""
    light, dark = (";".join(f"--{row[0]}:{row[i]}" for row in theme(palette)) for i in (1, 2))
    return f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _data(results: Results) -> dict[str, str]:
    """All tables that the page read, packed one by one, column by column: {"name", "words", "at"}.

    `words` are the different fields of a column in order of appearance, `at` their numbers row by
    row; `at` is left out where every row has a word of its own.
    """
    return {
        table.name: marks.packed(
            [_column(name, [line[name] for line in table.lines]) for name in table.columns]
        )
        for table in results.tables()
        if not table.missing
    }


def _column(name: str, fields: list[str]) -> dict[str, Any]:
    words = list(dict.fromkeys(fields))
    if len(words) == len(fields):
        return {"name": name, "words": words}
    number = {word: i for i, word in enumerate(words)}
    return {"name": name, "words": words, "at": [number[field] for field in fields]}


def figure_image(
    results: Results, name: str, description: str, palette: str = DEFAULT
) -> Html | None:
    """The figure as an image with this text, None where its file is missing."""
    svg = results.drawing(name)
    return None if svg is None else drawing.image(svg, description, palette)


def told_apart(lines: list[Line], columns: list[list[str]]) -> list[list[str]]:
    """Columns of a table in a section, and those of model and dictionary where lines differ in
    them, after the first: rows of two dictionaries do not pass for one another."""
    stated = {column for column, _, _ in columns}
    where = [
        [name, name, "text"]
        for name in ("model", "dictionary")
        if name not in stated and len({line.fields.get(name) for line in lines}) > 1
    ]
    return [*columns[:1], *where, *columns[1:]]


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
