"""Greater-than on two-digit years (Hanna et al. 2023).

Events last one to twenty years. So the corrupted prompt, whose first year lies at least twenty
earlier, makes years below the clean one right: exchanging the answers makes it right too, which
the published corruption (year 01, any later year right) does not.
"""

import random

from connectome.language import lexicon
from connectome.language.document import (
    Document,
    Pair,
    answered,
    combination,
    held_out,
    pair_of,
    vocabulary,
)

SHARES = {"curriculum": 0.0, "mixture": 0.14}
METRIC = "probability_difference"
CASES = ("later",)
LONGEST = 20  # years
TEMPLATES = (
    "The {event} lasted from the year {century}{year} to the year {century}",
    "The long {event} began in {century}{year} and ended in {century}",
    "The {event} of {century}{year} was over in {century}",
)
WORDS = sorted(
    {
        *vocabulary(*TEMPLATES, ".", lexicon.EVENTS, lexicon.CENTURIES),
        *lexicon.YEARS,
    }
)


def _prompt(rng: random.Random) -> tuple[int, dict[str, str]]:
    slots = {"event": rng.choice(lexicon.EVENTS), "century": rng.choice(lexicon.CENTURIES)}
    return rng.randrange(len(TEMPLATES)), slots


def pair(rng: random.Random, case: str) -> Pair | None:
    """Answers: all years above the clean prompt's; wrong: that year and all below."""
    number, slots = _prompt(rng)
    year = rng.randrange(LONGEST + 2, 80)
    earlier = rng.randrange(2, year - LONGEST + 1)
    return pair_of(
        clean=TEMPLATES[number].format(year=lexicon.YEARS[year], **slots),
        corrupted=TEMPLATES[number].format(year=lexicon.YEARS[earlier], **slots),
        answers=lexicon.YEARS[year + 1 :],
        wrong=lexicon.YEARS[: year + 1],
        template=f"greater_than.{number}",
        keys=[_key(slots, year), _key(slots, earlier)],
    )


def _key(slots: dict[str, str], year: int) -> str:
    return combination("greater_than", slots["event"], lexicon.YEARS[year])


def document(rng: random.Random) -> Document:
    while True:
        number, slots = _prompt(rng)
        year = rng.randrange(1, 99)
        if not held_out(_key(slots, year)):
            break
    end = rng.randrange(year + 1, min(year + LONGEST, 99) + 1)
    prompt = TEMPLATES[number].format(year=lexicon.YEARS[year], **slots)
    return answered("greater_than", prompt, lexicon.YEARS[end], ".")
