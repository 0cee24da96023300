"""Subject-verb agreement across an object relative clause (Marvin and Linzen 2018)."""

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
CASES = ("ss", "sp", "ps", "pp")  # number of the subject, number within the clause
TEMPLATES = ("The {noun} that the {other} {verb}", "Now the {noun} that the {other} {verb}")
WORDS = vocabulary(
    *TEMPLATES, *lexicon.NOUNS, *(form for pair in lexicon.TRANSITIVE for form in pair), VERB_WORDS
)


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has the subject in the other number; the clause stays."""
    number, inner = ("sp".index(letter) for letter in case)
    noun, other = rng.sample(lexicon.NOUNS, 2)
    template = rng.randrange(len(TEMPLATES))
    slots = {"other": other[inner], "verb": rng.choice(lexicon.TRANSITIVE)[inner]}
    return pair_of(
        clean=TEMPLATES[template].format(noun=noun[number], **slots),
        corrupted=TEMPLATES[template].format(noun=noun[1 - number], **slots),
        template=f"sva_rc.{template}",
        keys=[nouns_key(noun[0], other[0])],
        **answer_sets(number),
    )


def document(rng: random.Random) -> Document:
    return sentence("sva_rc", training_pair(pair, rng, CASES), rng)
