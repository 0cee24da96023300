"""Subject-verb agreement across a prepositional phrase (Linzen et al. 2016)."""

import random

from connectome.language import lexicon
from connectome.language.agreement import VERB_WORDS, answer_sets, nouns_key, sentence
from connectome.language.document import (
    Document,
    Pair,
    pair_of,
    training_pair,
    vocabulary,
)

SHARES = {"curriculum": 0.0, "mixture": 0.09}
METRIC = "logit_difference"
CASES = ("ss", "sp", "ps", "pp")  # number of the subject, number of the attractor
TEMPLATES = (
    "The {noun} {preposition} the {attractor}",
    "Now the {noun} {preposition} the {attractor}",
)
WORDS = vocabulary(*TEMPLATES, lexicon.PREPOSITIONS, *lexicon.NOUNS, VERB_WORDS)


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has the subject in the other number; the attractor stays."""
    number, attractor_number = ("sp".index(letter) for letter in case)
    noun, attractor = rng.sample(lexicon.NOUNS, 2)
    template = rng.randrange(len(TEMPLATES))
    slots = {"attractor": attractor[attractor_number]}
    slots["preposition"] = rng.choice(lexicon.PREPOSITIONS)
    return pair_of(
        clean=TEMPLATES[template].format(noun=noun[number], **slots),
        corrupted=TEMPLATES[template].format(noun=noun[1 - number], **slots),
        template=f"sva_pp.{template}",
        keys=[nouns_key(noun[0], attractor[0])],
        **answer_sets(number),
    )


def document(rng: random.Random) -> Document:
    return sentence("sva_pp", training_pair(pair, rng, CASES), rng)
