"""ROIs of two models matched by what they do on the SAME tokens, whatever their features are.

The profile of a ROI is that of `profiles`: the signed mean of its members' z-scores in units of its
own standard deviation. Its sign is a convention, so profiles are compared by |r|. Two nulls:

- `rolled`: the tokens of the right model rolled by random offsets, which keeps the
  autocorrelation of every profile: is there any relation beyond text in general?
- `permuted`: the labels of the right model permuted within each site, sizes kept: do these groups
  correspond better than other groups of the same features? The harder of the two.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from connectome.errors import DataError
from connectome.matching import Matching, matched
from connectome.moments import of_rows
from connectome.profiles import Profiles, Region, regions

Array = np.ndarray
Site = Callable[[], Array]  # reads the features (tokens, d) of a site, a site at a time


class Side(NamedTuple):
    """ROIs of one model and their profiles on the tokens, in the order of sites and parts."""

    rois: list[Region]
    profiles: Array  # (tokens, ROIs) float64, mean 0 and variance 1; 0 where they do not vary


class ProfileMatch(NamedTuple):
    """ROIs of both models and their matching under both nulls, which find the same pairs."""

    left: list[Region]
    right: list[Region]
    correlation: Array  # (left, right), signed
    permuted: Matching
    rolled: Matching


def same_tokens(left: Mapping[str, Array], right: Mapping[str, Array]) -> str | None:
    """None where two recordings are of the same tokens; else the sentence that says where not.

    left, right: columns `document`, `position`, `token` of each, (tokens,).
    """
    for name in ("document", "position", "token"):
        a, b = left[name], right[name]
        n = min(len(a), len(b))
        differ = np.flatnonzero(a[:n] != b[:n])
        if len(differ):
            i = int(differ[0])
            return (
                f"the two models did not read the same tokens: row {i} has {name} {int(a[i])} in "
                f"one and {int(b[i])} in the other; profiles need one corpus and one tokenizer"
            )
        if len(a) != len(b):
            return f"the two models read {len(a)} and {len(b)} tokens; profiles need the same"
    return None


def side(sites: Mapping[str, Site], labels: Mapping[str, Array]) -> Side:
    """Profiles of the ROIs of a model; one site is in memory at a time.

    labels: {site: (d,)}. A site that is one single part has no ROI.
    """
    rois, columns = [], []
    for site, read in sites.items():
        values = read()
        moments = of_rows(values)
        of_site = regions(site, {"": labels[site]}, moments)
        if of_site:
            weights = Profiles(of_site, moments).weights
            columns.append(standard((values - moments.mean) @ weights))
            rois += of_site
    return Side(rois, np.concatenate(columns, axis=1) if columns else np.empty((0, 0)))


def standard(values: Array) -> Array:
    """Columns with mean 0 and variance 1; 0 where they do not vary."""
    centred = values - values.mean(axis=0)
    deviation = np.sqrt(np.mean(centred**2, axis=0))
    return centred / np.where(deviation > 0, deviation, np.inf)


def match_profiles(
    left: Side, sites: Mapping[str, Site], labels: Mapping[str, Array], draws: int, seed: int
) -> ProfileMatch:
    """Match the ROIs of `left` to those that `labels` make of the right model's `sites`.

    Only products of the left profiles with single right features are kept (left ROIs x features),
    from which the profile of any grouping follows, so a draw costs no pass over the tokens.
    Raises DataError where one side has no ROI.
    """
    right = side(sites, labels)
    if not left.rois or not right.rois:
        raise DataError("one of the two models has no ROI: each of its sites is one part")
    tokens = len(left.profiles)
    correlation = left.profiles.T @ right.profiles / tokens
    rng = np.random.default_rng([seed, 1])

    def rolled(_: int) -> Array:
        offset = int(rng.integers(tokens // 10, tokens - tokens // 10)) if tokens > 10 else 1
        return np.abs(left.profiles.T @ np.roll(right.profiles, offset, axis=0) / tokens)

    permuted = _permuted(left, sites, labels, draws, seed)
    strength = np.abs(correlation)
    return ProfileMatch(
        left.rois,
        right.rois,
        correlation,
        matched(strength, draws, lambda draw: permuted[draw]),
        matched(strength, draws, rolled),
    )


def _permuted(
    left: Side, sites: Mapping[str, Site], labels: Mapping[str, Array], draws: int, seed: int
) -> list[Array]:
    """|r| of the left profiles with those of permuted labels, a matrix (left, right) per draw."""
    found: list[list[Array]] = [[] for _ in range(draws)]
    for number, (site, read) in enumerate(sites.items()):
        values, of_site = read(), labels[site]
        moments = of_rows(values)
        if not regions(site, {"": of_site}, moments):
            continue
        products = left.profiles.T @ (values - moments.mean) / len(values)  # (left, d)
        covariance = moments.m2 / moments.count
        rng = np.random.default_rng([seed, 2, number])
        grouped = np.flatnonzero((of_site >= 0) & (moments.variance > 0))
        for draw in range(draws):
            shuffled = of_site.copy()
            shuffled[grouped] = rng.permutation(of_site[grouped])
            weights = Profiles(regions(site, {"": shuffled}, moments), moments).weights
            variance = np.einsum("dr,dr->r", weights, covariance @ weights)
            found[draw].append(np.abs(products @ weights) / np.sqrt(np.maximum(variance, 1e-30)))
    return [np.concatenate(parts, axis=1) for parts in found]
