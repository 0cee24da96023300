"""Heads of features: which head of an attention site a feature of a dictionary belongs to.

What head h contributes to feature j at a token is W_enc,j . (z_h W_O^h), the part of the feature's
pre-activation that h writes; what a site writes at every token, and the biases of the encoder,
belong to no head. Means are over the tokens where j is active, so that only the mean value of each
of the head's directions at these tokens is needed.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse

from connectome import transformer
from connectome.dictionaries import Dictionary
from connectome.errors import DataError
from connectome.transformer import Transformer

Array = np.ndarray
Row = dict[str, Any]
Recorded = Iterable[tuple[Any, Mapping[str, Array]]]  # rows and their keys
SCHEMA = pa.schema(
    {
        "site": pa.string(),
        "feature": pa.int32(),
        "tokens": pa.int64(),
        "head": pa.int32(),
        "contribution": pa.float64(),
        "margin": pa.float64(),
        "entropy": pa.float64(),
    }
)


class Sums(NamedTuple):
    """Over the tokens where each feature is active."""

    values: Array  # (features, value directions), as written
    tokens: Array  # (features,)


class Assigned(NamedTuple):
    """A head for each feature (features,); NaN, and head -1, where there is none."""

    head: Array
    contribution: Array  # mean of that head
    margin: Array  # (first - second) / first
    entropy: Array  # nats, of the heads' shares in all that is contributed with a positive sign


def add_up(batches: Iterable[tuple[Array, Any]]) -> Sums:
    """Sums over batches of values (n, value directions) and activity, sparse (n, features)."""
    total = None
    for values, active in batches:
        fired = sparse.csr_array(active != 0).astype(np.float64)
        found = Sums(fired.T @ values.astype(np.float64), fired.sum(axis=0))
        total = found if total is None else Sums(*map(np.add, total, found))
    if total is None:
        raise DataError("no recorded tokens: record activations first")
    return total


def contributions(sums: Sums, output: Array, encoder: Array) -> Array:
    """Mean contribution (heads, features) of each head to each feature, NaN for dead features.

    output (heads, w, d): what a value direction writes; encoder (d, features).
    """
    heads, width, _ = output.shape
    by_head = sums.values.reshape(-1, heads, width)
    total = [np.einsum("fw,wf->f", by_head[:, h], output[h] @ encoder) for h in range(heads)]
    with np.errstate(invalid="ignore"):
        return np.stack(total) / sums.tokens


def assign(contribution: Array) -> Assigned:
    """The head that contributes most to each feature, from (heads, features).

    A feature to which no head contributes (its biases alone make it fire), or that is never active,
    has none.
    """
    alive = np.where(np.isfinite(contribution), contribution, 0.0)
    positive = np.maximum(alive, 0)
    head = np.argmax(alive, axis=0)
    ordered = np.sort(alive, axis=0)
    first, second = ordered[-1], ordered[-2] if len(ordered) > 1 else 0 * ordered[-1]
    none = first <= 0
    with np.errstate(divide="ignore", invalid="ignore"):
        margin = (first - second) / first
        share = positive / positive.sum(axis=0)
        nats = -np.sum(np.where(share > 0, share * np.log(share), 0), axis=0)
    found = (np.where(none, np.nan, x) for x in (first, margin, nats))
    return Assigned(np.where(none, -1, head), *found)


def rows(site: str, sums: Sums, assigned: Assigned) -> list[Row]:
    """Rows of SCHEMA, one per feature."""
    return [
        {"site": site, "feature": feature, "tokens": int(sums.tokens[feature])}
        | {"head": None if head < 0 else head}
        | {
            name: None if np.isnan(column[feature]) else float(column[feature])
            for name, column in zip(Assigned._fields[1:], assigned[1:], strict=True)
        }
        for feature, head in enumerate(assigned.head.tolist())
    ]


def aligned(
    site: str, values: Recorded, fired: Recorded, skip_start: bool
) -> Iterator[tuple[Array, Any]]:
    """Value directions (n, features) and activity, sparse (n, features), of the tokens that count.

    Both come with the keys document and position, batch by batch in the same rows.
    Raises DataError where the rows are not the same.
    """
    for recorded, encoded in zip_longest(values, fired):
        if recorded is None or encoded is None or not _same(recorded[1], encoded[1]):
            raise DataError(
                f"{site}: the encoded features are not those of the recorded tokens; encode them "
                "again"
            )
        counted = np.flatnonzero((recorded[1]["position"] > 0) | (not skip_start))
        yield recorded[0][counted], encoded[0][counted]


def _same(left: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    return all(np.array_equal(left[key], right[key]) for key in ("document", "position"))


def of_site(
    model: Transformer,
    site: str,
    dictionary: Dictionary,
    batches: Iterable[tuple[Array, Any]],
) -> list[Row]:
    """Rows of SCHEMA of a dictionary of what an attention site writes, from `aligned` batches.

    Raises DataError for a dictionary that reads something of another width.
    """
    module = model.module(site)
    if dictionary.widths[0] != model.size.width:
        raise DataError(
            f"{site}: the dictionary reads {dictionary.widths[0]} numbers, the site writes "
            f"{model.size.width}; heads are told apart in what the site writes"
        )
    sums = add_up((_written(model, site, values), active) for values, active in batches)
    output = module.output if module.gain is None else module.output * module.gain
    encoder = dictionary.encoder.double().cpu().numpy()
    found = contributions(sums, output.double().cpu().numpy(), encoder)
    return rows(site, sums, assign(found))


@torch.inference_mode()
def _written(model: Transformer, site: str, values: Array) -> Array:
    """Value directions as they are written: behind a norm, times its scale."""
    if model.module(site).gain is None:
        return values
    z = torch.tensor(values).to(model.embedding)
    return values * transformer.behind(model, site, z).scale.cpu().numpy()
