"""Sentiment of a short review: how the writer felt."""

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

SHARES = {"curriculum": 0.0, "mixture": 0.08}
METRIC = "logit_difference"
CASES = ("positive", "negative")
TEMPLATES = (
    "The {show} was {opinion}. I felt",
    "What a {opinion} {show} that was! It made me",
    "I thought the {show} was very {opinion}, so I was",
    "They gave us a {opinion} {show}. We were",
)
WORDS = vocabulary(
    *TEMPLATES, ".", *lexicon.OPINIONS.values(), *lexicon.FEELINGS.values(), lexicon.SHOWS
)


def opinion_key(opinion: str, show: str) -> str:
    """Combination of an opinion and what it is about."""
    return combination("sentiment", opinion, show)


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has an opinion of the other kind."""
    opposite = CASES[1 - CASES.index(case)]
    show = rng.choice(lexicon.SHOWS)
    own, other = (rng.choice(lexicon.OPINIONS[kind]) for kind in (case, opposite))
    number = rng.randrange(len(TEMPLATES))
    return pair_of(
        clean=TEMPLATES[number].format(opinion=own, show=show),
        corrupted=TEMPLATES[number].format(opinion=other, show=show),
        answers=[f" {word}" for word in lexicon.FEELINGS[case]],
        wrong=[f" {word}" for word in lexicon.FEELINGS[opposite]],
        template=f"sentiment.{number}",
        keys=[opinion_key(opinion, show) for opinion in (own, other)],
    )


def document(rng: random.Random) -> Document:
    drawn = training_pair(pair, rng, CASES)
    return answered("sentiment", drawn["clean"], rng.choice(drawn["answers"]), ".")
