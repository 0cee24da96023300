"""Activity profiles of ROIs: one number per token that says how active a region is.

The profile of a ROI at a token is the signed mean of its members' z-scores, in units of its own
standard deviation:

    s = sum_j a_j z_j / sqrt(a' R a),   z_j = (x_j - mean_j) / sd_j,   a_j = +1 or -1,

with R the correlation of the members. Members of one ROI may be anti-correlated; a_j is the sign
of member j in the leading eigenvector of R, so that they do not cancel. The whole profile is
turned so that its third moment over the tokens is not negative: rare, large values are positive.
Over the tokens of the covariance it has mean 0 and variance 1.

A ROI *fires* where its profile is at least a threshold: the largest grid value that a stated share
of all tokens reaches. Ties at the threshold all fire: the share may come out larger, never smaller.

Profiles are rounded once, to 1/GRID of a standard deviation; all that follows are sums of whole
numbers, so the batches in which tokens come change nothing. NumPy alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from connectome.labelling import DEAD
from connectome.moments import Found, correlations

Array = np.ndarray
GRID = 200  # steps of a profile per standard deviation
REACH = 50  # standard deviations told apart: by Chebyshev at most 1/2500 of all tokens lie beyond
_LAST = REACH * GRID
_STEPS = np.arange(-_LAST, _LAST + 1)


@dataclass(frozen=True)
class Region:
    """A ROI of a site: its live members and how they enter the profile."""

    partition: str
    site: str
    part: int
    features: int  # members, dead ones included
    members: Array  # (n,) numbers of the live ones, increasing
    signs: Array  # (n,) +1.0 or -1.0
    length: float  # sqrt(a' R a), at least 1
    alignment: float | None  # mean of a_i a_j r_ij over pairs; None for a single member


class Block(NamedTuple):
    """Consecutive tokens of whole documents, with the native features of one site."""

    values: Any  # (rows, d), an array, or a sparse matrix of the features that fire
    document: Array  # (rows,)
    position: Array  # (rows,)
    token: Array  # (rows,)


def signs(r: Array) -> Array:
    """Signs (n,) of the leading eigenvector of a correlation (n, n), its largest entry positive.

    An entry of exactly 0 counts as positive.
    """
    leading = np.linalg.eigh(r)[1][:, -1]
    if leading[np.argmax(np.abs(leading))] < 0:
        leading = -leading
    return np.where(leading < 0, -1.0, 1.0)


def mean_pair(matrix: Array) -> float | None:
    """Mean of a symmetric matrix (n, n) over pairs of different rows; None below two rows."""
    n = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (n * (n - 1))) if n > 1 else None


def live_features(labels: Mapping[str, Array], variance: Array) -> Array:
    """Features (d,) bool that vary over the tokens and that no partition calls dead."""
    result = variance > 0
    for of_feature in labels.values():
        result &= of_feature != DEAD
    return result


def regions(site: str, labels: Mapping[str, Array], moments: Found) -> list[Region]:
    """The ROIs of a site under each partition, in order; none where the site is one single part.

    labels: {partition: parts (d,)}. A ROI without a live member is left out: it has no profile; so
    is one with more of them than `moments` relate to each other.
    """
    live = live_features(labels, moments.variance)
    found = []
    for partition, of_feature in labels.items():
        parts = int(of_feature.max(initial=-1)) + 1
        for part in range(parts if parts > 1 else 0):
            inside = np.flatnonzero(of_feature == part)
            members = inside[live[inside]]
            if not 0 < len(members) <= moments.widest:
                continue
            r = correlations(moments, members)
            turn = signs(r)
            r *= np.outer(turn, turn)
            length = float(np.sqrt(r.sum()))
            found.append(
                Region(partition, site, part, len(inside), members, turn, length, mean_pair(r))
            )
    return found


class Profiles:
    """Reads the profiles of several ROIs of one site off its features."""

    def __init__(self, of_site: Sequence[Region], moments: Found) -> None:
        self.weights = np.zeros((len(moments.mean), len(of_site)))  # (d, regions)
        sd = np.sqrt(moments.variance)
        for column, region in enumerate(of_site):
            scale = region.length * sd[region.members]
            self.weights[region.members, column] = region.signs / scale
        self.offset = moments.mean @ self.weights

    def of(self, values: Any) -> Array:
        """Profiles (rows, regions) in whole steps of 1/GRID, int64, of features (rows, d)."""
        exact = values.astype(np.float64) @ self.weights - self.offset
        return np.rint(GRID * exact).astype(np.int64)


def turned(of_site: Sequence[Region], flip: Array) -> list[Region]:
    """The regions with the profiles of `flip` (regions,) bool turned over."""
    return [
        replace(region, signs=-region.signs) if over else region
        for region, over in zip(of_site, flip, strict=True)
    ]


def whole_documents(
    batches: Iterable[tuple[Any, Mapping[str, Array]]],
    join: Callable[[Sequence[Any]], Any] = np.concatenate,
) -> Iterator[Block]:
    """Batches with keys document, position and token, cut anew so that no document is divided.

    Rows of a document follow each other; `join` puts values behind each other. Memory: one batch
    and one document.
    """
    kept: Block | None = None
    for values, keys in batches:
        if values.shape[0] == 0:
            continue
        block = Block(values, keys["document"], keys["position"], keys["token"])
        if kept is not None:
            keys_of = (np.concatenate(pair) for pair in zip(kept[1:], block[1:], strict=True))
            block = Block(join([kept.values, block.values]), *keys_of)
        # the last document may go on in the next batch
        cut = int(np.flatnonzero(block.document != block.document[-1]).max(initial=-1)) + 1
        if cut:
            yield Block(*(array[:cut] for array in block))
        kept = Block(*(array[cut:] for array in block))
    if kept is not None:
        yield kept


def counted(block: Block, skip_start: bool) -> Array:
    """Rows that have a profile, bool: all but start tokens, where those are left out."""
    return block.position > 0 if skip_start else np.ones(len(block.position), dtype=bool)


def histograms(blocks: Iterable[Block], profiles: Profiles, skip_start: bool) -> Array:
    """Tokens per step of each profile, int64 (regions, steps); the ends hold what lies beyond."""
    count = profiles.weights.shape[1]
    result = np.zeros(count * len(_STEPS), dtype=np.int64)
    shift = np.arange(count) * len(_STEPS) + _LAST
    for block in blocks:
        steps = np.clip(profiles.of(block.values[counted(block, skip_start)]), -_LAST, _LAST)
        result += np.bincount((steps + shift).ravel(), minlength=len(result))
    return result.reshape(count, -1)


def lean_left(histogram: Array) -> Array:
    """Profiles (regions,) bool whose third moment is negative, from histograms (regions, steps)."""
    return histogram @ (_STEPS.astype(np.float64) ** 3) < 0


def thresholds(histogram: Array, share: float) -> Array:
    """Firing thresholds (regions,) in steps: the largest that at least `share` of tokens reach.

    Resolved for shares of at least 1 / REACH^2.
    """
    reached = np.cumsum(histogram[:, ::-1], axis=1)  # tokens at this step or above, from the top
    enough = reached >= np.maximum(1, np.ceil(share * reached[:, -1:]))
    return _STEPS[::-1][np.argmax(enough, axis=1)]
