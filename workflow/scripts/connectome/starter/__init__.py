"""Starter tasks: prompt pairs for any tokenizer, drawn from the words that it can write.

Families are modules of `families`, found by name; the generator of one is `starter_NAME`. A word
stays only where it is one token in its context, a pair only where both prompts have equally many
tokens; what is dropped is counted by reason, and a task of too few words or pairs is refused.
Standard library alone: what a tokenizer says comes in as two functions.
"""

import collections
import importlib
import pkgutil
import random
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from connectome import language
from connectome.errors import ConfigError
from connectome.language import Pair
from connectome.starter import families
from connectome.starter.words import Slot

_PREFIX = "starter_"
FEWEST = 10  # pairs of each split below which a task is refused (or as many as are asked for)

Words = Mapping[str, list[tuple[str, ...]]]


class Fit(NamedTuple):
    """What a tokenizer says: None, or in a few words why something cannot be used."""

    word: Callable[[str, str], str | None]  # (prompt, word with what glues it) -> fault
    pair: Callable[[Pair], str | None]


class Drawn(NamedTuple):
    """Pairs, and what became of the candidates: `status`, `reason`, `words`, `pairs`."""

    pairs: list[Pair]
    about: dict[str, Any]


@cache
def _families() -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    return {name: importlib.import_module(f"{families.__name__}.{name}") for name in names}


def names() -> list[str]:
    """Generators of starter tasks."""
    return [_PREFIX + name for name in _families()]


def tasks() -> dict[str, dict[str, str]]:
    """The `tasks` section of a configuration that has none: every family under its own name."""
    return {name: {"generator": _PREFIX + name} for name in _families()}


def family(generator: str) -> ModuleType | None:
    """The family behind a generator; None where it is no starter task."""
    if not generator.startswith(_PREFIX):
        return None
    return _families().get(generator.removeprefix(_PREFIX))


def draw(generator: str, seed: int, discovery: int, heldout: int, fit: Fit) -> Drawn:
    """Distinct pairs, discovery first, of the words that fit (see `language.pairs`).

    Raises ConfigError where the generator is no starter task.
    """
    found = family(generator)
    if found is None:
        raise ConfigError(f"{generator!r} is no starter task; known: {', '.join(names())}")
    kept, counts, lacking = {}, {}, []
    for name, slot in found.SLOTS.items():
        kept[name], counts[name] = _sift(slot, fit)
        if len(kept[name]) < slot.needed:
            lacking.append(_said(name, counts[name], slot.needed))
    about: dict[str, Any] = {"status": "ok", "reason": None, "words": counts, "pairs": {}}
    if lacking:
        return Drawn([], about | {"status": "refused", "reason": "; ".join(lacking)})
    pairs: list[Pair] = []
    dropped: collections.Counter[str] = collections.Counter()
    for split, counts_of in (("discovery", (discovery, 0)), ("heldout", (0, heldout))):
        source: Any = _Source(found, kept, fit, split, dropped)  # all that `draw` asks of a family
        drawn = language.draw(source, generator, seed, *counts_of)
        if len(drawn) < min(sum(counts_of), FEWEST):
            reason = f"only {len(drawn)} {split} pairs can be made of the words that are one token"
            if dropped:
                reason += f" (dropped: {_reasons(dropped)})"
            return Drawn([], about | {"status": "refused", "reason": reason})
        pairs += drawn
    return Drawn(pairs, about | {"pairs": {"kept": len(pairs), "dropped": dict(dropped)}})


class _Source:
    """A family bound to the words that are there; counts the pairs of a split that do not fit."""

    def __init__(
        self,
        found: ModuleType,
        words: Words,
        fit: Fit,
        split: str,
        dropped: collections.Counter[str],
    ) -> None:
        self.CASES = found.CASES
        self._family, self._words, self._fit = found, words, fit
        self._split, self._dropped = split, dropped

    def pair(self, rng: random.Random, case: str) -> Pair | None:
        pair: Pair | None = self._family.pair(rng, case, self._words)
        if pair is None or pair["split"] != self._split:
            return None
        fault = self._fit.pair(pair)
        if fault is None:
            return pair
        self._dropped[fault] += 1
        return None


def _sift(slot: Slot, fit: Fit) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
    """Entries of a slot whose every trial fits, and how many were dropped for which reason."""
    kept = []
    dropped: collections.Counter[str] = collections.Counter()
    for entry in slot.entries:
        faults = (fit.word(prompt, word) for prompt, word in entry.trials)
        fault = next((fault for fault in faults if fault is not None), None)
        if fault is None:
            kept.append(entry.forms)
        else:
            dropped[fault] += 1
    listed = len(slot.entries)
    return kept, {"listed": listed, "kept": len(kept), "dropped": dict(dropped)}


def _said(name: str, counts: Mapping[str, Any], needed: int) -> str:
    return (
        f"{name}: {counts['kept']} of {counts['listed']} are one token in context "
        f"(dropped: {_reasons(counts['dropped'])}); the task needs {needed}"
    )


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
