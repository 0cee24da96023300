"""What error nodes carry when parts are ablated; which of several such policies stands for them.

A dictionary that is not exact leaves an error node at each of its sites. Where several policies
were run, tables hold one row for each, told apart by the column `error` (empty where a graph has no
error nodes), and what shows one curve shows that of the policy that was asked for first.
Standard library only.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Row = TypeVar("Row", bound=Mapping[str, Any])
ERRORS = {
    "in-graph": "recomputed in each run",
    "kept": "the clean run's",
    "ablated": "the corrupted run's",
}


def main_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows without error nodes, and those of the first policy of each model and dictionary."""
    found = list(rows)
    first: dict[tuple[str, str], str] = {}
    for row in found:
        if row["error"]:
            first.setdefault((row["model"], row["dictionary"]), row["error"])
    return [
        row
        for row in found
        if not row["error"] or row["error"] == first[row["model"], row["dictionary"]]
    ]
