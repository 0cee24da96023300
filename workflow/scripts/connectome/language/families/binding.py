"""Which of two colours belongs to the thing that is asked about."""

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

SHARES = {"curriculum": 0.0, "mixture": 0.05}
METRIC = "logit_difference"
CASES = ("first", "second")  # which of the two things is asked about
TEMPLATES = (
    "The {a} is {first} and the {b} is {second}. The {asked} is",
    "There was a {first} {a} beside a {second} {b}. The {asked} was",
)
WORDS = vocabulary(*TEMPLATES, ".", lexicon.THINGS, lexicon.COLORS)


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has the two colours exchanged."""
    a, b = rng.sample(lexicon.THINGS, 2)
    colors = rng.sample(lexicon.COLORS, 2)
    number = rng.randrange(len(TEMPLATES))
    slots = {"a": a, "b": b, "asked": a if case == "first" else b}
    own, other = colors if case == "first" else colors[::-1]
    return pair_of(
        clean=TEMPLATES[number].format(first=colors[0], second=colors[1], **slots),
        corrupted=TEMPLATES[number].format(first=colors[1], second=colors[0], **slots),
        answers=[f" {own}"],
        wrong=[f" {other}"],
        template=f"binding.{number}",
        keys=[combination("binding", *sorted((a, b)))],
    )


def document(rng: random.Random) -> Document:
    drawn = training_pair(pair, rng, CASES)
    return answered("binding", drawn["clean"], drawn["answers"][0], ".")
