"""training.csv: curves of the models trained here."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectome.tabulate.identity import Row, column_rows

COLUMNS = ("model", "step", "quantity", "task", "value")


def rows(curves: Iterable[tuple[str, Mapping[str, list[Any]]]]) -> list[Row]:
    """Rows of the training tables of each (model, columns)."""
    return [{"model": model} | row for model, columns in curves for row in column_rows(columns)]
