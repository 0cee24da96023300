"""Stamps: the `cfg` and `code` stored in each result, and what differs between two of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectome import arrays, tables

_READERS = {".parquet": tables.read_meta, ".npz": arrays.read_meta, ".json": arrays.read_json}


def stamp_of(path: Path) -> dict[str, str] | None:
    """The record {"cfg", "code"} of what made a result; None for a file that carries none.

    Raises DataError for a damaged file.
    """
    reader = _READERS.get(path.suffix)
    return None if reader is None else reader(path).get("made_by")


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """In words, what changed between two stamps: keys of `cfg` with both values, modules of `code`.

    Empty where nothing did.
    """
    found = [
        _of_key(key, before, after)
        for key, before, after in _changes(json.loads(old["cfg"]), json.loads(new["cfg"]))
    ]
    verbs = {(True, True): "changed", (False, True): "is new", (True, False): "is gone"}
    before, after = _modules(old["code"]), _modules(new["code"])
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            found.append(f"{name} {verbs[name in before, name in after]}")
    return found


def _modules(code: str) -> dict[str, str]:
    return json.loads(code) if code else {}


_ABSENT = object()


def _of_key(key: str, before: Any, after: Any) -> str:
    if before is _ABSENT:
        return f"{key} is new ({_short(after)})"
    if after is _ABSENT:
        return f"{key} is gone (was {_short(before)})"
    return f"{key} was {_short(before)}, is {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _changes(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Leaves of two JSON values that differ, by dotted key."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            below = f"{key}.{name}" if key else name
            yield from _changes(old.get(name, _ABSENT), new.get(name, _ABSENT), below)
    elif old != new:
        yield key or "the configuration", old, new
