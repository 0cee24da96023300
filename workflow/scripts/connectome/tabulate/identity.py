"""What the path of a result says: model, dictionary, task, site and kind."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from connectome.errors import DataError

Row = dict[str, Any]


def fields(path: Path, template: str) -> dict[str, str]:
    """Names in a path, read by a template such as `{model}/tasks/{task}.competence.json`.

    Only `{site}` and `{run}` may hold dots. Raises DataError for a path that the template does not
    fit.
    """
    pattern = re.sub(r"\\\{(site|run)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/.]+)", pattern)
    found = re.search(f"(?:^|/){pattern}$", Path(path).as_posix())
    if found is None:
        raise DataError(f"{path}: not a path of the form {template}")
    return found.groupdict()


def defined(value: Any) -> Any:
    """The value, or None for NaN and infinity: a table says "not defined", never NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def column_rows(columns: Mapping[str, list[Any]]) -> Iterator[Row]:
    """Rows of a table held by columns, undefined numbers as None."""
    names = list(columns)
    for values in zip(*columns.values(), strict=True):
        yield {name: defined(value) for name, value in zip(names, values, strict=True)}


def share(part: float, whole: float) -> float | None:
    """part / whole, None where the whole is 0."""
    return part / whole if whole else None


def median(values: Iterable[float]) -> float | None:
    """Median, None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
