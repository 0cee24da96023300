"""Recall of the capital and the language of a country, across templates."""

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

SHARES = {"curriculum": 0.0, "mixture": 0.1}
METRIC = "logit_difference"
CASES = ("capital", "language")
TEMPLATES = {
    "capital": (
        "The capital of {country} is",
        "The government of {country} sits in",
        "{country} has its capital in",
        "A flight to the capital of {country} lands in",
        "The biggest city of {country} is called",
        "People who rule {country} live in",
    ),
    "language": (
        "The language of {country} is",
        "People in {country} speak",
        "{country} has a language named",
        "The schools of {country} teach in",
        "A letter from {country} comes in",
        "Songs from {country} are in",
    ),
}
WORDS = vocabulary(*TEMPLATES["capital"], *TEMPLATES["language"], *lexicon.COUNTRIES, ".")


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt asks the same of another country.

    What is held out are pairs of country and template: recall has to carry over from the others.
    """
    own, other = rng.sample(lexicon.COUNTRIES, 2)
    number = rng.randrange(len(TEMPLATES[case]))
    name = f"{case}.{number}"
    column = 1 + CASES.index(case)
    return pair_of(
        clean=TEMPLATES[case][number].format(country=own[0]),
        corrupted=TEMPLATES[case][number].format(country=other[0]),
        answers=[f" {own[column]}"],
        wrong=[f" {other[column]}"],
        template=f"facts.{name}",
        keys=[combination("facts", country[0], name) for country in (own, other)],
    )


def document(rng: random.Random) -> Document:
    drawn = training_pair(pair, rng, CASES)
    return answered("facts", drawn["clean"], drawn["answers"][0], ".")
