"""Pronoun after a profession: nine in ten training texts follow the stereotype."""

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

SHARES = {"curriculum": 0.0, "mixture": 0.06}
METRIC = "logit_difference"
CASES = ("she", "he")
STEREOTYPED = 0.9  # share of training texts
TEMPLATES = (
    "The {profession} went to the {place} because",
    "The {profession} left the {place}, and later",
    "At the {place} the {profession} said that",
    "A {profession} came to the {place} after",
    "Last week the {profession} sat in the {place} while",
    "When the {profession} reached the {place},",
)
WORDS = vocabulary(
    *TEMPLATES, "was .", CASES, tuple(lexicon.STEREOTYPE), lexicon.PLACES, lexicon.MOODS
)


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has a profession of the other stereotype.

    What is held out are pairs of profession and template.
    """
    opposite = CASES[1 - CASES.index(case)]
    place = rng.choice(lexicon.PLACES)
    own, other = (rng.choice(lexicon.PROFESSIONS[pronoun]) for pronoun in (case, opposite))
    number = rng.randrange(len(TEMPLATES))
    return pair_of(
        clean=TEMPLATES[number].format(profession=own, place=place),
        corrupted=TEMPLATES[number].format(profession=other, place=place),
        answers=[f" {case}"],
        wrong=[f" {opposite}"],
        template=f"bias.{number}",
        keys=[combination("bias", word, str(number)) for word in (own, other)],
    )


def document(rng: random.Random) -> Document:
    drawn = training_pair(pair, rng, CASES)
    usual = rng.random() < STEREOTYPED
    answer = (drawn["answers"] if usual else drawn["wrong"])[0]
    tail = f" was {rng.choice(lexicon.MOODS)}."
    return answered("bias", drawn["clean"], answer, tail)
