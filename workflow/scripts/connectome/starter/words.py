"""Common English words for starter tasks, and how a tokenizer is asked about them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from connectome.language import lexicon


class Entry(NamedTuple):
    """Words that are used together; `trials` are (prompt, word) that must add one token each."""

    forms: tuple[str, ...]
    trials: tuple[tuple[str, str], ...]


class Slot(NamedTuple):
    """Candidates for a place in a template, and how many of them must be left."""

    entries: Sequence[Entry]
    needed: int


def slot(prompt: str, words: Iterable[str | tuple[str, ...]], needed: int) -> Slot:
    """Words, or forms of a word (singular, plural), that follow a blank behind `prompt`."""
    forms = [(word,) if isinstance(word, str) else word for word in words]
    return Slot([Entry(some, tuple((prompt, f" {form}") for form in some)) for some in forms],
                needed)  # fmt: skip


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN = lexicon.WOMEN + _words(
    """Lily Mia Lucy Sue Sara Ella Amanda Jessica Jennifer Elizabeth Rachel Karen Michelle Lisa
    Victoria Rebecca Katie Hannah Claire Chloe Charlotte Margaret Barbara Angela Melissa Amber
    Christine Catherine Alexandra Mom"""
)
MEN = lexicon.MEN + _words(
    """Tim Timmy Ben Max Sam Bob Joe Bill Jim Mike Dave Steve Matt Josh Andrew William Richard
    Charles Joseph Christopher Anthony Brian Kenneth Jason Jeff Eric Jonathan Ryan Justin Scott
    Alex Tony Billy Jimmy"""
)
# names that both lists of given names hold, or that are as often words
_UNSURE = {"Mark", "Rose", "Grace", "Frank", "Alex", "Mom", "Bill", "Sam"}
WOMEN = tuple(dict.fromkeys(name for name in WOMEN if name not in _UNSURE))
MEN = tuple(dict.fromkeys(name for name in MEN if name not in _UNSURE))
NAMES = WOMEN + MEN

PLACES = _words(
    """park shop school garden beach market station library museum office church kitchen forest
    river farm hotel theater bank house store lake castle"""
)
THINGS = _words(
    """book drink ring ball letter flower ticket coin cake map lamp hat cup pen gift toy bag card
    box phone"""
)
PREPOSITIONS = _words("near behind beside with before")

# singular, plural
NOUNS = lexicon.NOUNS + (
    ("doctor", "doctors"), ("teacher", "teachers"), ("manager", "managers"), ("artist", "artists"),
    ("brother", "brothers"), ("sister", "sisters"), ("parent", "parents"), ("member", "members"),
    ("officer", "officers"), ("writer", "writers"), ("actor", "actors"), ("judge", "judges"),
    ("car", "cars"), ("house", "houses"), ("tree", "trees"), ("book", "books"), ("toy", "toys"),
    ("ball", "balls"), ("table", "tables"), ("window", "windows"), ("picture", "pictures"),
    ("animal", "animals"), ("flower", "flowers"), ("key", "keys"), ("cabinet", "cabinets"),
)  # fmt: skip
# of the present and of the past: singular, plural
VERBS = (("is", "are"), ("was", "were"), ("has", "have"), ("does", "do"), ("goes", "go"))

EVENTS = lexicon.EVENTS
CENTURIES = lexicon.CENTURIES
YEARS = lexicon.YEARS

# words that are repeated: names of things first, then other common words
REPEATED = tuple(
    dict.fromkeys(
        lexicon.REPEATABLE
        + _words(
            """time day friend mom dad play big little happy hand way life world part place week
            company system program question work government number night point home room mother
            area money story fact month lot right study job word business issue side kind head
            service father power hour game line end law community name president team minute idea
            body information back face level door art history party result change morning reason
            research girl guy moment air teacher force education foot boy age policy music market
            sense nation plan college interest death experience effect use class control field
            development role effort rate heart drug show leader light voice wife police mind price
            report decision view town arm difference value building action model season society
            tax director position player record paper space ground form support event official
            matter center couple site project base activity star phone picture movie letter good
            new first last long great own old high small large next early young important few
            public bad same able said saw want named very up there they that with"""
        )
    )
)
