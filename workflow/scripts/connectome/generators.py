"""Generators of prompt pairs by name: tasks of the micro-language, and those of built models."""

from connectome import known, language
from connectome.language import Pair


def names() -> list[str]:
    """All generators, those of built models last."""
    return [*language.task_names(), *map(known.generator, known.names())]


def metric(name: str) -> str:
    """How the answers of a generator are compared. Raises ConfigError for an unknown name."""
    family = known.family(name)
    return language.metric(name) if family is None else str(family.METRIC)


def pairs(name: str, seed: int, discovery: int, heldout: int) -> list[Pair]:
    """Distinct prompt pairs, discovery first (see `language.pairs`).

    Raises ConfigError for an unknown name.
    """
    family = known.family(name)
    if family is None:
        return language.pairs(name, seed, discovery, heldout)
    return language.draw(family, name, seed, discovery, heldout)
