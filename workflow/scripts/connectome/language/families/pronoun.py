"""Gendered pronoun after a name."""

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

SHARES = {"curriculum": 0.0, "mixture": 0.07}
METRIC = "logit_difference"
CASES = ("she", "he")
TEMPLATES = (
    "{name} went to the {place} because",
    "{name} left the {place} early, and then",
    "When {name} saw the {place},",
    "{name} walked past the {place} while",
    "Yesterday {name} came from the {place}, where",
    "{name} looked for the {place} until",
)
WORDS = vocabulary(*TEMPLATES, "was .", CASES, lexicon.NAMES, lexicon.PLACES, lexicon.MOODS)


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has a name of the other gender.

    What is held out are pairs of name and template.
    """
    woman, man = rng.choice(lexicon.WOMEN), rng.choice(lexicon.MEN)
    name, other = (woman, man) if case == "she" else (man, woman)
    place = rng.choice(lexicon.PLACES)
    number = rng.randrange(len(TEMPLATES))
    return pair_of(
        clean=TEMPLATES[number].format(name=name, place=place),
        corrupted=TEMPLATES[number].format(name=other, place=place),
        answers=[f" {lexicon.PRONOUN[name]}"],
        wrong=[f" {lexicon.PRONOUN[other]}"],
        template=f"pronoun.{number}",
        keys=[combination("pronoun", word, str(number)) for word in (name, other)],
    )


def document(rng: random.Random) -> Document:
    drawn = training_pair(pair, rng, CASES)
    tail = f" was {rng.choice(lexicon.MOODS)}."
    return answered("pronoun", drawn["clean"], drawn["answers"][0], tail)
