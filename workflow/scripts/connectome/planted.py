"""Samples whose groups are known: what the path from covariance to ROIs is held against.

Labels are those of partitions: groups 0, 1, ..., UNGROUPED for features that are noise of their
own, DEAD for features that are always 0. NumPy alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from connectome.agreement import adjusted_mutual_information
from connectome.labelling import DEAD, UNGROUPED

Array = np.ndarray


def groups(sizes: Sequence[int], noise: int, dead: int, seed: int) -> Array:
    """Labels (features,) int32 of groups of these sizes, noise and dead features, shuffled."""
    counts = [*sizes, noise, dead]
    labels = np.repeat([*range(len(sizes)), UNGROUPED, DEAD], counts).astype(np.int32)
    return np.random.default_rng(seed).permutation(labels)


def samples(labels: Array, rows: int, strength: float, memory: float, seed: int) -> Array:
    """Samples (rows, features) float32 of unit variance; members of a group correlate.

    `strength` is the correlation of two members of a group, the sign of each member random.
    `memory` is the correlation of a row with the one before it, in every feature: tokens of a text
    are no independent samples.
    """
    rng = np.random.default_rng(seed)
    members = labels >= 0
    factors = _remembering(rows, int(labels.max()) + 1, memory, rng)
    x = _remembering(rows, len(labels), memory, rng)
    sign = rng.choice([-1.0, 1.0], int(members.sum()))
    x[:, members] *= np.sqrt(1 - strength)
    x[:, members] += np.sqrt(strength) * sign * factors[:, labels[members]]
    x[:, labels == DEAD] = 0
    return x.astype(np.float32)


def ring(features: int, rows: int, width: float, memory: float, seed: int) -> Array:
    """Samples (rows, features) float32 of features on a ring: a continuum without groups.

    Neighbours correlate with exp((cos a - 1) / width^2), a the angle between them.
    """
    angle = 2 * np.pi * np.arange(features) / features
    kernel = np.exp((np.cos(angle[:, None] - angle[None, :]) - 1) / width**2)
    values, vectors = np.linalg.eigh(kernel)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    drawn = _remembering(rows, features, memory, np.random.default_rng(seed))
    return (drawn @ root.T).astype(np.float32)


def firing(
    labels: Array, rates: Array, rows: int, share: float, burst: float, seed: int
) -> tuple[Array, Array]:
    """Sparse features that fire: tokens and features of all firings, each (n,), by token.

    Feature j fires at about the share rates[j] of the rows. Members of a group owe `share` of their
    firings to episodes of the group, in which each fires at random; all else are bursts of their
    own. Both last `burst` tokens on average. Dead features never fire.
    """
    rng = np.random.default_rng(seed)
    members = labels >= 0
    own = rates * rows * np.where(members, 1 - share, 1.0) * (labels != DEAD)
    feature, token = _bursts(own / burst, rows, burst, rng)
    found = [token * len(labels) + feature]
    shared = np.where(members, rates, 0.0) * rows * share
    most = np.zeros(int(labels.max()) + 1)
    np.maximum.at(most, labels[members], shared[members])
    # the member that fires most does so in four of five tokens of an episode
    group, on = _bursts(most / 0.8 / burst, rows, burst, rng)
    for number in range(len(most)):
        inside = np.unique(on[group == number])
        of_group = np.flatnonzero(labels == number)
        fires = rng.random((len(inside), len(of_group))) * len(inside) < shared[of_group]
        i, j = np.nonzero(fires)
        found.append(inside[i] * len(labels) + of_group[j])
    return np.divmod(np.unique(np.concatenate(found)), len(labels))


def _bursts(
    counts: Array, rows: int, length: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Owners and tokens of bursts, about counts (n,) of each owner, at random places."""
    owner = np.repeat(np.arange(len(counts)), rng.poisson(counts))
    start, lengths = rng.integers(rows, size=len(owner)), rng.geometric(1 / length, len(owner))
    step = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(owner, lengths), (np.repeat(start, lengths) + step) % rows


def _remembering(rows: int, columns: int, memory: float, rng: np.random.Generator) -> Array:
    """Independent series (rows, columns) of unit variance that remember their last value."""
    x = rng.standard_normal((rows, columns))
    for row in range(1, rows):
        x[row] = memory * x[row - 1] + np.sqrt(1 - memory**2) * x[row]
    return x


class Recovered(NamedTuple):
    """Agreement of a partition with planted groups."""

    parts: int
    members: float  # AMI over the features of planted groups
    live: float  # AMI over all live features, noise being one more label
    noise_out: float | None  # share of the noise that is in no part; None without noise


def recovered(found: Array, planted: Array) -> Recovered:
    """Labels (features,) of a partition against planted ones; dead features count nowhere."""
    members, noise, live = planted >= 0, planted == UNGROUPED, planted != DEAD
    return Recovered(
        int(found.max()) + 1,
        adjusted_mutual_information(found[members], planted[members]),
        adjusted_mutual_information(found[live], planted[live]),
        float(np.mean(found[noise] < 0)) if noise.any() else None,
    )
