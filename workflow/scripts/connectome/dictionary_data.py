"""Rows that a dictionary is trained on: recorded activations of one site in a seeded order.

Start tokens are left out (massive activations there would own the error), and so are the held-out
documents, by which a dictionary is judged. The order follows from the seed alone: in each epoch the
row groups of the recording are shuffled, runs of them fill a buffer, and the rows of a buffer are
shuffled. It is the same for any number of parts. Memory is two buffers, whatever was recorded.
NumPy alone.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from connectome import tables
from connectome.errors import DataError
from connectome.moments import mixed

KEYS = ("document", "position")
HELD_OUT = 5  # one document in so many is held out
BUFFER_BYTES = 2**28
SCALE_ROWS = 100_000
MEDIAN_STEPS, MEDIAN_CHANGE = 100, 1e-5

Rows = tuple[np.ndarray, ...]  # one matrix (n, width) per column: inputs, then targets if others


@dataclass(frozen=True)
class Recording:
    """Where the training rows of one site lie."""

    columns: tuple[str, ...]  # of the inputs, and of the targets where they are others
    groups: tuple[tuple[Path, int], ...]  # row groups that hold rows to train on
    counts: np.ndarray  # (groups,) int64, such rows of each
    row_bytes: int
    digest: str  # of the values in recorded order

    @property
    def rows(self) -> int:
        """Rows to train on."""
        return int(self.counts.sum())


def columns_of(site: str, transcoder: bool) -> tuple[str, ...]:
    """Columns that a dictionary of a site is trained on."""
    return (f"{site}.in", site) if transcoder else (site,)


def held_out(documents: np.ndarray) -> np.ndarray:
    """Which documents (bool) no dictionary is trained on: a fifth, by a hash of their number."""
    return mixed(np.asarray(documents)) % np.uint64(HELD_OUT) == 0


def survey(parts: Sequence[Path], columns: Sequence[str]) -> Recording:
    """The training rows of part files, each value looked at once.

    Raises DataError where there are none, where a column was not recorded, and at the first value
    that is not finite.
    """
    digest = hashlib.sha256(repr(tuple(columns)).encode())
    groups, counts, row_bytes = [], [], 0
    for path, number in tables.row_groups(parts):
        values = _read(path, number, columns)
        row_bytes = sum(matrix.shape[1] * matrix.itemsize for matrix in values)
        if not len(values[0]):
            continue
        for name, matrix in zip(columns, values, strict=True):
            if not np.isfinite([matrix.min(), matrix.max()]).all():
                raise DataError(f"{path}: {name} holds values that are not finite")
            digest.update(matrix.tobytes())
        groups.append((path, number))
        counts.append(len(values[0]))
    if not groups:
        raise DataError(
            f"{', '.join(map(str, parts))}: no row to train a dictionary on (start tokens and one "
            f"document in {HELD_OUT} are left out); record more documents"
        )
    return Recording(
        tuple(columns), tuple(groups), np.array(counts, np.int64), row_bytes, digest.hexdigest()
    )


def _read(path: Path, number: int, columns: Sequence[str]) -> Rows:
    """Training rows of one row group, as recorded."""
    found = tables.read_group(path, number, [*columns, *KEYS])
    kept = np.flatnonzero((found["position"] > 0) & ~held_out(found["document"]))
    return tuple(found[name].take(kept, axis=0) for name in columns)


def stream(
    recording: Recording,
    seed: int,
    size: int,
    first: int = 0,
    buffer_bytes: int = BUFFER_BYTES,
) -> Iterator[Rows]:
    """Batches of `size` rows in float32, without end, from batch number `first` on.

    A batch is a function of the seed and its number alone; nothing before `first` is read.
    """
    held: list[Rows] = []
    missing = size
    for values, order in _buffers(recording, seed, first * size, buffer_bytes):
        while len(order):
            chosen, order = order[:missing], order[missing:]
            held.append(tuple(matrix.take(chosen, axis=0) for matrix in values))
            missing -= len(chosen)
            if not missing:
                pieces = zip(*held, strict=True)
                yield tuple(np.concatenate(piece, dtype=np.float32) for piece in pieces)
                held, missing = [], size


def _buffers(
    recording: Recording, seed: int, skipped: int, buffer_bytes: int
) -> Iterator[tuple[Rows, np.ndarray]]:
    """Buffers of rows, and the order in which these are taken, after so many skipped rows."""
    epoch, skipped = divmod(skipped, recording.rows)
    room = max(1, buffer_bytes // recording.row_bytes)
    buffer: Rows = ()
    inside = np.empty(0, np.int64)  # groups that lie in the buffer
    for number in itertools.count(epoch):
        groups = np.random.default_rng([seed, number]).permutation(len(recording.groups))
        # a group lies in the buffer in which its first row comes
        starts = np.cumsum(recording.counts[groups]) - recording.counts[groups]
        for place in np.unique(starts // room):
            members = np.sort(groups[starts // room == place])
            rows = int(recording.counts[members].sum())
            if skipped >= rows:
                skipped -= rows
                continue
            order = np.random.default_rng([seed, number, int(place)]).permutation(rows)
            if not np.array_equal(members, inside):  # one buffer may hold all there is
                buffer, inside = _filled(recording, members, rows), members
            yield buffer, order[skipped:]
            skipped = 0


def _filled(recording: Recording, members: np.ndarray, rows: int) -> Rows:
    """The rows of some row groups, one group after the other."""
    buffer: Rows = ()
    filled = 0
    for member in members:
        path, number = recording.groups[member]
        values = _read(path, number, recording.columns)
        if not buffer:
            buffer = tuple(np.empty((rows, v.shape[1]), v.dtype) for v in values)
        for whole, matrix in zip(buffer, values, strict=True):
            whole[filled : filled + len(matrix)] = matrix
        filled += len(values[0])
    return buffer


def first_rows(recording: Recording, seed: int, size: int = 4096) -> Iterator[Rows]:
    """The first 100,000 rows of the seeded order, or all rows where there are fewer."""
    left = min(recording.rows, SCALE_ROWS)
    for rows in stream(recording, seed, size):
        yield tuple(matrix[:left] for matrix in rows)
        left -= size
        if left <= 0:
            return


def scales(recording: Recording, seed: int) -> tuple[float, ...]:
    """Root mean square length of the first rows of each column, in float64.

    Raises DataError for a column that is 0 throughout.
    """
    squares = np.zeros(len(recording.columns))
    count = 0
    for rows in first_rows(recording, seed):
        squares += [np.square(matrix, dtype=np.float64).sum() for matrix in rows]
        count += len(rows[0])
    for name, square in zip(recording.columns, squares, strict=True):
        if square == 0:
            raise DataError(f"{name} is 0 in every row: there is nothing to learn a dictionary of")
    return tuple(float(scale) for scale in np.sqrt(squares / count))


def geometric_median(rows: np.ndarray) -> np.ndarray:
    """The point (width,) of least summed distance to rows (n, width), float64 (Weiszfeld 1937)."""
    rows = rows.astype(np.float64)
    median = rows.mean(axis=0)
    for _ in range(MEDIAN_STEPS):
        distances = np.maximum(np.linalg.norm(rows - median, axis=1), 1e-12)
        before, median = median, np.average(rows, axis=0, weights=1 / distances)
        if np.linalg.norm(median - before) < MEDIAN_CHANGE:
            break
    return median
