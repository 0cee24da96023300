"""Agreement of subject and verb across a prepositional phrase (Linzen et al. 2016)."""

import random

from connectome.language import Pair
from connectome.language.document import combination, pair_of
from connectome.starter import words as lists

METRIC = "logit_difference"
CASES = ("ss", "sp", "ps", "pp")  # number of the subject, number of the attractor
SLOTS = {
    "nouns": lists.slot("Now the", lists.NOUNS, needed=6),
    "verbs": lists.slot("The dog", lists.VERBS, needed=1),
}
TEMPLATES = (
    "The {noun} {preposition} the {attractor}",
    "Now the {noun} {preposition} the {attractor}",
    "He said that the {noun} {preposition} the {attractor}",
)


def pair(rng: random.Random, case: str, words: dict[str, list[tuple[str, ...]]]) -> Pair | None:
    """The corrupted prompt has the subject in the other number; the attractor stays.

    Right and wrong are all verbs of a number. What is held out are pairs of nouns.
    """
    number, attractor_number = ("sp".index(letter) for letter in case)
    noun, attractor = rng.sample(words["nouns"], 2)
    template = rng.randrange(len(TEMPLATES))
    slots = {"attractor": attractor[attractor_number]}
    slots["preposition"] = rng.choice(lists.PREPOSITIONS)
    return pair_of(
        clean=TEMPLATES[template].format(noun=noun[number], **slots),
        corrupted=TEMPLATES[template].format(noun=noun[1 - number], **slots),
        answers=[f" {forms[number]}" for forms in words["verbs"]],
        wrong=[f" {forms[1 - number]}" for forms in words["verbs"]],
        template=f"verb_agreement.{template}",
        keys=[combination("verb_agreement", *sorted((noun[0], attractor[0])))],
    )
