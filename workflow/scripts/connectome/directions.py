"""Directions inside parts: do the members of a part write, or read, the same thing?

The mean cosine over pairs of the n members of a part is (|sum_i d_i|^2 - n) / (n (n - 1)) for unit
directions d_i, O(n d). Near 1 the part is one wider feature, cut into pieces; near that of random
groups its members do different things, and the part is more than a feature. Random groups have the
sizes of the parts: labels permuted over the features that have one. NumPy alone.
"""

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome.labelling import UNGROUPED
from connectome.partitions import shuffled
from connectome.statistics import permutation_p

Array = np.ndarray
Row = dict[str, Any]
ENDS = ("writing", "reading")
_ROUNDING = 1e-12  # the same features in another order give the same cosine, but for the last digit
SCHEMA = pa.schema(
    dict.fromkeys(("partition", "end", "of", "site"), pa.string())
    | dict.fromkeys(("part", "parts", "members"), pa.int32())
    | dict.fromkeys(("value", "null", "null_lo", "null_hi", "p"), pa.float64())
    | {"draws": pa.int32()}
)


class Cosines(NamedTuple):
    """Mean cosine inside each of the B parts of a site, and of as many groups drawn at random.

    NaN for parts of fewer than two members. A site with a single part, or with none of several
    members, has no random groups to compare with: draws = 0.
    """

    members: Array  # (B,) those whose direction is not 0
    value: Array  # (B,)
    null: Array  # (draws, B)


def unit(directions: Array) -> Array:
    """Directions (n, d) at length 1; a row of zeros stays one."""
    length = np.linalg.norm(directions, axis=1, keepdims=True)
    return directions / np.where(length > 0, length, 1)


def mean_cosine(directions: Array) -> float | None:
    """Mean cosine over pairs of rows (n, d); None below two rows that are not 0."""
    rows = unit(directions)
    members = np.array([np.count_nonzero(rows.any(axis=1))])
    found = _inside(rows.sum(axis=0, keepdims=True), members)
    return float(found[0]) if members[0] > 1 else None


def _inside(sums: Array, members: Array) -> Array:
    """Mean cosines (B,) of parts whose unit directions add up to sums (B, d)."""
    pairs = members * (members - 1.0)
    square = np.einsum("bd,bd->b", sums, sums) - members
    return np.divide(square, pairs, out=np.full(len(members), np.nan), where=pairs > 0)


def compare(directions: Array, labels: Array, draws: int, seed: int, site: str) -> Cosines:
    """Cosines of the parts of a site, from directions (features, d) and labels (features,).

    The same seed draws other groups at another site.
    """
    rows = unit(directions)
    parts = int(labels.max(initial=-1)) + 1
    labels = np.where(rows.any(axis=1), labels, UNGROUPED)
    members = np.bincount(labels[labels >= 0], minlength=parts)

    def inside(of_feature: Array) -> Array:
        order = np.argsort(of_feature, kind="stable")[-members.sum() :]  # parts, one after another
        sums = np.zeros((parts, rows.shape[1]))
        sums[members > 0] = np.add.reduceat(rows[order], starts, axis=0)
        return _inside(sums, members)

    if not members.any():
        return Cosines(members, np.full(parts, np.nan), np.empty((0, parts)))
    starts = (np.cumsum(members) - members)[members > 0]
    place = zlib.crc32(site.encode())
    several = np.count_nonzero(members) > 1 and members.max() > 1
    null = [inside(shuffled(labels, [seed, place, i])) for i in range(draws if several else 0)]
    return Cosines(members, inside(labels), np.array(null).reshape(-1, parts))


def pooled(members: Array, values: Array) -> Array:
    """Means (...) of values (..., B) over parts of at least two members, weighted by these."""
    weight = np.where(members > 1, members, 0)
    return np.nansum(weight * values, axis=-1) / (weight.sum() or np.nan)


def rows(partition: str, end: str, sites: Mapping[str, Cosines]) -> list[Row]:
    """Rows of SCHEMA: each part, each site, and all sites that have several parts together."""
    result: list[Row] = []
    several: list[Cosines] = []
    for site, found in sites.items():
        name: Row = {"partition": partition, "end": end, "site": site}
        for part in np.flatnonzero(found.members > 1).tolist():
            row = name | {"of": "part", "part": part, "members": int(found.members[part])}
            result.append(row | _beside(found.value[part], found.null[:, part]))
        result.append(name | {"of": "site"} | _together(found))
        if len(found.null):
            several.append(found)
    if several:
        every = Cosines(*(np.concatenate(column, axis=-1) for column in zip(*several, strict=True)))
        result.append({"partition": partition, "end": end, "of": "all"} | _together(every))
    return result


def _together(found: Cosines) -> Row:
    counted = found.members[found.members > 1]
    value, null = (pooled(found.members, values) for values in (found.value, found.null))
    row = {"parts": len(counted), "members": int(counted.sum())}
    return row | _beside(float(value), null)


def _beside(value: float, null: Array) -> Row:
    """A cosine beside those of random groups: their median, central 95 %, one-sided p."""
    row: Row = {"value": float(value) if np.isfinite(value) else None, "draws": len(null)}
    if len(null) and np.isfinite(value):
        low, middle, high = np.quantile(null, [0.025, 0.5, 0.975])
        row |= {"null": float(middle), "null_lo": float(low), "null_hi": float(high)}
        row["p"] = permutation_p(value - _ROUNDING, null)
    return row
