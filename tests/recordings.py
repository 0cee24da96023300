"""Recorded activations by hand: part files such as recording makes, for dictionaries."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectome import tables

DOCUMENT = 20  # tokens of a document, its start token among them


def write(
    path: Path,
    columns: Mapping[str, np.ndarray],
    first: int = 0,
    documents_per_group: int = 5,
) -> Path:
    """A part file with columns (n, width), cut into documents numbered from `first`."""
    count = len(next(iter(columns.values())))
    place = np.arange(count)
    table = pa.table(
        {
            "document": pa.array(first + place // DOCUMENT, pa.int32()),
            "position": pa.array(place % DOCUMENT, pa.int32()),
            "token": pa.array(place * 0, pa.int32()),
            **{name: tables.fixed_lists(values) for name, values in columns.items()},
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=documents_per_group * DOCUMENT)
    return path


def planted(rows: int, seed: int, width: int = 64, active: int = 3) -> tuple[np.ndarray, ...]:
    """Sums (rows, width) of 3 of 32 orthogonal directions (32, width), and these."""
    generator = np.random.default_rng(seed)
    directions = np.linalg.qr(generator.standard_normal((width, width)))[0][:32]
    chosen = generator.random((rows, 32)).argsort(axis=1)[:, :active]
    weights = np.zeros((rows, 32))
    np.put_along_axis(weights, chosen, generator.uniform(0.5, 1.5, chosen.shape), axis=1)
    return (weights @ directions).astype(np.float32), directions
