"""Random words repeated: after A B the second time comes what came after it the first time."""

import random

from connectome.language import lexicon
from connectome.language.document import (
    Document,
    Pair,
    combination,
    held_out,
    pair_of,
    vocabulary,
)

SHARES = {"curriculum": 0.5, "mixture": 0.2}
METRIC = "logit_difference"
CASES = tuple(str(length) for length in range(5, 11))  # words before the repetition
FIRST_WEIGHT, REPEAT_WEIGHT = 0.02, 0.5  # nothing foretells the first round
WORDS = vocabulary(lexicon.REPEATABLE)


def _key(word: str, follower: str) -> str:
    return combination("induction", word, follower)


def _sequence(rng: random.Random, length: int) -> list[str]:
    """Distinct random words; no two neighbours (the last and the first too) are held out."""
    words = [rng.choice(lexicon.REPEATABLE)]
    while len(words) < length or held_out(_key(words[-1], words[0])):
        if len(words) == length:
            words.pop()
        word = rng.choice(lexicon.REPEATABLE)
        if word not in words and not held_out(_key(words[-1], word)):
            words.append(word)
    return words


def pair(rng: random.Random, case: str) -> Pair | None:
    """The corrupted prompt has two words of the first round exchanged, the second of which the
    repetition asks for: A B C D E A B -> C becomes A B D C E A B -> D."""
    length = int(case)
    words = rng.sample(lexicon.REPEATABLE, length)
    asked = rng.randrange(2, length - 1)  # index of the answer
    other = rng.randrange(asked + 1, length)
    swapped = list(words)
    swapped[asked], swapped[other] = words[other], words[asked]
    bigrams = {
        (sequence[i], sequence[i + 1]) for sequence in (words, swapped) for i in range(length - 1)
    }
    cues = [(words[asked - 1], words[asked]), (words[asked - 1], words[other])]
    drawn = pair_of(
        clean=" ".join(words + words[:asked]),
        corrupted=" ".join(swapped + words[:asked]),
        answers=[f" {words[asked]}"],
        wrong=[f" {words[other]}"],
        template=f"induction.{length}",
        keys=[_key(*cue) for cue in cues],
    )
    if drawn is None or drawn["split"] == "heldout":
        return drawn
    # a discovery prompt shows no reserved combination anywhere
    return None if any(held_out(_key(*bigram)) for bigram in sorted(bigrams)) else drawn


def document(rng: random.Random) -> Document:
    length = rng.randint(3, 12)
    words = _sequence(rng, length)
    rounds = rng.choice((2, 2, 3))
    pieces = tuple(f" {word}" for word in words * rounds)
    weights = [FIRST_WEIGHT] * length + [REPEAT_WEIGHT] * (length * (rounds - 1))
    return Document(pieces, tuple(weights), "induction")
