"""Windows of text around chosen tokens: the strongest of each document, and some drawn by lot.

Scores are numbers of any kind, one per token. What is kept is a list of fixed length, whatever the
length of the corpus, and depends neither on the batches nor on the number of shards.
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome.moments import mixed
from connectome.profiles import Array, Block

FIELDS = {
    "document": pa.int32(),
    "position": pa.int32(),
    "score": pa.float64(),
    "at": pa.int32(),
    "cut_left": pa.bool_(),
    "cut_right": pa.bool_(),
    "tokens": pa.list_(pa.string()),
    "scores": pa.list_(pa.float32()),
}


class Example(NamedTuple):
    """A window of a document around a token."""

    document: int
    position: int  # of that token
    score: float  # its own
    tokens: tuple[int, ...]
    scores: tuple[float | None, ...]  # of each token; None where it is left out
    at: int  # place of the token in the window
    cut: tuple[bool, bool]  # whether the document goes on to the left and to the right


class Shortlist:
    """The examples of smallest key, at most `size`, no two of the same name."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: dict[Any, tuple[tuple[float, ...], Example]] = {}

    def offer(self, key: tuple[float, ...], name: Any, example: Example) -> None:
        """Take an example in, where it belongs; what is best of its name never leaves for it."""
        old = self._kept.get(name)
        if old is not None and old[0] <= key:
            return
        self._kept[name] = (key, example)
        if len(self._kept) > self.size:
            del self._kept[max(self._kept, key=lambda kept: self._kept[kept][0])]

    @property
    def bound(self) -> float | None:
        """First number of the largest key: above it nothing gets in; None while there is room."""
        if len(self._kept) < self.size:
            return None
        return max(key for key, _ in self._kept.values())[0]

    def sorted(self) -> list[Example]:
        """What is kept, smallest key first."""
        return [example for _, example in sorted(self._kept.values())]


class Windows:
    """Cuts windows out of a block of whole documents, `width` tokens on either side.

    scored: rows (rows,) bool whose score is shown.
    """

    def __init__(self, block: Block, scored: Array, width: int) -> None:
        self.block, self.scored, self.width = block, scored, width
        edges = np.flatnonzero(np.diff(block.document)) + 1
        self._edges = np.concatenate([[0], edges, [len(block.document)]])

    def example(self, row: int, scores: Array) -> Example:
        """The window around a row, with the scores (rows,) of the block."""
        place = int(np.searchsorted(self._edges, row, side="right"))
        start, stop = int(self._edges[place - 1]), int(self._edges[place])
        first, last = max(start, row - self.width), min(stop, row + self.width + 1)
        return Example(
            int(self.block.document[row]),
            int(self.block.position[row]),
            scores[row].item(),
            tuple(self.block.token[first:last].tolist()),
            tuple(scores[i].item() if self.scored[i] else None for i in range(first, last)),
            row - first,
            (first > start, last < stop),
        )


def offer_top(shortlist: Shortlist, windows: Windows, rows: Array, scores: Array) -> None:
    """Offer the strongest of these rows in each document, under the text up to it.

    That text is all that a causal model has seen of it, so no text is shown twice.
    """
    bound = shortlist.bound
    if bound is not None:
        rows = rows[-scores[rows] <= bound]
    document = windows.block.document
    rows = rows[np.lexsort((rows, -scores[rows], document[rows]))]
    peaks = np.ones(len(rows), dtype=bool)
    peaks[1:] = document[rows[1:]] != document[rows[:-1]]
    for row in rows[peaks].tolist():
        example = windows.example(row, scores)
        key = (-example.score, example.document, example.position)
        shortlist.offer(key, example.tokens[: example.at + 1], example)


def offer_drawn(
    shortlist: Shortlist, windows: Windows, rows: Array, scores: Array, lot: Array
) -> None:
    """Offer rows by their lots (rows of the list,): the smallest of the corpus are drawn."""
    bound = shortlist.bound
    if bound is not None:
        rows, lot = rows[lot <= bound], lot[lot <= bound]
    for i in np.argsort(lot, kind="stable")[: shortlist.size].tolist():
        example = windows.example(int(rows[i]), scores)
        name = (example.document, example.position)
        shortlist.offer((int(lot[i]), *name), name, example)


def salt(name: str, seed: int) -> np.uint64:
    """What makes the lots of one name differ from those of another."""
    return np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1, np.uint64)[0]


def places(block: Block, rows: Array) -> Array:
    """Document and position of tokens (rows of the list,) in one number, uint64."""
    document, position = (column[rows].astype(np.uint64) for column in block[1:3])
    return (document << np.uint64(32)) | position


def lots(place: Array, salt: np.uint64) -> Array:
    """A uniform hash, uint64, of each place; the same for any batches."""
    return mixed(place.astype(np.uint64) ^ salt)


def row_of(example: Example, text_of: Callable[[int], str], unit: float = 1) -> dict[str, Any]:
    """An example as a row of FIELDS, its scores in these units."""
    return {
        "document": example.document,
        "position": example.position,
        "score": example.score / unit,
        "at": example.at,
        "cut_left": example.cut[0],
        "cut_right": example.cut[1],
        "tokens": [text_of(token) for token in example.tokens],
        "scores": [None if score is None else score / unit for score in example.scores],
    }
