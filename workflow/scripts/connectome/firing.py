"""Where ROIs fire: the texts with the strongest firing, firing drawn at random, favoured tokens.

One pass over whole documents. A window holds the tokens around a firing one, with the profile of
each. Everything kept is a list of fixed length or a count per token type, whatever the length of
the corpus, and depends neither on the batches nor on the number of shards.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome import windows
from connectome.profiles import Array, Block, Profiles, Region, counted
from connectome.windows import Example, Shortlist, Windows

PLACES = ("token", "previous")  # whose type is tallied: the firing token, or the one before it
FAVOURED = {
    "place": pa.string(),
    "rank": pa.int32(),
    "token": pa.int32(),
    "text": pa.string(),
    "count": pa.int64(),
    "fires": pa.int64(),
    "share": pa.float64(),
    "lift": pa.float64(),
    "coverage": pa.float64(),
    "information": pa.float64(),
}


class Tally:
    """Per token type: occurrences (V,), firings and summed profiles (V, regions)."""

    def __init__(self, vocabulary: int, count: int) -> None:
        self.counts = np.zeros(vocabulary, dtype=np.int64)
        self.sums = np.zeros((vocabulary, count), dtype=np.int64)
        self.fires = np.zeros((vocabulary, count), dtype=np.int64)

    def add(self, token: Array, fires: Array, steps: Array | None = None) -> None:
        """Add tokens (rows,) with their firings, and profiles if any (rows, regions)."""
        if len(token) == 0:
            return
        order = np.argsort(token, kind="stable")
        kind, first, count = np.unique(token[order], return_index=True, return_counts=True)
        self.counts[kind] += count
        self.fires[kind] += np.add.reduceat(fires[order].astype(np.int64), first, axis=0)
        if steps is not None:
            self.sums[kind] += np.add.reduceat(steps[order], first, axis=0)


def tallies_of(vocabulary: int, count: int) -> dict[str, Tally]:
    """An empty tally for each of PLACES."""
    return {place: Tally(vocabulary, count) for place in PLACES}


def tally(
    tallies: Mapping[str, Tally],
    block: Block,
    scored: Array,
    fires: Array,
    steps: Array | None = None,
) -> None:
    """Count the firing tokens of a block, and the tokens before them, in the tallies of PLACES."""
    own = None if steps is None else steps[scored]
    tallies["token"].add(block.token[scored], fires[scored], own)
    follows = scored[1:] & (block.document[1:] == block.document[:-1])
    own = None if steps is None else steps[1:][follows]
    tallies["previous"].add(block.token[:-1][follows], fires[1:][follows], own)


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
    tallies = tallies_of(vocabulary, count)
    top = [Shortlist(size) for _ in of_site]
    uniform = [Shortlist(size) for _ in of_site]
    salts = [windows.salt(f"{r.partition}/{r.site}/{r.part}", seed) for r in of_site]
    tokens, total = 0, np.zeros(count, dtype=np.int64)
    for block in blocks:
        scored = counted(block, skip_start)
        steps = profiles.of(block.values)  # (rows, regions)
        fires = (steps >= thresholds) & scored[:, None]
        tokens += int(scored.sum())
        total += fires.sum(axis=0)
        tally(tallies, block, scored, fires, steps)
        cut = Windows(block, scored, settings["window"])
        for r in range(count):
            rows = np.flatnonzero(fires[:, r])
            if len(rows):
                lot = windows.lots(windows.places(block, rows), salts[r])
                windows.offer_top(top[r], cut, rows, steps[:, r])
                windows.offer_drawn(uniform[r], cut, rows, steps[:, r], lot)
    return Firing(
        tokens,
        total,
        [shortlist.sorted() for shortlist in top],
        [shortlist.sorted() for shortlist in uniform],
        tallies,
    )


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
        }
        for i in order.tolist()
    ]
