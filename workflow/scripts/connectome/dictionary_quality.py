"""How well a dictionary gives back what it stands for, and how its features fire.

Everything is a sum over tokens in float64, merged block by block (Chan's formula for the variance):
the same numbers for any size and order of blocks. Axes: N tokens, d_in, d_out, F features.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from connectome import dictionaries
from connectome.dictionaries import Dictionary

ENTRIES = 1 << 22  # of the largest matrix (n, F) in memory
QUANTILES = (0.05, 0.5, 0.95)  # of the number of features on a token
DENSE = (0.01, 0.1)  # shares of tokens above which a feature counts as dense
BINS = np.arange(-24, 1) / 4  # edges of the histogram of log10 of the share of tokens


@dataclass(frozen=True)
class Sums:
    """What `count` tokens add up to; y are targets, r their reconstructions."""

    count: int
    mean: Tensor  # (d_out,) of y
    spread: float  # sum of |y - mean|^2
    error: float  # sum of |y - r|^2
    cosine: float  # sum over tokens where neither is 0
    ratio: float  # sum of |r| / |y| over tokens where y is not 0
    product: float  # sum of <y, r>
    square: float  # sum of |r|^2
    strength: float  # sum of all features
    zero_targets: int
    zero_reconstructions: int
    zero_either: int
    fired: Tensor  # (F,) int64, tokens on which each feature is not 0
    active: Tensor  # (F + 1,) int64, tokens with so many features


def blocks(dictionary: Dictionary, count: int) -> Iterator[slice]:
    """Rows of `count` tokens in blocks whose features fit in memory."""
    step = max(1, ENTRIES // max(1, dictionary.features))
    return (slice(first, first + step) for first in range(0, count, step))


def reconstruct(dictionary: Dictionary, x: Tensor) -> Tensor:
    """Reconstructions (N, d_out) of inputs x (N, d_in)."""
    pieces = [
        dictionaries.decode(dictionary, dictionaries.encode(dictionary, x[rows]), x[rows])
        for rows in blocks(dictionary, len(x))
    ]
    return torch.cat(pieces) if pieces else x.new_zeros(0, dictionary.widths[1])


def measure(dictionary: Dictionary, x: Tensor, y: Tensor) -> tuple[Sums, Tensor]:
    """Sums of a block of inputs x (N, d_in) and targets y (N, d_out), and its features (N, F).

    At least one token; all in float64.
    """
    features = dictionaries.encode(dictionary, x)
    found = dictionaries.decode(dictionary, features, x)
    centred = y - y[0]  # the first row as origin: what is constant has no spread at all
    offset = centred.mean(dim=0)
    y_length = torch.linalg.vector_norm(y, dim=1)
    length = torch.linalg.vector_norm(found, dim=1)
    product = torch.linalg.vecdot(y, found)
    both = (y_length > 0) & (length > 0)
    fires = features != 0
    sums = Sums(
        count=len(y),
        mean=y[0] + offset,
        spread=float((centred - offset).square().sum()),
        error=float((y - found).square().sum()),
        cosine=float((product[both] / y_length[both] / length[both]).sum()),
        ratio=float((length / y_length)[y_length > 0].sum()),
        product=float(product.sum()),
        square=float(length.square().sum()),
        strength=float(features.sum()),
        zero_targets=int((y_length == 0).sum()),
        zero_reconstructions=int((length == 0).sum()),
        zero_either=int((~both).sum()),
        fired=fires.sum(dim=0),
        active=torch.bincount(fires.sum(dim=1), minlength=dictionary.features + 1),
    )
    return sums, features


def merge(left: Sums | None, right: Sums) -> Sums:
    """Sums of both sets of tokens together."""
    if left is None:
        return right
    count = left.count + right.count
    delta = right.mean - left.mean
    between = float(delta.square().sum()) * left.count * right.count / count
    added: dict[str, Any] = {
        f.name: getattr(left, f.name) + getattr(right, f.name) for f in fields(Sums)
    }
    added["mean"] = left.mean + delta * (right.count / count)
    added["spread"] += between
    return Sums(**added)


def explained_variance(sums: Sums) -> float | None:
    """1 - sum |y - r|^2 / sum |y - mean|^2, the mean over all tokens; None of constant targets."""
    return 1 - sums.error / sums.spread if sums.spread else None


def fidelity(sums: Sums) -> dict[str, float | int | None]:
    """How near reconstructions are to their targets; None where a number is not defined.

    `bias` is E|r|^2 / E<y, r>, below 1 where reconstructions are too short (Rajamanoharan et al.
    2024, eq. 10).
    """
    compared, lengths = sums.count - sums.zero_either, sums.count - sums.zero_targets
    return {
        "explained_variance": explained_variance(sums),
        "cosine": sums.cosine / compared if compared else None,
        "bias": sums.square / sums.product if sums.product else None,
        "norm_ratio": sums.ratio / lengths if lengths else None,
        "zero_targets": sums.zero_targets,
        "zero_reconstructions": sums.zero_reconstructions,
    }


def mean_active(sums: Sums) -> float:
    """Mean number of features on a token (L0)."""
    number = torch.arange(len(sums.active), dtype=torch.float64, device=sums.active.device)
    return float((number * sums.active).sum()) / sums.count


def firing(sums: Sums) -> dict[str, Any]:
    """How many features tokens have, and how many tokens features.

    A feature is dead where it fires on none of these tokens: its share of all tokens is then below
    `dead_bound`, 3 / N, with 95 % confidence.
    """
    features, share = len(sums.fired), sums.fired.double() / sums.count
    up_to = sums.active.cumsum(0) / sums.count
    low, middle, high = (int((up_to < q - 1e-12).sum()) for q in QUANTILES)
    dense = [int((share > least).sum()) / features for least in DENSE]
    return {
        "l0": mean_active(sums),
        "l0_low": low,
        "l0_median": middle,
        "l0_high": high,
        "l1": sums.strength / sums.count,
        "dead": int((sums.fired == 0).sum()) / features,
        "dead_bound": min(1.0, 3 / sums.count),
        "dense_1": dense[0],
        "dense_10": dense[1],
    }


def histogram(sums: Sums) -> dict[str, list[float]]:
    """Number of living features by log10 of the share of tokens on which they fire.

    What fires less often than the first edge says is counted in the first bin.
    """
    share = (sums.fired.double() / sums.count).cpu().numpy()
    levels = np.maximum(np.log10(share[share > 0]), BINS[0])
    counts, _ = np.histogram(levels, BINS)
    return {"edges": BINS.tolist(), "features": counts.tolist()}
