"""Generators of prompt pairs by name: the micro-language, starter tasks, built models."""

from connectome import known, language, starter
from connectome.language import Pair


def names() -> list[str]:
    """All generators, those of built models last."""
    return [*language.task_names(), *starter.names(), *map(known.generator, known.names())]


def metric(name: str) -> str:
    """How the answers of a generator are compared. Raises ConfigError for an unknown name."""
    family = known.family(name) or starter.family(name)
    return language.metric(name) if family is None else str(family.METRIC)


def pairs(name: str, seed: int, discovery: int, heldout: int) -> list[Pair]:
    """Distinct prompt pairs, discovery first (see `language.pairs`), of any but a starter task.

    Raises ConfigError for an unknown name.
    """
    family = known.family(name)
    if family is None:
        return language.pairs(name, seed, discovery, heldout)
    return language.draw(family, name, seed, discovery, heldout)


def draw(name: str, seed: int, discovery: int, heldout: int, fit: starter.Fit) -> starter.Drawn:
    """Pairs of any generator, and what became of its candidates (nothing to tell of most).

    A starter task is drawn from the words that fit a tokenizer, and may be refused.
    """
    if starter.family(name) is not None:
        return starter.draw(name, seed, discovery, heldout, fit)
    return starter.Drawn(pairs(name, seed, discovery, heldout), {"status": "ok", "reason": None})
