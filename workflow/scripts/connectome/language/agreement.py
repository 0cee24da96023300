"""What the three agreement families share: noun numbers, verbs, and what may follow a verb."""

import random

from connectome.language import lexicon
from connectome.language.document import Document, Pair, answered, combination, vocabulary

SINGULAR, PLURAL = 0, 1
VERB_WORDS = vocabulary(
    *(form for pair in lexicon.VERBS for form in pair),
    lexicon.MOODS,
    lexicon.MANNERS,
    ".",
)


def nouns_key(noun: str, other: str) -> str:
    """Combination of two nouns (singular forms) in one sentence, whatever their order."""
    return combination("nouns", *sorted((noun, other)))


def verbs(number: int) -> list[str]:
    """All main verbs of a number, as tokens."""
    return [f" {pair[number]}" for pair in lexicon.VERBS]


def answer_sets(number: int) -> dict[str, list[str]]:
    """Right and wrong verbs after a subject of this number."""
    return {"answers": verbs(number), "wrong": verbs(1 - number)}


def sentence(family: str, pair: Pair, rng: random.Random) -> Document:
    """The clean prompt, one of its verbs and a complement that fits the verb."""
    verb = rng.choice(pair["answers"])
    copula = any(verb[1:] in forms for forms in lexicon.COPULAS)
    complement = rng.choice(lexicon.MOODS if copula else lexicon.MANNERS)
    return answered(family, pair["clean"], verb, f" {complement}.")
