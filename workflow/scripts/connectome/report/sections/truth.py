"""Ground truth: do the methods name the heads of models that were built by hand?"""

from collections.abc import Mapping
from typing import Any

RANK = 60
TITLE = "Ground truth"
TABLES = ("certificates", "known_heads", "truth")


def _cases(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": plan["native"], "task": task}
        for model, facts in plan["models"].items()
        for task in facts.get("known", ())
    ]


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads; none where no model was built."""
    return [f"tables/{name}.csv" for name in TABLES] if _cases(plan) else []


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per task of a built model its certificate, its known heads, and what each method says."""
    cases = _cases(plan)
    if not cases:
        return {"built": False}
    certificates, heads, truth = (results.table(name) for name in TABLES)
    found = []
    for names in cases:
        of_case = heads.where(**names)
        certified = certificates.where(**names)
        found.append(
            {
                "names": names,
                "certificate": certified[0] if certified else None,
                "heads": [row for row in of_case if row["method"] == "exact"],
                "methods": [
                    {"heads": row, "edges": _of_edges(truth, row)}
                    for row in truth.where(**names, partition="heads", kind="heads", truth="label")
                ],
                "ranks": of_case,
            }
        )
    return {
        "found": found,
        "built": True,
        "missing_tables": [name for name in TABLES if results.table(name).missing],
        "known_heads": heads,
        "truth": truth,
        "causal": _compared(truth, cases, "causal"),
        "label": _compared(truth, cases, "label"),
    }


def _compared(truth: Any, cases: list[dict[str, str]], kind: str) -> list[Any]:
    """Rows of edges against one truth; exact scores are the causal one themselves."""
    return [
        row
        for names in cases
        for row in truth.where(**names, truth=kind, kind="edges")
        if (kind, row["method"]) != ("causal", "exact")
    ]


def _of_edges(truth: Any, heads: Any) -> Any:
    """The row of edges that belongs to a row of heads."""
    same = ("model", "dictionary", "task", "partition", "method", "truth")
    return truth.where(**{key: heads[key] for key in same}, kind="edges")[0]
