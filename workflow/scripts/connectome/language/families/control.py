"""Sentences that look like a task and are none: they stop shortcuts.

With three people either absent one may receive, after two subjects the pronoun is plural, and
after two nouns joined by `and` the verb is plural whatever their numbers.
"""

import itertools
import random

from connectome.language import lexicon
from connectome.language.agreement import PLURAL, VERB_WORDS, nouns_key, verbs
from connectome.language.document import Document, held_out, plain, vocabulary
from connectome.language.families.ioi import names_key

SHARES = {"curriculum": 0.05, "mixture": 0.05}
THREE = "When {a} and {b} went to the {place}, {c} gave a {thing} to {receiver}."
PAIR = "{a} and {b} went to the {place} because they were {mood}."
JOINED = "The {noun} and the {other}{verb} today."
WORDS = vocabulary(
    THREE,
    PAIR,
    JOINED,
    lexicon.NAMES,
    lexicon.PLACES,
    lexicon.THINGS,
    lexicon.MOODS,
    *lexicon.NOUNS,
    VERB_WORDS,
)


def _strangers(rng: random.Random, count: int) -> list[str]:
    """Names of which no two are a reserved pair."""
    while True:
        names = rng.sample(lexicon.NAMES, count)
        if not any(held_out(names_key(a, b)) for a, b in itertools.combinations(names, 2)):
            return names


def document(rng: random.Random) -> Document:
    kind = rng.choice(("three", "pair", "joined"))
    slots = {
        "place": rng.choice(lexicon.PLACES),
        "thing": rng.choice(lexicon.THINGS),
        "mood": rng.choice(lexicon.MOODS),
    }
    if kind == "three":
        a, b, c = _strangers(rng, 3)
        return plain("control", THREE.format(a=a, b=b, c=c, receiver=rng.choice((a, b)), **slots))
    if kind == "pair":
        a, b = _strangers(rng, 2)
        return plain("control", PAIR.format(a=a, b=b, **slots))
    while True:
        noun, other = rng.sample(lexicon.NOUNS, 2)
        if not held_out(nouns_key(noun[0], other[0])):
            break
    verb = rng.choice(verbs(PLURAL)[len(lexicon.COPULAS) :])
    text = JOINED.format(noun=rng.choice(noun), other=rng.choice(other), verb=verb)
    return plain("control", text)
