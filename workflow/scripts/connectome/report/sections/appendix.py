"""Tables: every file behind the page, and how to read it."""

from collections.abc import Mapping
from typing import Any

RANK = 90
TITLE = "Tables and reading guide"


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Nothing of its own: it lists what the other sections read."""
    return []


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """All tables of the page."""
    return {"tables": list(results.tables())}
