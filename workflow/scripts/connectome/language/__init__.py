"""A generated micro-English whose mechanisms are known: documents to train on, prompts to test.

Everything follows from seeds. A fifth of all content combinations (pair of names, noun and
attractor, country and template, ...) is reserved by a hash and never occurs in training text.
Standard library alone.
"""

import importlib
import itertools
import pkgutil
import random
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from connectome.errors import ConfigError
from connectome.language import families
from connectome.language.document import PIECE, Document, Pair, split

__all__ = [
    "PIECE",
    "STAGES",
    "Document",
    "Pair",
    "corpus",
    "document_stream",
    "draw",
    "metric",
    "pairs",
    "split",
    "task_names",
    "words",
]

STAGES = ("curriculum", "mixture")
ATTEMPTS = 400  # draws per missing pair before a set counts as exhausted


@cache
def _families() -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    return {name: importlib.import_module(f"{families.__name__}.{name}") for name in names}


def document_stream(seed: int | str, stage: str) -> Iterator[Document]:
    """Endless training documents; no reserved combination occurs in them.

    `stage` is "curriculum" (mostly copying) or "mixture" (everything).
    """
    if stage not in STAGES:
        raise ConfigError(f"stage {stage!r} is none of {', '.join(STAGES)}")
    rng = random.Random(f"{seed}/{stage}")
    makers = [family.document for family in _families().values()]
    shares = [family.SHARES.get(stage, 0.0) for family in _families().values()]
    bounds = list(itertools.accumulate(shares))
    while True:
        yield rng.choices(makers, cum_weights=bounds)[0](rng)


def corpus(seed: int, documents: int) -> list[Document]:
    """Documents of the training distribution, for recording activity."""
    return list(itertools.islice(document_stream(f"corpus/{seed}", "mixture"), documents))


def task_names() -> list[str]:
    """Families that have prompt pairs."""
    return [name for name, family in _families().items() if hasattr(family, "pair")]


def metric(task: str) -> str:
    """How answers are compared: "logit_difference" or "probability_difference"."""
    return _task(task).METRIC


def pairs(task: str, seed: int, discovery: int, heldout: int) -> list[Pair]:
    """Distinct prompt pairs of a task, discovery first, the task's variants in equal numbers.

    Discovery pairs follow the seed; held-out pairs are the same for every seed. Clean prompts
    are distinct as long as the language has enough of them; a small task gives fewer pairs than
    asked for when even (clean, corrupted) would repeat.
    """
    return draw(_task(task), task, seed, discovery, heldout)


def draw(family: ModuleType, task: str, seed: int, discovery: int, heldout: int) -> list[Pair]:
    """Pairs of any module that has CASES and `pair`, as `pairs` gives them for a task."""
    return [
        *_draw(family, "discovery", f"{task}/discovery/{seed}", discovery),
        *_draw(family, "heldout", f"{task}/heldout", heldout),
    ]


def _draw(family: ModuleType, part: str, seed: str, count: int) -> list[Pair]:
    rng = random.Random(seed)
    found: list[Pair] = []
    seen: set[tuple[str, ...]] = set()
    for position in range(count):
        case = family.CASES[position % len(family.CASES)]
        pair = _fresh(family, case, part, rng, seen, ("clean",)) or _fresh(
            family, case, part, rng, seen, ("clean", "corrupted")
        )
        if pair is None:
            break
        seen |= {(pair["clean"],), (pair["clean"], pair["corrupted"])}
        found.append(pair)
    return found


def _fresh(
    family: ModuleType,
    case: str,
    part: str,
    rng: random.Random,
    seen: set[tuple[str, ...]],
    identity: tuple[str, ...],
) -> Pair | None:
    """A pair of this part of the split whose `identity` fields were not seen together."""
    for _ in range(ATTEMPTS):
        pair = family.pair(rng, case)
        if pair is None or pair["split"] != part:
            continue
        if tuple(pair[name] for name in identity) not in seen:
            return pair
    return None


def _task(task: str) -> ModuleType:
    if task not in task_names():
        raise ConfigError(f"task {task!r} is no generator; known: {', '.join(task_names())}")
    return _families()[task]


def words() -> list[str]:
    """All tokens of the language but the start token, in a fixed order.

    Words and numbers that follow a blank carry it (" river", " 17"); the second half of a year
    and punctuation do not ("45", ".").
    """
    found = {piece for family in _families().values() for piece in family.WORDS}
    return sorted(found)
