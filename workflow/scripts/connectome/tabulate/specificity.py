"""specificity.csv: each task under the parts of each; specificity_summary.csv: what that says."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectome.significance import adjusted
from connectome.specificity import CELLS, SUMMARIES, TESTS
from connectome.tabulate.identity import Row, defined

NAMES = ("model", "dictionary")
COLUMNS = (*NAMES, *CELLS)
SUMMARY_COLUMNS = (*NAMES, *SUMMARIES, *(f"{test}_adj" for test in TESTS))
Found = Iterable[tuple[Mapping[str, str], Iterable[Mapping[str, Any]]]]


def rows(found: Found) -> list[Row]:
    """All cells with model and dictionary; a task that the model cannot do is one row, refused."""
    return [
        dict(names) | {name: defined(row[name]) for name in CELLS}
        for names, cells in found
        for row in cells
    ]


def summary_rows(found: Found) -> list[Row]:
    """All matrices with model and dictionary, and p values corrected over those of one pair.

    Benjamini-Hochberg; a family is all partitions x kinds of sets x interventions x measures.
    """
    result: list[Row] = []
    for names, summaries in found:
        family = [
            dict(names) | {name: defined(row[name]) for name in SUMMARIES} for row in summaries
        ]
        for test in TESTS:
            corrected = adjusted([row[test] for row in family])
            for row, value in zip(family, corrected, strict=True):
                row[f"{test}_adj"] = value
        result += family
    return result
