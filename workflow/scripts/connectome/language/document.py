"""What families are made of: documents, prompt pairs, and the rule that holds combinations out."""

import functools
import hashlib
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

# One token: a word or a two-digit number with its leading blank, or one other character.
# The blank before the first word of a text is added before splitting, as the tokenizer does.
PIECE = " ?[A-Za-z]+| ?[0-9][0-9]| ?[^ ]| "
_PIECE = re.compile(PIECE)
_SLOT = re.compile(r" ?\{\w+\}")

HELDOUT_SHARE = 5  # one combination in five is reserved
ANSWER_WEIGHT = 1.0
CONTEXT_WEIGHT = 0.1  # other tokens of a sentence that holds an answer
PLAIN_WEIGHT = 0.4  # tokens of sentences without an answer


class Pair(TypedDict):
    """A clean prompt and its corrupted twin of equal token length.

    `answers` are right after `clean` and wrong after `corrupted`; `wrong` the other way round.
    Each is one token with its leading blank. `key` names the content combination.
    """

    clean: str
    corrupted: str
    answers: list[str]
    wrong: list[str]
    template: str
    key: str
    split: str


@dataclass(frozen=True)
class Document:
    """One training text, as tokens, with the weight of each token in the loss."""

    pieces: tuple[str, ...]
    weights: tuple[float, ...]
    family: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(self.pieces)[1:]


def split(text: str) -> list[str]:
    """Tokens of a text; their concatenation is the text behind one blank."""
    return _PIECE.findall(f" {text}")


def vocabulary(*texts: str | Iterable[str]) -> list[str]:
    """Distinct tokens of texts, templates (slots left out) and word lists, sorted."""
    found: set[str] = set()
    for text in texts:
        for part in [text] if isinstance(text, str) else text:
            found.update(split(_SLOT.sub("", part)))
    return sorted(piece for piece in found if piece.strip())


def combination(*words: str) -> str:
    """Name of a content combination; its hash decides the split."""
    return "+".join(words)


@functools.cache
def held_out(key: str) -> bool:
    """Whether a combination is reserved for tests: a fifth of all, the same on every machine."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELDOUT_SHARE == 0


def pair_of(
    clean: str,
    corrupted: str,
    answers: Sequence[str],
    wrong: Sequence[str],
    template: str,
    keys: Sequence[str],
) -> Pair | None:
    """A pair whose combinations all lie on one side of the split; None where they are mixed."""
    reserved = [held_out(key) for key in keys]
    if any(reserved) != all(reserved):
        return None
    return Pair(
        clean=clean,
        corrupted=corrupted,
        answers=list(answers),
        wrong=list(wrong),
        template=template,
        key=keys[0],
        split="heldout" if reserved[0] else "discovery",
    )


def training_pair(
    draw: Callable[[random.Random, str], Pair | None], rng: random.Random, cases: Sequence[str]
) -> Pair:
    """A pair of a random case that training text may show."""
    while True:
        pair = draw(rng, rng.choice(cases))
        if pair is not None and pair["split"] == "discovery":
            return pair


def answered(
    family: str, prompt: str, answer: str, tail: str, labels: Mapping[str, str] | None = None
) -> Document:
    """Document of a prompt, its answer (full weight) and the rest of the text as it follows."""
    before, after = split(prompt), _PIECE.findall(tail)
    weights = [CONTEXT_WEIGHT] * len(before) + [ANSWER_WEIGHT] + [CONTEXT_WEIGHT] * len(after)
    return Document((*before, answer, *after), tuple(weights), family, labels or {})


def plain(family: str, text: str, labels: Mapping[str, str] | None = None) -> Document:
    """Document without an answer: all tokens weigh the same."""
    pieces = tuple(split(text))
    return Document(pieces, (PLAIN_WEIGHT,) * len(pieces), family, labels or {})
