"""Stories of a few sentences about one child."""

import random

from connectome.language import lexicon
from connectome.language.document import Document, plain, vocabulary

SHARES = {"curriculum": 0.0, "mixture": 0.04}
OPENING = "Once upon a time, there was a little {kind} named {name}."
MIDDLES = (
    "{Pronoun} had a {color} {thing}.",
    "{Pronoun} liked to play in the {place}.",
    "One day {pronoun} found a broken {common} in the {place}.",
    "{Pronoun} saw a big {common} and a small {second}.",
    "Then {pronoun} lost {possessive} {thing}.",
)
ENDINGS = (
    "At last {pronoun} went home and slept.",
    "In the end {pronoun} was {mood}.",
    "{Pronoun} put the {common} on the table and smiled.",
)
WORDS = vocabulary(
    OPENING,
    *MIDDLES,
    *ENDINGS,
    "she he She He her his girl boy",
    lexicon.NAMES,
    lexicon.COLORS,
    lexicon.THINGS,
    lexicon.PLACES,
    lexicon.COMMON,
    lexicon.MOODS,
)


def document(rng: random.Random) -> Document:
    kind = rng.choice(("girl", "boy"))
    pronoun, possessive = ("she", "her") if kind == "girl" else ("he", "his")
    common, second = rng.sample(lexicon.COMMON, 2)
    slots = {
        "kind": kind,
        "name": rng.choice(lexicon.WOMEN if kind == "girl" else lexicon.MEN),
        "pronoun": pronoun,
        "Pronoun": pronoun.capitalize(),
        "possessive": possessive,
        "color": rng.choice(lexicon.COLORS),
        "thing": rng.choice(lexicon.THINGS),
        "place": rng.choice(lexicon.PLACES),
        "common": common,
        "second": second,
        "mood": rng.choice(lexicon.MOODS),
    }
    sentences = (OPENING, *rng.sample(MIDDLES, 2), rng.choice(ENDINGS))
    return plain("story", " ".join(sentences).format(**slots))
