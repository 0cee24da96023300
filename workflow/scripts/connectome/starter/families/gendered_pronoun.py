"""The pronoun that fits a given name."""

import random

from connectome.language import Pair
from connectome.language.document import combination, pair_of
from connectome.starter import words as lists

METRIC = "logit_difference"
CASES = ("she", "he")
SLOTS = {
    "women": lists.slot("When", lists.WOMEN, needed=1),
    "men": lists.slot("When", lists.MEN, needed=1),
    "pronouns": lists.slot("It was late, and", [("she", "he")], needed=1),
}
TEMPLATES = (
    "Yesterday {name} went to the {place} because",
    "Then {name} left the {place} early, and",
    "When {name} saw the {place},",
    "One day {name} walked past the {place} while",
    "Yesterday {name} came from the {place}, where",
    "Last night {name} looked for the {place} until",
)


def pair(rng: random.Random, case: str, words: dict[str, list[tuple[str, ...]]]) -> Pair | None:
    """The corrupted prompt has a name of the other gender.

    What is held out are pairs of name and place.
    """
    (woman,), (man,) = rng.choice(words["women"]), rng.choice(words["men"])
    name, other = (woman, man) if case == "she" else (man, woman)
    place = rng.choice(lists.PLACES)
    number = rng.randrange(len(TEMPLATES))
    return pair_of(
        clean=TEMPLATES[number].format(name=name, place=place),
        corrupted=TEMPLATES[number].format(name=other, place=place),
        answers=[f" {case}"],
        wrong=[" he" if case == "she" else " she"],
        template=f"gendered_pronoun.{number}",
        keys=[combination("gendered_pronoun", word, place) for word in (name, other)],
    )
