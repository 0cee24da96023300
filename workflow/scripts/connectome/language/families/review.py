"""Reviews of two or three sentences, labelled with their sentiment."""

import random

from connectome.language import lexicon
from connectome.language.document import Document, held_out, plain, vocabulary
from connectome.language.families.sentiment import opinion_key

SHARES = {"curriculum": 0.0, "mixture": 0.03}
OPENINGS = (
    "Last night I went to a {show}.",
    "My friend told me about this {show}.",
    "We paid a lot for the {show}.",
)
VERDICTS = (
    "It was {opinion} and the end was {other}.",
    "The first part was {opinion}, the rest was {other}.",
    "I found it {opinion}, even {other}.",
)
CLOSINGS = {
    "positive": ("I loved it.", "Go and see it.", "We want more."),
    "negative": ("I hated it.", "Stay at home.", "We want our money back."),
}
WORDS = vocabulary(
    *OPENINGS,
    *VERDICTS,
    *CLOSINGS["positive"],
    *CLOSINGS["negative"],
    lexicon.SHOWS,
    *lexicon.OPINIONS.values(),
)


def document(rng: random.Random) -> Document:
    sentiment = rng.choice(("positive", "negative"))
    while True:
        show = rng.choice(lexicon.SHOWS)
        opinions = rng.sample(lexicon.OPINIONS[sentiment], 2)
        if not any(held_out(opinion_key(opinion, show)) for opinion in opinions):
            break
    opinion, other = opinions
    text = " ".join(
        (
            rng.choice(OPENINGS).format(show=show),
            rng.choice(VERDICTS).format(opinion=opinion, other=other),
            rng.choice(CLOSINGS[sentiment]),
        )
    )
    return plain("review", text, {"sentiment": sentiment})
