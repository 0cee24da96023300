"""Subject-verb agreement without anything in between."""

import random

from connectome.language import lexicon
from connectome.language.agreement import VERB_WORDS, answer_sets, sentence
from connectome.language.document import (
    Document,
    Pair,
    combination,
    pair_of,
    training_pair,
    vocabulary,
)

SHARES = {"curriculum": 0.0, "mixture": 0.05}
METRIC = "logit_difference"
CASES = ("singular", "plural")
TEMPLATES = ("The {trait} {noun}", "Here the {trait} {noun}", "Every morning the {trait} {noun}")
WORDS = vocabulary(*TEMPLATES, lexicon.TRAITS, *lexicon.NOUNS, VERB_WORDS)


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has the subject in the other number."""
    number = CASES.index(case)
    noun, trait = rng.choice(lexicon.NOUNS), rng.choice(lexicon.TRAITS)
    template = rng.randrange(len(TEMPLATES))
    return pair_of(
        clean=TEMPLATES[template].format(trait=trait, noun=noun[number]),
        corrupted=TEMPLATES[template].format(trait=trait, noun=noun[1 - number]),
        template=f"sva_simple.{template}",
        keys=[combination("sva_simple", trait, noun[0])],
        **answer_sets(number),
    )


def document(rng: random.Random) -> Document:
    return sentence("sva_simple", training_pair(pair, rng, CASES), rng)
