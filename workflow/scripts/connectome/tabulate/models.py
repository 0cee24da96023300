"""models.csv: what each model is."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectome.tabulate.identity import Row

COLUMNS = (
    "model",
    "source",
    "hub",
    "revision",
    "architecture",
    "layers",
    "heads",
    "width",
    "hidden",
    "vocabulary",
    "context",
    "parameters",
)


def rows(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """One row per record of a model.json."""
    return [
        {"model": record["name"]} | {name: record[name] for name in COLUMNS[1:]}
        for record in records
    ]
