"""Encoded features: which features of a dictionary fire on each token, and how strongly.

A part file has one row per recorded token: its keys, the features that fire in increasing order and
their values. How many features there are stands in its metadata.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array, vstack

from connectome import tables
from connectome.cofiring import PAIRS

KEYS = ("document", "position", "token")
SCHEMA = pa.schema(
    [pa.field(key, pa.int32(), False) for key in KEYS]
    + [
        pa.field("feature", pa.list_(pa.field("item", pa.int32(), False)), False),
        pa.field("value", pa.list_(pa.field("item", pa.float32(), False)), False),
    ]
)
_BATCH_ROWS = 8192

Batch = tuple[csr_array, dict[str, np.ndarray]]  # (rows, features), 1 where one fires; keys


def record_batch(
    keys: Mapping[str, np.ndarray], lengths: np.ndarray, feature: np.ndarray, value: np.ndarray
) -> pa.RecordBatch:
    """Rows of a part file: so many features (n,) of each, those of one row behind the other."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    columns = [pa.array(keys[key], pa.int32()) for key in KEYS]
    for listed, name in ((feature, "feature"), (value, "value")):
        kind = SCHEMA.field(name).type
        columns.append(pa.ListArray.from_arrays(offsets, pa.array(listed), type=kind))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def is_encoded(path: Path) -> bool:
    """Whether a part file holds encoded features rather than recorded columns."""
    return "feature" in tables.read_names(path)


def of_site(paths: Sequence[Path], site: str) -> list[Path]:
    """Those of the part files that belong to a site, in their order."""
    return [path for path in paths if tables.read_meta(path)["site"] == site]


def batches(paths: Sequence[Path], keys: Sequence[str] = KEYS) -> Iterator[Batch]:
    """Which features fire, over part files in the order given; one batch of a file at least."""
    for path in paths:
        width = int(tables.read_meta(path)["features"])
        yield (
            rows(np.empty(0, int), np.empty(0, np.int32), width),
            {key: np.empty(0, int) for key in keys},
        )
        for lengths, feature, of_rows in tables.iter_lists([path], "feature", keys, _BATCH_ROWS):
            yield rows(lengths, feature, width), of_rows


def rows(lengths: np.ndarray, feature: np.ndarray, width: int) -> csr_array:
    """Firing (n, width) of rows with so many features (n,), those of one behind the other."""
    first = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=first[1:])
    ones = np.ones(len(feature), dtype=np.int32)
    return csr_array((ones, feature, first), shape=(len(lengths), width))


def join(some: Sequence[Any]) -> csr_array:
    """Rows behind each other."""
    return vstack(some, format="csr")


def stacked(stream: Iterable[tuple[Any, np.ndarray]]) -> Iterator[tuple[Any, np.ndarray]]:
    """Rows and their ids in larger pieces: each costs one sum over all pairs that ever met."""
    waiting: list[tuple[Any, np.ndarray]] = []
    size = 0
    for values, ids in stream:
        waiting.append((values, ids))
        size += pairs(values)
        if size >= PAIRS:
            yield _joined(waiting)
            waiting, size = [], 0
    if waiting:
        yield _joined(waiting)


def pairs(fired: Any) -> int:
    """Products that the co-firing of these rows takes."""
    return int((np.diff(fired.indptr).astype(np.int64) ** 2).sum())


def _joined(waiting: Sequence[tuple[Any, np.ndarray]]) -> tuple[Any, np.ndarray]:
    values, ids = zip(*waiting, strict=True)
    return join(values), np.concatenate(ids)
