"""Where ROIs fire: the texts with the strongest firing, firing drawn at random, favoured tokens.

One pass over whole documents. A window holds the tokens around a firing one, with the profile of
each. Everything kept is a list of fixed length or a count per token type, whatever the length of
the corpus, and depends neither on the batches nor on the number of shards.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from connectome.moments import mixed
from connectome.profiles import GRID, Array, Block, Profiles, Region, counted

PLACES = ("token", "previous")  # whose type is tallied: the firing token, or the one before it


class Example(NamedTuple):
    """A window of a document around a firing token."""

    document: int
    position: int  # of the firing token
    step: int  # its profile, in steps
    tokens: tuple[int, ...]
    steps: tuple[int | None, ...]  # profile of each token; None where it is left out
    at: int  # place of the firing token in the window
    cut: tuple[bool, bool]  # whether the document goes on to the left and to the right


class _Shortlist:
    """The examples of smallest key, at most `size`, no two of the same name."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: dict[Any, tuple[tuple[int, ...], Example]] = {}

    def offer(self, key: tuple[int, ...], name: Any, example: Example) -> None:
        """Take an example in, where it belongs; what is best of its name never leaves for it."""
        old = self._kept.get(name)
        if old is not None and old[0] <= key:
            return
        self._kept[name] = (key, example)
        if len(self._kept) > self.size:
            del self._kept[max(self._kept, key=lambda kept: self._kept[kept][0])]

    @property
    def bound(self) -> int | None:
        """First number of the largest key: above it nothing gets in; None while there is room."""
        if len(self._kept) < self.size:
            return None
        return max(key for key, _ in self._kept.values())[0]

    def sorted(self) -> list[Example]:
        """What is kept, smallest key first."""
        return [example for _, example in sorted(self._kept.values())]


class Tally:
    """Per token type: occurrences (V,), summed profiles and firings (V, regions)."""

    def __init__(self, vocabulary: int, count: int) -> None:
        self.counts = np.zeros(vocabulary, dtype=np.int64)
        self.sums = np.zeros((vocabulary, count), dtype=np.int64)
        self.fires = np.zeros((vocabulary, count), dtype=np.int64)

    def add(self, token: Array, steps: Array, fires: Array) -> None:
        """Add tokens (rows,) with their profiles and firings (rows, regions)."""
        if len(token) == 0:
            return
        order = np.argsort(token, kind="stable")
        kind, first, count = np.unique(token[order], return_index=True, return_counts=True)
        self.counts[kind] += count
        self.sums[kind] += np.add.reduceat(steps[order], first, axis=0)
        self.fires[kind] += np.add.reduceat(fires[order].astype(np.int64), first, axis=0)


class Firing(NamedTuple):
    """What a pass over the corpus found, per region in order."""

    tokens: int  # that have a profile
    fires: Array  # (regions,) firing ones among them
    top: list[list[Example]]
    uniform: list[list[Example]]
    tallies: dict[str, Tally]  # by place


def scan(
    blocks: Iterable[Block],
    of_site: Sequence[Region],
    profiles: Profiles,
    thresholds: Array,
    skip_start: bool,
    vocabulary: int,
    settings: Mapping[str, int],
    seed: int,
) -> Firing:
    """Examples and tallies of the ROIs of a site, by their thresholds (regions,) in steps.

    settings: `examples` (top and uniform ones each) and `window` (tokens on either side). Top
    examples are the peaks of their documents; no two show the same text up to the firing token,
    which is all that a causal model has seen of it. Uniform ones are a uniform draw from all firing
    tokens (those of the smallest hashes of document, position and seed).
    """
    count, size = len(of_site), settings["examples"]
    tallies = {place: Tally(vocabulary, count) for place in PLACES}
    top = [_Shortlist(size) for _ in of_site]
    uniform = [_Shortlist(size) for _ in of_site]
    salts = [_salt(region, seed) for region in of_site]
    tokens, total = 0, np.zeros(count, dtype=np.int64)
    for block in blocks:
        scored = counted(block, skip_start)
        steps = profiles.of(block.values)  # (rows, regions)
        fires = (steps >= thresholds) & scored[:, None]
        tokens += int(scored.sum())
        total += fires.sum(axis=0)
        tallies["token"].add(block.token[scored], steps[scored], fires[scored])
        follows = scored[1:] & (block.document[1:] == block.document[:-1])
        tallies["previous"].add(block.token[:-1][follows], steps[1:][follows], fires[1:][follows])
        window = _Windows(block, scored, settings["window"])
        for r in range(count):
            rows = np.flatnonzero(fires[:, r])
            if len(rows):
                _offer_top(top[r], window, rows, steps[:, r])
                _offer_uniform(uniform[r], window, rows, steps[:, r], salts[r])
    return Firing(
        tokens,
        total,
        [shortlist.sorted() for shortlist in top],
        [shortlist.sorted() for shortlist in uniform],
        tallies,
    )


def _salt(region: Region, seed: int) -> np.uint64:
    name = f"{region.partition}/{region.site}/{region.part}"
    return np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1, np.uint64)[0]


class _Windows:
    """Cuts windows out of a block."""

    def __init__(self, block: Block, scored: Array, width: int) -> None:
        self.block, self.scored, self.width = block, scored, width
        edges = np.flatnonzero(np.diff(block.document)) + 1
        self._edges = np.concatenate([[0], edges, [len(block.document)]])

    def example(self, row: int, steps: Array) -> Example:
        """The window around a row, with one region's profiles (rows,) of the block."""
        place = int(np.searchsorted(self._edges, row, side="right"))
        start, stop = int(self._edges[place - 1]), int(self._edges[place])
        first, last = max(start, row - self.width), min(stop, row + self.width + 1)
        shown = range(first, last)
        return Example(
            int(self.block.document[row]),
            int(self.block.position[row]),
            int(steps[row]),
            tuple(self.block.token[first:last].tolist()),
            tuple(int(steps[i]) if self.scored[i] else None for i in shown),
            row - first,
            (first > start, last < stop),
        )


def _offer_top(shortlist: _Shortlist, window: _Windows, rows: Array, steps: Array) -> None:
    bound = shortlist.bound
    if bound is not None:
        rows = rows[-steps[rows] <= bound]
    document = window.block.document
    rows = rows[np.lexsort((rows, -steps[rows], document[rows]))]
    peaks = np.ones(len(rows), dtype=bool)
    peaks[1:] = document[rows[1:]] != document[rows[:-1]]
    for row in rows[peaks].tolist():
        example = window.example(row, steps)
        key = (-example.step, example.document, example.position)
        shortlist.offer(key, example.tokens[: example.at + 1], example)


def _offer_uniform(
    shortlist: _Shortlist, window: _Windows, rows: Array, steps: Array, salt: np.uint64
) -> None:
    document = window.block.document[rows].astype(np.uint64)
    place = (document << np.uint64(32)) | window.block.position[rows].astype(np.uint64)
    lot = mixed(place ^ salt)
    bound = shortlist.bound
    if bound is not None:
        rows, lot = rows[lot <= bound], lot[lot <= bound]
    for i in np.argsort(lot, kind="stable")[: shortlist.size].tolist():
        example = window.example(int(rows[i]), steps)
        name = (example.document, example.position)
        shortlist.offer((int(lot[i]), *name), name, example)


def favoured(tally: Tally, region: int, min_count: int, most: int) -> list[dict[str, Any]]:
    """Token types at which a region fires more than by chance, by what they tell about firing.

    With count and firings of a type, `share` is the part of its occurrences that fire, `lift` that
    share over the base rate, `coverage` its part of all firings, and `information` =
    coverage * ln(lift), in nats: its term in the divergence of the types of firing tokens from
    those of all tokens. Types with fewer than `min_count` occurrences are left out; at most `most`
    rows, ties by token id.
    """
    counts, fires = tally.counts, tally.fires[:, region]
    base = fires.sum() / max(counts.sum(), 1)
    kinds = np.flatnonzero((counts >= min_count) & (fires > base * counts))
    share = fires[kinds] / counts[kinds]
    coverage = fires[kinds] / max(fires.sum(), 1)
    information = coverage * np.log(share / base)
    order = np.lexsort((kinds, -information))[:most]
    return [
        {
            "token": int(kinds[i]),
            "count": int(counts[kinds[i]]),
            "fires": int(fires[kinds[i]]),
            "share": float(share[i]),
            "lift": float(share[i] / base),
            "coverage": float(coverage[i]),
            "information": float(information[i]),
            "mean": float(tally.sums[kinds[i], region] / counts[kinds[i]] / GRID),
        }
        for i in order.tolist()
    ]
