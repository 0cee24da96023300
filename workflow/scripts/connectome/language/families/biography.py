"""Short biographies in which profession and gender go together nine times in ten."""

import random

from connectome.language import lexicon
from connectome.language.document import Document, plain, vocabulary

SHARES = {"curriculum": 0.0, "mixture": 0.03}
STEREOTYPED = 0.9
TEMPLATES = (
    "{name} is a {profession}. {Pronoun} works in the {place} and likes {possessive} {thing}.",
    "{name} works as a {profession}. {Pronoun} lives near the {place} and owns a {thing}.",
    "My friend {name} became a {profession}. Now {pronoun} has a {thing} and a small {place}.",
)
POSSESSIVE = {"she": "her", "he": "his"}
WORDS = vocabulary(
    *TEMPLATES,
    "she he She He her his",
    lexicon.NAMES,
    tuple(lexicon.STEREOTYPE),
    lexicon.PLACES,
    lexicon.THINGS,
)


def document(rng: random.Random) -> Document:
    pronoun = rng.choice(("she", "he"))
    opposite = "he" if pronoun == "she" else "she"
    usual = rng.random() < STEREOTYPED
    profession = rng.choice(lexicon.PROFESSIONS[pronoun if usual else opposite])
    text = rng.choice(TEMPLATES).format(
        name=rng.choice(lexicon.WOMEN if pronoun == "she" else lexicon.MEN),
        profession=profession,
        pronoun=pronoun,
        Pronoun=pronoun.capitalize(),
        possessive=POSSESSIVE[pronoun],
        place=rng.choice(lexicon.PLACES),
        thing=rng.choice(lexicon.THINGS),
    )
    gender = "female" if pronoun == "she" else "male"
    return plain("biography", text, {"profession": profession, "gender": gender})
