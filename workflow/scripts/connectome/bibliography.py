"""The catalogue of methods and the works they cite: TOML by kind and name, BibTeX by key."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectome.errors import DataError

_ENTRY = re.compile(r"@\w+\{([\w:.-]+),")
_CITED = re.compile(r"\[(@[\w:.-]+(?:; @[\w:.-]+)*)\]")


@dataclass(frozen=True)
class Catalogue:
    """Methods by kind and name, each {"words", and "cite" or "own"}; BibTeX entries by key."""

    methods: Mapping[str, Mapping[str, Mapping[str, Any]]]
    works: Mapping[str, str]

    def words(self, kind: str, name: str) -> str:
        """What a method is called. Raises DataError for one that has no entry."""
        return str(self._entry(kind, name)["words"])

    def said(self, kind: str, name: str) -> str:
        """The same with its citations behind it, as Pandoc reads them: `[@key; @key]`."""
        entry = self._entry(kind, name)
        keys = "; ".join(f"@{key}" for key in entry.get("cite", ()))
        return f"{entry['words']} [{keys}]" if keys else str(entry["words"])

    def _entry(self, kind: str, name: str) -> Mapping[str, Any]:
        try:
            return self.methods[kind][name]
        except KeyError:
            raise DataError(
                f"methods.toml has no {name!r} under {kind!r}: add its words, and what it cites"
            ) from None


def read(folder: Path) -> Catalogue:
    """The catalogue of a folder with methods.toml and references.bib."""
    methods = tomllib.loads((folder / "methods.toml").read_text(encoding="utf-8"))
    return Catalogue(methods, entries((folder / "references.bib").read_text(encoding="utf-8")))


def entries(bibtex: str) -> dict[str, str]:
    """{key: its entry} of a BibTeX text whose entries begin at the start of a line."""
    parts = [part.strip() for part in re.split(r"^(?=@)", bibtex, flags=re.M)[1:]]
    found = {}
    for part in parts:
        match = _ENTRY.match(part)
        if match is None:
            raise DataError(f"not a BibTeX entry: {part[:60]}")
        found[match[1]] = part
    return found


def cited(markdown: str) -> list[str]:
    """Keys that a text cites, each once, by name."""
    groups = _CITED.findall(markdown)
    return sorted({key.lstrip("@ ") for group in groups for key in group.split(";")})


def bibtex(keys: Iterable[str], works: Mapping[str, str]) -> str:
    """The entries of these keys. Raises DataError for a key without one."""
    wanted = list(keys)
    missing = [key for key in wanted if key not in works]
    if missing:
        raise DataError(f"references.bib has no entry {', '.join(missing)}")
    return "\n\n".join(works[key] for key in wanted) + "\n"
