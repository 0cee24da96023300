"""Encoding: recorded activations of a site as the features of a dictionary that fire.

Tokens are encoded in blocks, so that no dense array of features grows with the corpus.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import torch

from connectome import dictionaries
from connectome.devices import ranges, within_memory
from connectome.dictionaries import Dictionary
from connectome.encoded import record_batch
from connectome.errors import DataError

BLOCK = 2**24  # features of a block of tokens: 64 MB

Array = np.ndarray


def column(site: str, dictionary: Dictionary) -> str:
    """Recorded column that the dictionary of a site reads: its output, or its input."""
    return f"{site}.in" if dictionary.transcoder else site


@torch.inference_mode()
def fired(dictionary: Dictionary, x: Array) -> tuple[Array, Array, Array]:
    """Features above 0 on tokens x (n, d_in), as (lengths (n,), features, values), token by token.

    Features of a token come in increasing order.
    """
    # a single row would take another way through the product, and come out with other last digits
    rows = np.repeat(x, 2, axis=0) if len(x) == 1 else x
    inputs = torch.tensor(rows, dtype=torch.float32).to(dictionary.encoder)
    f = dictionaries.encode(dictionary, inputs)[: len(x)]  # (n, F)
    token, feature = (f > 0).nonzero(as_tuple=True)
    lengths = torch.bincount(token, minlength=len(x))
    return (
        lengths.cpu().numpy().astype(np.int32),
        feature.cpu().numpy().astype(np.int32),
        f[token, feature].float().cpu().numpy(),
    )


def encode(
    dictionary: Dictionary, batches: Iterable[tuple[Array, Mapping[str, Array]]], name: str
) -> Iterator[pa.RecordBatch]:
    """Rows of a part file of encoded features from batches of (inputs (n, d_in), keys).

    `name` is the column of the inputs. Raises DataError for one of another width, and for the first
    value of a token other than a start token that is not finite.
    """
    d_in = dictionary.widths[0]
    size = max(1, BLOCK // dictionary.features)
    for x, keys in batches:
        if x.shape[1] != d_in:
            raise DataError(f"{name}: {x.shape[1]} values; the dictionary reads {d_in}")
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1) & (keys["position"] > 0))
        if len(bad):
            places = ", ".join(f"{key} {keys[key][bad[0]]}" for key in ("document", "position"))
            raise DataError(f"{name}: a value that is not finite at {places}")

        def run(rows: range, x: Array = x, keys: Mapping[str, Array] = keys) -> pa.RecordBatch:
            mine = slice(rows.start, rows.stop)
            return record_batch({key: keys[key][mine] for key in keys}, *fired(dictionary, x[mine]))

        yield from within_memory(run, ranges(len(x), size), "tokens")
