"""competence.csv: can the model do the task at all; prompts.csv: what the task looks like."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from connectome.tabulate.identity import Row, column_rows, defined

MEASURES = (
    "accuracy_clean",
    "accuracy_corrupted",
    "metric_clean",
    "metric_corrupted",
    "gap",
)
COLUMNS = (
    "model",
    "task",
    "split",
    "pairs",
    "distinct",
    "chance",
    *(name + end for name in MEASURES for end in ("", "_lo", "_hi")),
    "competent",
    "reason",
    "words",
)
PROMPT_COLUMNS = ("model", "task", "split", "pair", "clean", "corrupted", "answers", "wrong")


def rows(records: Iterable[tuple[Mapping[str, str], Mapping[str, Any]]]) -> list[Row]:
    """One row per task and split, from ({"model", "task"}, record of a competence file)."""
    return [
        {
            "model": names["model"],
            "task": names["task"],
            "split": split,
            "pairs": measured["pairs"],
            "distinct": measured["distinct"],
            "chance": defined(measured.get("chance_clean", record.get("chance"))),
            "competent": record["competent"],
            "reason": record["reason"],
            "words": kept_words(record.get("words") or {}),
        }
        | {
            name + end: defined((measured.get(name) or {}).get(key))
            for name in MEASURES
            for end, key in (("", "value"), ("_lo", "lo"), ("_hi", "hi"))
        }
        for names, record in records
        for split, measured in record["splits"].items()
    ]


def kept_words(words: Mapping[str, Mapping[str, Any]]) -> str | None:
    """How many candidates of a starter task are one token in context, and why others are not."""
    said = []
    for name, counts in words.items():
        dropped = [f"{count} {reason}" for reason, count in sorted(counts["dropped"].items())]
        left_out = f" (dropped: {', '.join(dropped)})" if dropped else ""
        said.append(f"{name} {counts['kept']} of {counts['listed']}{left_out}")
    return "; ".join(said) or None


def prompt_rows(
    prompts: Iterable[tuple[Mapping[str, str], Mapping[str, list[Any]]]], examples: int
) -> list[Row]:
    """The first held-out pairs of each task.

    Prompts and answers are JSON literals: no spreadsheet takes such a field for a formula, and
    every character survives.
    """
    result: list[Row] = []
    for names, columns in prompts:
        heldout = [row for row in column_rows(columns) if row["split"] == "heldout"]
        result.extend(
            {
                "model": names["model"],
                "task": names["task"],
                "split": row["split"],
                "pair": row["pair"],
                "clean": literal(row["clean"]),
                "corrupted": literal(row["corrupted"]),
                "answers": row["answer_text"],
                "wrong": row["wrong_text"],
            }
            for row in heldout[:examples]
        )
    return result


def literal(text: str) -> str:
    """Text as a JSON string of ASCII characters."""
    return json.dumps(text)
