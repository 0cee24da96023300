"""partitions.csv: sizes of every partition; partition_agreement.csv: how far each two agree."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from connectome.agreement import (
    adjusted_mutual_information,
    permutation_null,
    variation_of_information,
)
from connectome.tabulate.identity import Row

COLUMNS = (
    "model",
    "dictionary",
    "site",
    "partition",
    "status",
    "reason",
    "kind",
    "blocks",
    "matched",
    "wanted",
    "resolution",
    "effective_blocks",
    "largest_share",
    "gini",
    "grouped",
    "ungrouped",
    "dead",
)
AGREEMENT_COLUMNS = (
    "model",
    "dictionary",
    "site",
    "left",
    "right",
    "status",
    "reason",
    "features",
    "ami",
    "ami_null",
    "ami_null_hi",
    "p",
    "draws",
    "vi",
)
DRAWS = 199


def rows(
    names: Mapping[str, str],
    labels: Mapping[str, Mapping[str, np.ndarray]],
    meta: Mapping[str, Any],
) -> list[Row]:
    """One row per site and partition, from labels {site: {partition: ...}} and the metadata.

    `kind` is that of the data behind it, `matched` the partition whose number of parts a control
    was to have (`wanted`, empty for one that finds its own), `blocks` what it has;
    `effective_blocks` the exponential of the entropy of the sizes.
    """
    result = []
    for site, of_site in labels.items():
        for name in of_site:
            about = meta["partitions"][name][site]
            row = dict(names) | {"site": site, "partition": name}
            result.append(row | {key: about.get(key) for key in COLUMNS if key not in row})
    return result


def agreement_rows(
    names: Mapping[str, str],
    labels: Mapping[str, Mapping[str, np.ndarray]],
    meta: Mapping[str, Any],
    seed: int,
) -> list[Row]:
    """One row per site and pair of its partitions; labels: {site: {partition: (features,)}}.

    Over the features that both group: AMI; variation of information in nats; mean and 95th
    percentile of AMI over 199 permutations of one side; p = (1 + draws that reach the AMI) / 200.
    A pair says nothing where one side was not made or has a single part, as `modules` always has:
    it is left out.
    """
    return [
        dict(names)
        | {"site": site, "left": left, "right": right}
        | agreement(
            of_site[left],
            of_site[right],
            [(name, meta["partitions"][name][site]["reason"]) for name in (left, right)],
            seed,
        )
        for site, of_site in labels.items()
        for left, right in combinations([name for name in of_site if name != "modules"], 2)
    ]


def agreement(
    left: np.ndarray, right: np.ndarray, reasons: list[tuple[str, str | None]], seed: int
) -> Row:
    """Agreement of two labellings (features,); `reasons`: name of each, and why it was not made."""
    row: Row = dict.fromkeys(AGREEMENT_COLUMNS[5:])
    both = (left >= 0) & (right >= 0)
    left, right = left[both], right[both]
    row |= {"status": "refused", "features": int(both.sum())}
    for labels, (name, reason) in zip((left, right), reasons, strict=True):
        if reason is not None:
            return row | {"reason": f"{name}: {reason}"}
        if len(np.unique(labels)) < 2:
            return row | {"reason": f"{name} has one part"}
    ami = adjusted_mutual_information(left, right)
    null = permutation_null(left, right, DRAWS, seed)
    return row | {
        "status": "ok",
        "ami": ami,
        "ami_null": float(null.mean()),
        "ami_null_hi": float(np.quantile(null, 0.95)),
        # equal labellings come out a rounding error apart
        "p": float((1 + np.sum(null >= ami - 1e-12)) / (1 + DRAWS)),
        "draws": DRAWS,
        "vi": variation_of_information(left, right),
    }
