"""Indirect object: two names, one repeats, the other is the answer (Wang et al. 2022)."""

import random

from connectome.language import Pair
from connectome.language.document import combination, pair_of
from connectome.starter import words as lists

METRIC = "logit_difference"
CASES = ("first", "second")  # which of the two names is the answer: halves, else order decides
SLOTS = {"names": lists.slot("When", lists.NAMES, needed=5)}
TEMPLATES = (
    "When {a} and {b} went to the {place}, {s} gave a {thing} to",
    "After {a} and {b} met at the {place}, {s} showed a {thing} to",
    "While {a} and {b} were at the {place}, {s} handed a {thing} to",
    "Then {a} and {b} had a long talk at the {place}, and {s} sent a {thing} to",
    "One day {a} and {b} sat near the {place}. Later {s} passed a {thing} to",
    "At the {place} {a} met {b}, and soon {s} offered a {thing} to",
)


def pair(rng: random.Random, case: str, words: dict[str, list[tuple[str, ...]]]) -> Pair | None:
    """The corrupted prompt repeats the other name. What is held out are pairs of names."""
    (a,), (b,) = rng.sample(words["names"], 2)
    recipient, giver = (a, b) if case == "first" else (b, a)
    number = rng.randrange(len(TEMPLATES))
    slots = {"a": a, "b": b, "place": rng.choice(lists.PLACES), "thing": rng.choice(lists.THINGS)}
    return pair_of(
        clean=TEMPLATES[number].format(s=giver, **slots),
        corrupted=TEMPLATES[number].format(s=recipient, **slots),
        answers=[f" {recipient}"],
        wrong=[f" {giver}"],
        template=f"indirect_object.{number}",
        keys=[combination("indirect_object", *sorted((a, b)))],
    )
