"""The classical recipe, a yardstick for small sites: a weighted block model of the complete graph.

Each pair of live features is one edge with weight 2 artanh r, taken for normal; no threshold, no
choice of neighbours. Its cost grows faster than the square of the features, and it can return
every feature as its own block, so it runs on request alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from connectome import sbm
from connectome.graphs import complete
from connectome.labelling import DEAD, of_features
from connectome.moments import correlations, full


def fit(
    record: Mapping[str, Any],
    covariance: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Any] | None:
    """The entry `classical` of an sbm record, from that record and the site's covariance file.

    settings: those of `sbm.fit`, and classical_features: the most live features to run on (0: off,
    the entry is None). Larger sites and refused ones are refused with the reason.

    The entry holds levels, blocks, restarts and seed_ami like the record. Description lengths in
    nats of the complete graph: under these levels, under the record's own (`_default`, its
    ungrouped features as one more block) and as one block. ami_default: AMI of both at the finest
    level, over the features that the default groups. own_blocks: whether every live feature came
    back as its own block, which says nothing about groups.
    """
    limit = settings["classical_features"]
    if limit == 0:
        return None
    reason = record["reason"]
    if reason is None and record["live"] > limit:
        reason = f"{record['live']} live features; sbm.classical_features allows {limit}"
    entry: dict[str, Any] = {
        "status": "refused" if reason else "ok",
        "reason": reason,
        "levels": [],
        "blocks": [],
        "description_length": None,
        "description_length_default": None,
        "description_length_one_block": None,
        "ami_default": None,
        "restarts": [],
        "seed_ami": None,
        "own_blocks": None,
    }
    if reason:
        return entry
    try:
        return entry | _fitted(record, covariance, settings, seed)
    except AssertionError:  # in graph-tool: the variance of equal weights came out below 0
        reason = "too many pairs of features have the same correlation for a normal model"
        return entry | {"status": "refused", "reason": reason}


def _fitted(
    record: Mapping[str, Any],
    covariance: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    default = [np.array(labels) for labels in record["levels"]]
    dead = default[0] == DEAD
    live = np.flatnonzero(~dead)
    edges, weights = complete(correlations(full(covariance), live), live)
    seeds = range(seed, seed + settings["seeds"])
    # every node of a complete graph has the same degree: there is nothing to correct for
    fits = sbm.fit_edges(edges, seeds, settings, degree_corrected=False, weights=weights)
    levels = [of_features(labels, live, dead) for labels in fits.best.levels]
    both = default[0] >= 0

    def length(labels: Sequence[np.ndarray]) -> float:
        return sbm.description_length(edges, labels, degree_corrected=False, weights=weights)

    return {
        "levels": [labels.tolist() for labels in levels],
        "blocks": [int(labels.max()) + 1 for labels in levels],
        "description_length": length(fits.best.levels),
        "description_length_default": length(_covering(default, live)),
        "description_length_one_block": length([np.zeros(len(live), dtype=np.int32)]),
        "ami_default": sbm.agreement(default[0][both], levels[0][both]),
        "restarts": sbm.restart_records(fits),
        "seed_ami": sbm.restart_agreement(fits),
        "own_blocks": fits.best.blocks == len(live),
    }


def _covering(levels: list[np.ndarray], live: np.ndarray) -> list[np.ndarray]:
    """Nested labels of all live features: those without a group are one block more, to the top."""
    covering = [np.where(labels < 0, labels.max() + 1, labels)[live] for labels in levels]
    if covering[-1].max() > 0:
        covering.append(np.zeros_like(covering[-1]))
    return covering
