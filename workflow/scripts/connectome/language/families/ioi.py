"""Indirect object: two names, one repeats, the other is the answer (Wang et al. 2022)."""

import random

from connectome.language import lexicon
from connectome.language.document import (
    Document,
    Pair,
    answered,
    combination,
    pair_of,
    training_pair,
    vocabulary,
)

SHARES = {"curriculum": 0.5, "mixture": 0.14}
METRIC = "logit_difference"
CASES = ("first", "second")  # which of the two names is the answer: halves, else order decides
TEMPLATES = (
    "When {a} and {b} went to the {place}, {s} gave a {thing} to",
    "After {a} and {b} met at the {place}, {s} showed a {thing} to",
    "While {a} and {b} were at the {place}, {s} handed a {thing} to",
    "Then {a} and {b} had a talk at the {place}, and {s} sent a {thing} to",
    "{a} and {b} sat near the {place}. Later {s} passed a {thing} to",
    "At the {place} {a} met {b}, and soon {s} offered a {thing} to",
)
WORDS = vocabulary(*TEMPLATES, ".", lexicon.NAMES, lexicon.PLACES, lexicon.THINGS)


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt repeats the other name."""
    a, b = rng.sample(lexicon.NAMES, 2)
    recipient, giver = (a, b) if case == "first" else (b, a)
    number = rng.randrange(len(TEMPLATES))
    slots = {"a": a, "b": b, "place": rng.choice(lexicon.PLACES)}
    slots["thing"] = rng.choice(lexicon.THINGS)
    return pair_of(
        clean=TEMPLATES[number].format(s=giver, **slots),
        corrupted=TEMPLATES[number].format(s=recipient, **slots),
        answers=[f" {recipient}"],
        wrong=[f" {giver}"],
        template=f"ioi.{number}",
        keys=[names_key(a, b)],
    )


def names_key(a: str, b: str) -> str:
    """Combination of two names that meet in a sentence, whatever their order."""
    return combination("ioi", *sorted((a, b)))


def document(rng: random.Random) -> Document:
    drawn = training_pair(pair, rng, CASES)
    return answered("ioi", drawn["clean"], drawn["answers"][0], ".")
