"""Tables and drawings of a results folder, as the page reads them; standard library only."""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectome.errors import DataError
from connectome.report.marks import Html, number, undefined

csv.field_size_limit(2**24)


@dataclass(frozen=True)
class Line:
    """One row of a table; `n` shows a cell as a number that names its source."""

    table: str
    index: int
    fields: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def n(self, column: str, form: str) -> Html:
        """The cell rounded as `form` says (see marks.FORMS), with table, row and column."""
        return number(self.fields[column], form, self.table, self.index, column)

    def between(self, form: str, low: str = "lo", high: str = "hi") -> Html:
        """`[lo, hi]` of the same row, never broken over two lines."""
        if not (self.fields[low] and self.fields[high]):
            return undefined(f"{self.table}: {low} or {high} is empty")
        return Html(f"[{self.n(low, form)},\u00a0{self.n(high, form)}]")


@dataclass(frozen=True)
class Table:
    """A CSV of the results; `missing` where the file is not there."""

    name: str
    columns: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    missing: bool = False

    def where(self, **wanted: str) -> list[Line]:
        """Rows whose columns have these values."""
        return [
            line
            for line in self.lines
            if all(line.fields.get(column) == value for column, value in wanted.items())
        ]


@dataclass(frozen=True)
class Absent:
    """Stands for a row that the tables do not have: every number of it is not defined."""

    fields: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, column: str) -> str:
        return ""

    def n(self, column: str, form: str) -> Html:
        return undefined("no such row")

    def between(self, form: str, low: str = "lo", high: str = "hi") -> Html:
        return undefined("no such row")


class Results:
    """A results folder. Files that are missing are told apart from files that are empty.

    unmade: files below the folder that count as missing, whatever lies there: a run that failed
    was to make them anew.
    """

    def __init__(self, root: Path, unmade: Collection[str] = ()) -> None:
        self._root = root
        self._unmade = unmade
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """The table `tables/NAME.csv`. Raises DataError where it is damaged."""
        if name not in self._tables:
            self._tables[name] = self._read(name)
        return self._tables[name]

    def _read(self, name: str) -> Table:
        path = self._root / "tables" / f"{name}.csv"
        if not self._is_there(f"tables/{name}.csv"):
            return Table(f"{name}.csv", missing=True)
        try:
            with open(path, encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            lines = tuple(
                Line(path.name, i, dict(zip(header, row, strict=True)))
                for i, row in enumerate(rows)
            )
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"{path}: not a readable table ({error}); make it again") from error
        return Table(path.name, tuple(header), lines)

    def tables(self) -> Iterator[Table]:
        """All tables that were read, by name."""
        for name in sorted(self._tables):
            yield self._tables[name]

    def columns(self, path: str) -> dict[str, list[str]] | None:
        """Columns of a long CSV below the results folder, None where it is missing.

        Unlike `table` it is not repeated under "Tables". Raises DataError where it is damaged.
        """
        file = self._root / path
        if not self._is_there(path):
            return None
        try:
            with open(file, encoding="utf-8", newline="") as text:
                header, *rows = csv.reader(text)
            columns = list(zip(*rows, strict=True)) or [()] * len(header)
            return {name: list(column) for name, column in zip(header, columns, strict=True)}
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"{file}: not a readable table ({error}); make it again") from error

    def drawing(self, name: str) -> str | None:
        """The SVG text of `figures/NAME.svg`, None where it is missing."""
        path = f"figures/{name}.svg"
        return (self._root / path).read_text(encoding="utf-8") if self._is_there(path) else None

    def _is_there(self, path: str) -> bool:
        return path not in self._unmade and (self._root / path).is_file()

    def sidecar(self, name: str) -> dict[str, Any] | None:
        """What `figures/NAME.json` says of the figure, None where it is missing.

        Raises DataError where it is damaged.
        """
        path = self._root / "figures" / f"{name}.json"
        if not self._is_there(f"figures/{name}.json"):
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: not a readable record ({error}); make it again") from error

    def summary(self, model: str, dictionary: str = "") -> Callable[..., "Line | Absent"]:
        """Look-up of rows of summary.csv: f("rois", kind="activation")."""
        table = self.table("summary")

        def find(key: str, **wanted: str) -> Line | Absent:
            names = {"key": key, "model": model, "dictionary": dictionary} | wanted
            found = table.where(**names)
            return found[0] if found else Absent()

        return find
