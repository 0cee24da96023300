"""Several models, or one model while it learns: what of their ROIs and circuits is the same."""

from collections.abc import Mapping, Sequence
from typing import Any

RANK = 55
TITLE = "Models compared"
TABLES = ("comparison", "growth", "matching", "matched_rois", "overlap")
QUANTITIES = ("rois", "effective_rois", "grouped", "saved", "modularity", "circuit")


def _compared(plan: Mapping[str, Any]) -> bool:
    return len(plan.get("compared", ())) > 1


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads; none where nothing is compared."""
    if not _compared(plan):
        return []
    drawn = f"figures/comparison.{plan['native']}.svg"
    return [*(f"tables/{name}.csv" for name in TABLES), drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per dictionary the claims about pairs of models, and how each quantity grew."""
    if not _compared(plan):
        return {"compared": False}
    tables = {name: results.table(name) for name in TABLES}
    growth = tables["growth"]
    able = growth.where(quantity="tasks_competent")
    names = [row["model"] for row in able]
    found = [
        {
            "dictionary": dictionary,
            "claims": _claims(tables["comparison"].where(dictionary=dictionary), names),
            "growth": _ends(growth.where(dictionary=dictionary, of="all"), names),
            "figure": f"comparison.{dictionary}",
        }
        for dictionary in [plan["native"]]
    ]
    return {
        "compared": True,
        "found": found,
        "able": able,
        "one_run": len({row["origin"] for row in able}) == 1,
        "steps": growth.where(quantity="accuracy"),
        "tables": tables,
        "missing_tables": [name for name in TABLES if results.table(name).missing],
    }


def _claims(rows: Sequence[Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows about neighbours, and about the first and the last model, by measure and partition."""
    ends = (names[0], names[-1]) if names else ("", "")
    sizes = [row["share"] for row in rows if row["share"]] or [""]
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        shown = row["partition"] != "modules" and (row["of"], row["share"]) == ("edges", sizes[0])
        if row["measure"] == "circuits" and not shown:
            continue
        if row["next"] == "true" or (row["left"], row["right"]) == ends:
            groups.setdefault((row["measure"], row["partition"]), []).append(row)
    claims: list[dict[str, Any]] = [
        {
            "measure": measure,
            "partition": partition,
            "rows": of_claim,
            "verdict": _verdict(of_claim),
        }
        for (measure, partition), of_claim in groups.items()
    ]
    for claim in claims:  # neighbours first, then the two ends
        claim["rows"].sort(key=lambda row: row["next"] != "true")
    order = ("features", "profiles", "circuits")
    return sorted(claims, key=lambda claim: order.index(str(claim["measure"])))


def _verdict(rows: Sequence[Any]) -> str:
    """ "holds" where every test of every pair is beyond chance."""
    tests, above = (sum(int(row[name] or 0) for row in rows) for name in ("tests", "above"))
    if not tests:
        return "untested"
    return "holds" if above == tests else ("partly" if above else "fails")


def _ends(rows: Sequence[Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """First and last model of each quantity and partition, where both have a value."""
    found = []
    for quantity in QUANTITIES:
        for partition in dict.fromkeys(row["partition"] for row in rows):
            of_both = [
                row
                for name in (names[0], names[-1])
                for row in rows
                if (row["quantity"], row["partition"], row["model"]) == (quantity, partition, name)
                and row["value"]
            ]
            if len(of_both) == 2:
                first, last = of_both
                grew = float(last["value"]) - float(first["value"])
                found.append(
                    {"quantity": quantity, "partition": partition, "first": first, "last": last}
                    | {"grew": (grew > 0) - (grew < 0)}
                )
    return found
