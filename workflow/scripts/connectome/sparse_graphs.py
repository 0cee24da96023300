"""Similarity of sparse features: phi, the correlation of their firing, where it is above 0.

Two features are alike when they fire together more often than by chance, so pairs that never meet
need not be kept. Nulls are drawn one at a time from a stream that can be read again.

Phi of two features that fire a few times in many samples is 0 or, by one coincidence, large. The
largest values among independent features would all be of such pairs: the threshold would rise for
all others, and the block model would find blocks of rare features in permuted data (16,384
features, 100,000 tokens: 7 blocks with those of 30 firings, 1 block with those of 100). A feature
is left out of the graph, though not dead, while two of its kind meet less than MEETINGS times by
chance, n^2 / N < MEETINGS; with more samples it comes in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from connectome import cofiring, encoded
from connectome.cofiring import PAIRS, Cofiring
from connectome.graphs import LIVE, PERMUTED, ROLLED, SELDOM, Null, dead_features

MEETINGS = 0.1
_CHUNK = 2**22  # entries of a dense piece of a matrix
_SPREAD = 4  # shuffled entries per feature and neighbour: a feature meets 8 k of them, not below k

Block = tuple[int, int, csr_array]  # half, number, rows (n, d)


@dataclass(frozen=True)
class Phi:
    """Similarity by phi."""

    upper: csr_array  # (d, d), of pairs i < j, above 0

    def rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        both = (self.upper + self.upper.T).tocsr()
        both.sort_indices()
        for start, stop in zip(both.indptr[:-1], both.indptr[1:], strict=True):
            yield both.indices[start:stop], both.data[start:stop]

    def largest(self, count: int) -> np.ndarray:
        values = self.upper.data
        return values if count >= len(values) else np.partition(values, -count)[-count:]

    def weights(self, edges: np.ndarray) -> np.ndarray:
        return np.asarray(self.upper[edges[:, 0], edges[:, 1]]).ravel()

    def shuffled(self, generator: np.random.Generator, k: int) -> "Phi":
        """The largest values alone: no others are among the neighbours of a feature."""
        d = self.upper.shape[0]
        values = self.largest(_SPREAD * k * d)
        place = generator.choice(d * (d - 1) // 2, len(values), replace=False)
        before = np.concatenate([[0], np.cumsum(np.arange(d - 1, 0, -1))])  # pairs of smaller i
        i = np.searchsorted(before, place, side="right") - 1
        j = place - before[i] + i + 1
        return Phi(csr_array((values, (i, j)), shape=(d, d)))


class _Counted:
    """Co-firing of blocks of rows, and the firing of each block, whose mean is taken out."""

    def __init__(self, width: int) -> None:
        self.found = cofiring.empty(width)
        self.fired = [np.empty((0, width), dtype=np.int64)]  # of each block
        self.sizes: list[int] = []  # rows of each block
        self._waiting: list[csr_array] = []
        self._pairs = 0

    def add(self, block: csr_array) -> None:
        """Count one more block, once there are enough of them."""
        self.fired.append(np.bincount(block.indices, minlength=block.shape[1])[None])
        self.sizes.append(block.shape[0])
        self._waiting.append(block)
        self._pairs += encoded.pairs(block)
        if self._pairs >= PAIRS:
            self._count()

    def _count(self) -> None:
        if self._waiting:
            more = cofiring.of_rows(encoded.join(self._waiting))
            self.found = cofiring.merge(self.found, more)
        self._waiting, self._pairs = [], 0

    def joined(self, other: "_Counted") -> "_Counted":
        """The blocks of both."""
        both = _Counted(len(self.found.active))
        for one in (self, other):
            one._count()
            both.found = cofiring.merge(both.found, one.found)
            both.fired += one.fired
            both.sizes += one.sizes
        return both

    def phi(self) -> "Phi":
        """Similarities over all blocks."""
        self._count()
        return phi_of(self.found, np.concatenate(self.fired), np.array(self.sizes, dtype=int))


def phi_of(found: Cofiring, fired: np.ndarray, sizes: np.ndarray) -> Phi:
    """Phi of what features share beyond what their firing in each block of rows makes likely.

    fired: (blocks, d) firing of each block; sizes: (blocks,) their rows. With one block of all rows
    it is the correlation of the indicators.
    """
    d = len(found.active)
    by_size = {int(size): fired[sizes == size].astype(np.float64) for size in np.unique(sizes)}
    deviation = found.active - sum((np.square(of).sum(axis=0) / n for n, of in by_size.items()))
    scale = np.divide(1.0, np.sqrt(deviation), out=np.zeros(d), where=deviation > 0)
    values, partner, counts = [], [], [np.zeros(1, np.int64)]
    step = max(1, _CHUNK // max(d, 1))
    for low in range(0, d, step):
        high = min(d, low + step)
        own = slice(found.first[low], found.first[high])
        lengths = np.diff(found.first[low : high + 1])
        row, column = np.repeat(np.arange(high - low), lengths), found.partner[own]
        # sums of whole numbers, divided once: the same to the last bit in any order
        chance = sum(of[:, low:high].T @ of / n for n, of in by_size.items())
        phi = (found.together[own] - chance[row, column]) * (scale[low + row] * scale[column])
        above = phi > 0
        values.append(phi[above])
        partner.append(column[above])
        counts.append(np.bincount(row[above], minlength=high - low))
    first = np.cumsum(np.concatenate(counts))
    content = (np.concatenate(values), np.concatenate(partner), first)
    return Phi(csr_array(content, shape=(d, d)))


def rolled(block: csr_array, offsets: np.ndarray) -> csr_array:
    """Each column of a block moved down by its own offset, the end coming in at the start."""
    n = block.shape[0]
    row = np.repeat(np.arange(n), np.diff(block.indptr))
    return _fired((row + offsets[block.indices]) % n, block.indices, block.shape)


def permuted(block: csr_array, generator: np.random.Generator) -> csr_array:
    """Each column of a block in an order of its own: as many rows as before, any of them."""
    n, d = block.shape
    fires = np.bincount(block.indices, minlength=d)
    # rows drawn until none comes twice: quick where few are filled, endless where all are
    often = np.flatnonzero(2 * fires > n)
    rows = [generator.choice(n, fires[feature], replace=False) for feature in often]
    columns = np.repeat(often, fires[often])
    fires[often] = 0
    column = np.repeat(np.arange(d), fires)
    row = generator.integers(n, size=len(column))
    while True:
        order = np.lexsort((row, column))
        again = (np.diff(column[order]) == 0) & (np.diff(row[order]) == 0)
        twice = order[1:][again]
        if len(twice) == 0:
            break
        row[twice] = generator.integers(n, size=len(twice))
    return _fired(np.concatenate([*rows, row]), np.concatenate([columns, column]), block.shape)


def _fired(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> csr_array:
    place = (row.astype(np.int32), column.astype(np.int32))
    return csr_array((np.ones(len(row), dtype=np.int32), place), shape=shape)


@dataclass(frozen=True)
class Fired:
    """Similarities of sparse features, from their covariance file and `blocks` of its samples."""

    covariance: Mapping[str, np.ndarray]
    read: Callable[[], Iterable[Block]]
    name = "phi"

    def states(self, settings: Mapping[str, Any]) -> np.ndarray:
        found = cofiring.full(self.covariance)
        # the variance of an indicator says how often it fires and no more: none is too small
        state = dead_features(found, settings["min_active"], min_variance=0.0)
        state[(state == LIVE) & (found.active**2 < MEETINGS * found.count)] = SELDOM
        return state

    def of_data(self, live: np.ndarray) -> Iterator[Phi]:
        for found in (cofiring.full(self.covariance), *cofiring.of_halves(self.covariance)):
            kept = cofiring.among(found, live)
            yield phi_of(kept, kept.active[None], np.array([kept.count]))

    def nulls(self, live: np.ndarray, draws: int, seed: int) -> Iterator[Null]:
        for draw in range(draws):
            mixed, *halves = (_Counted(len(live)) for _ in range(3))
            for half, number, rows in self.read():
                block, key = rows[:, live], [draw, half, number]
                mixed.add(permuted(block, np.random.default_rng([seed, PERMUTED, *key])))
                moved = np.random.default_rng([seed, ROLLED, *key])
                offsets = moved.integers(block.shape[0], size=len(live))
                halves[half].add(rolled(block, offsets))
            every = halves[0].joined(halves[1])
            yield Null(mixed.phi(), (every.phi(), halves[0].phi(), halves[1].phi()))
