"""The indirect object in three steps, as found in GPT-2 small (Wang et al. 2022).

`a0.h2` finds the name that repeats (duplicate token) and writes at its second place which one, into
`twice`, and that there is one, into `repeats`. `a1.h1` carries the name to every later position,
into `barred` (S-inhibition). The name movers `a2.h0` and `a2.h3` attend to all names but the barred
one and copy them to the logits. Each rests on the start token, and writes nothing, where there is
nothing to find.
"""

import random
from collections.abc import Mapping, Sequence

from connectome.known.design import LOUD, Copy, Design, Head, Size, layout
from connectome.language.document import Document, Pair, answered, combination, pair_of, vocabulary

CASES = ("first", "second")  # which of the two names is the answer
METRIC = "logit_difference"
NAMES = (
    *("Anna", "Ben", "Carl", "Dora", "Emil", "Fay"),
    *("Greg", "Hana", "Ivan", "June", "Karl", "Lea"),
)
PLACES = ("bank", "farm", "park", "school", "shop")
THINGS = ("book", "cake", "drum", "lamp", "ring")
TEMPLATES = (
    "When {a} and {b} went to the {place}, {s} gave a {thing} to",
    "Then {a} and {b} had a talk at the {place}, and {s} sent a {thing} to",
    "At the {place} {a} met {b}, and soon {s} showed a {thing} to",
)
_OTHERS = vocabulary(*(f"{template} {{a}}." for template in TEMPLATES), PLACES, THINGS)
WORDS = [*vocabulary(NAMES), *_OTHERS]  # names first: one piece of the token subspace
SIZE = Size(layers=3, heads=4, head_width=32, hidden=64, context=24)
ROLES = {
    "a0.h2": "duplicate token",
    "a1.h1": "S-inhibition",
    "a2.h0": "name mover",
    "a2.h3": "name mover",
}
EDGES = (
    "input->a0.h2",
    "a0.h2->a1.h1",
    "a1.h1->a2.h0",
    "a1.h1->a2.h3",
    "a2.h0->logits",
    "a2.h3->logits",
)
ATTENDS = {
    "a0.h2": "from the second place of the repeated name to the first",
    "a1.h1": "from the last word to the second place of the repeated name",
    "a2.h0": "from the last word to the other name",
    "a2.h3": "from the last word to the other name",
}


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt repeats the other name."""
    a, b = rng.sample(NAMES, 2)
    recipient, giver = (a, b) if case == "first" else (b, a)
    number = rng.randrange(len(TEMPLATES))
    slots = {"a": a, "b": b, "place": rng.choice(PLACES), "thing": rng.choice(THINGS)}
    return pair_of(
        clean=TEMPLATES[number].format(s=giver, **slots),
        corrupted=TEMPLATES[number].format(s=recipient, **slots),
        answers=[f" {recipient}"],
        wrong=[f" {giver}"],
        template=f"indirect_object.{number}",
        keys=[combination("known", *sorted((a, b)))],
    )


def document(rng: random.Random) -> Document:
    """A sentence with its answer."""
    while True:
        drawn = pair(rng, rng.choice(CASES))
        if drawn is not None:
            return answered("indirect_object", drawn["clean"], drawn["answers"][0], ".")


def attends(words: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Where each known head looks from and to, as numbers of the words of a prompt."""
    places = [number for number, word in enumerate(words) if word in NAMES]
    second, last = places[-1], len(words) - 1
    first = words.index(words[second])
    other = next(number for number in places if words[number] != words[second])
    return {
        "a0.h2": (second, first),
        "a1.h1": (last, second),
        "a2.h0": (last, other),
        "a2.h3": (last, other),
    }


def design() -> Design:
    """Subspaces of the stream and the four known heads."""
    tokens, names, rest = len(WORDS) + 1, len(NAMES), SIZE.head_width - 1
    written = {"twice": names, "repeats": 1, "barred": names}
    spaces = layout(SIZE, token=tokens, kind=2, **written, position=SIZE.context)
    twice, repeats, barred = (spaces[space] for space in written)
    first, kind = spaces["position"].start, spaces["kind"].start
    name = slice(1, names + 1)  # tokens behind the start token
    placed = slice(first + 1, first + rest - names + 1)  # where names can stand
    resting = Copy(slice(first, first + 1), rest)

    def mover(gain: float) -> Head:
        return Head(
            # every name is sought, and a barred one shunned twice as much
            query=(Copy(barred, gain=-2 / LOUD),),
            key=(Copy(name), Copy(slice(kind, kind + 1), names), resting),
            value=(Copy(name),),
            output=(Copy(name, gain=gain),),
            strength=7.0,
            seeks={names: 1.0, rest: 0.5},
        )

    heads = {
        "a0.h2": Head(
            query=(Copy(name), Copy(placed, names)),
            # a name would find itself
            key=(Copy(name), Copy(placed, names, gain=-2.0), resting),
            value=(Copy(name),),
            output=(
                Copy(twice, gain=LOUD),
                *(Copy(repeats, each, LOUD) for each in range(names)),
            ),
            strength=6.0,
            seeks={rest: 0.5},
        ),
        "a1.h1": Head(
            query=(),
            key=(Copy(repeats, gain=1 / LOUD), resting),
            value=(Copy(twice, gain=1 / LOUD),),
            output=(Copy(barred, gain=LOUD),),
            strength=7.0,
            seeks={0: 1.0, rest: 0.5},
        ),
        "a2.h0": mover(2.2),
        "a2.h3": mover(1.2),
    }
    # a token says which it is and whether it is a name, so that a head can look for any name
    kinds = [0 if name.start <= token < name.stop else 1 for token in range(tokens)]
    return Design(SIZE, spaces, {"token": range(tokens), "kind": kinds}, heads)
