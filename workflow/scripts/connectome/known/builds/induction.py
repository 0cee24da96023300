"""Induction in two heads: one tells each word what stood before it, one looks for it (Olsson 2022).

`a0.h1` attends to the previous position and writes its word into the subspace `before`. `a1.h0`
attends to the word whose `before` is the current word, and copies it to the logits. Where the
current word has not been seen it rests on the start token and writes nothing.
"""

import random
from collections.abc import Mapping, Sequence

from connectome.known.design import LOUD, Copy, Design, Head, Size, layout
from connectome.language.document import Document, Pair, combination, pair_of, plain, vocabulary

CASES = tuple(str(length) for length in range(5, 9))  # words before the repetition
METRIC = "logit_difference"
NOUNS = (
    *("apple", "bell", "candle", "door", "engine", "feather", "garden", "hammer", "island"),
    *("jacket", "kettle", "ladder", "mirror", "needle", "orange", "pencil", "quilt", "river"),
    *("saddle", "table", "umbrella", "violin", "window", "yarn"),
)
WORDS = vocabulary(NOUNS)
SIZE = Size(layers=2, heads=4, head_width=32, hidden=64, context=24)
ROLES = {"a0.h1": "previous token", "a1.h0": "induction"}
EDGES = ("input->a0.h1", "a0.h1->a1.h0", "a1.h0->logits")
ATTENDS = {
    "a0.h1": "from the word after the earlier cue to the earlier cue",
    "a1.h0": "from the last word to the word after its earlier occurrence",
}


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has the cue and another word of the first round exchanged.

    A B C D E A B -> C becomes A D C B E A B -> E: the words that can be copied stand where they
    stood, and only what stands before them differs, which the previous-token head alone tells.
    """
    length = int(case)
    words = rng.sample(NOUNS, length)
    cue, other = rng.sample(range(length - 1), 2)
    if abs(cue - other) < 2:
        return None
    swapped = list(words)
    swapped[cue], swapped[other] = words[other], words[cue]
    repeated = words[: cue + 1]
    return pair_of(
        clean=" ".join(words + repeated),
        corrupted=" ".join(swapped + repeated),
        answers=[f" {words[cue + 1]}"],
        wrong=[f" {words[other + 1]}"],
        template=f"induction.{length}",
        keys=[combination("known", words[cue], words[i + 1]) for i in (cue, other)],
    )


def document(rng: random.Random) -> Document:
    """Random words, twice."""
    return plain("induction", " ".join(rng.sample(NOUNS, rng.randint(4, 11)) * 2))


def attends(words: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Where each known head looks from and to, as numbers of the words of a prompt."""
    last = len(words) - 1
    cue = words.index(words[last])
    return {"a0.h1": (cue + 1, cue), "a1.h0": (last, cue + 1)}


def design() -> Design:
    """Subspaces of the stream and the two known heads."""
    tokens, rest = len(WORDS) + 1, SIZE.head_width - 1
    spaces = layout(SIZE, token=tokens, before=tokens, position=SIZE.context)
    token, before, position = spaces["token"], spaces["before"], spaces["position"]
    own = slice(position.start + 1, position.stop)
    earlier = slice(position.start, position.stop - 1)
    start = slice(position.start, position.start + 1)
    word = slice(token.start + 1, token.stop)  # the start token is nothing to copy
    heads = {
        "a0.h1": Head(
            query=(Copy(own),),
            key=(Copy(earlier),),
            value=(Copy(token),),
            output=(Copy(before, gain=LOUD),),
            strength=8.0,
            seeks={},
        ),
        "a1.h0": Head(
            query=(Copy(token),),
            key=(Copy(before, gain=1 / LOUD), Copy(start, rest)),
            value=(Copy(word),),
            output=(Copy(word, gain=3.0),),
            strength=6.0,
            seeks={rest: 0.5},
        ),
    }
    return Design(SIZE, spaces, {"token": range(tokens)}, heads)
