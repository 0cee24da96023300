"""Greater-than: an event ends in a year after it began (Hanna et al. 2023).

The two last digits are the answer, so they have to be one token behind the century. The corrupted
prompt begins at least twenty years earlier: the years below the clean one are likely there, and
exchanging the answers makes it right.
"""

import functools
import random
from collections.abc import Mapping, Sequence

from connectome.language import Pair
from connectome.language.document import combination, pair_of
from connectome.starter import words as lists
from connectome.starter.words import Entry, Slot

METRIC = "probability_difference"
CASES = ("later",)
TEMPLATES = (
    "The {event} lasted from the year {century}{year} to the year {century}",
    "The long {event} began in {century}{year} and ended in {century}",
    "The {event} of {century}{year} was over in {century}",
)
EARLIER = 20  # years at least
FEWEST = 60  # years of a century, so that most of them can be told apart


def _entry(century: str, year: str) -> Entry:
    prompt = TEMPLATES[0].format(event="war", century=century, year="{year}")
    return Entry((century, year), ((prompt.partition("{year}")[0], year),))


SLOTS = {"years": Slot([_entry(c, year) for c in lists.CENTURIES for year in lists.YEARS], FEWEST)}


@functools.cache
def _centuries(years: Sequence[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Years that are there by century, increasing; centuries with too few are left out."""
    found: dict[str, list[str]] = {}
    for century, year in years:
        found.setdefault(century, []).append(year)
    return {century: some for century, some in found.items() if len(some) >= FEWEST}


def pair(rng: random.Random, case: str, words: dict[str, list[tuple[str, ...]]]) -> Pair | None:
    """Answers: all years above the clean prompt's; wrong: that year and all below.

    What is held out are pairs of event and year.
    """
    centuries = _centuries(tuple((century, year) for century, year in words["years"]))
    if not centuries:
        return None
    event, number = rng.choice(lists.EVENTS), rng.randrange(len(TEMPLATES))
    century = rng.choice(list(centuries))
    years = centuries[century]
    year = rng.choice(years)
    before = [other for other in years if 2 <= int(other) <= int(year) - EARLIER]
    if not before or int(year) >= 90:
        return None
    earlier = rng.choice(before)
    slots = {"event": event, "century": century}
    return pair_of(
        clean=TEMPLATES[number].format(year=year, **slots),
        corrupted=TEMPLATES[number].format(year=earlier, **slots),
        answers=[other for other in years if other > year],
        wrong=[other for other in years if other <= year],
        template=f"later_year.{number}",
        keys=[combination("later_year", event, some) for some in (year, earlier)],
    )
