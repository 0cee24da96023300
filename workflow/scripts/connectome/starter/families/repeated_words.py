"""Induction: random words, twice; what followed a word follows it again (Olsson 2022)."""

import random

from connectome.language import Pair
from connectome.language.document import combination, pair_of
from connectome.starter import words as lists

METRIC = "logit_difference"
CASES = tuple(str(length) for length in range(5, 11))  # words before the repetition
START = "Words:"
SLOTS = {"words": lists.slot(START, lists.REPEATED, needed=12)}


def pair(rng: random.Random, case: str, words: dict[str, list[tuple[str, ...]]]) -> Pair | None:
    """The corrupted prompt has two words of the first round exchanged, the second of which the
    repetition asks for: A B C D E A B -> C becomes A B D C E A B -> D.

    What is held out are pairs of cue and word that follows.
    """
    length = int(case)
    first = [word for (word,) in rng.sample(words["words"], length)]
    asked = rng.randrange(2, length - 1)  # index of the answer
    other = rng.randrange(asked + 1, length)
    swapped = list(first)
    swapped[asked], swapped[other] = first[other], first[asked]
    repeated = first[:asked]
    return pair_of(
        clean=" ".join([START, *first, *repeated]),
        corrupted=" ".join([START, *swapped, *repeated]),
        answers=[f" {first[asked]}"],
        wrong=[f" {first[other]}"],
        template=f"repeated_words.{length}",
        keys=[
            combination("repeated_words", first[asked - 1], word)
            for word in (first[asked], first[other])
        ],
    )
