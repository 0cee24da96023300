"""ROIs of two models compared, by every route that their features allow.

One row per partition and route. Route `features`, site by site: MLP neurons of two checkpoints of
one training run are the same neurons. Route `profiles`, all sites together: what ROIs do on the
same tokens. What cannot be compared is a row with its reason.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome import matching, profile_matching
from connectome.errors import DataError
from connectome.profiles import Region

Array = np.ndarray
Row = dict[str, Any]
_TEXT = ("partition", "route", "site", "status", "reason")
_COUNTS = ("features", "parts_left", "parts_right", "pairs", "draws")
_NUMBERS = (
    *("ami", "ami_null", "ami_null_hi", "ami_p"),
    *("strength", "permuted", "permuted_hi", "p_permuted", "rolled", "rolled_hi", "p_rolled"),
)
SCHEMA = pa.schema(
    {name: pa.string() for name in _TEXT}
    | {name: pa.int64() for name in (*_COUNTS, *matching.Fates._fields)}
    | {name: pa.float64() for name in _NUMBERS}
)
PAIR_SCHEMA = pa.schema(
    {name: pa.string() for name in ("partition", "route", "site_left", "site_right")}
    | {
        name: pa.int64()
        for name in ("part_left", "part_right", "features_left", "features_right", "draws")
    }
    | {
        name: pa.float64()
        for name in ("strength", "sign", "permuted", "permuted_hi", "p_permuted", "p_rolled")
    }
)
DIRECTIONS = (
    "singular directions of a head are found anew in every set of weights: direction 3 at one "
    "checkpoint is not direction 3 at another; these ROIs are matched by their profiles"
)


class Recorded(NamedTuple):
    """ROIs of a model, and where their activity can be read."""

    sites: Mapping[str, profile_matching.Site]
    labels: Mapping[str, Mapping[str, Array]]  # {partition: {site: (d,)}}
    keys: Mapping[str, Array]  # document, position, token of the rows


def compare(
    left: Recorded, right: Recorded, settings: Mapping[str, Any], same_run: bool, seed: int
) -> tuple[list[Row], list[Row]]:
    """Rows of SCHEMA and of PAIR_SCHEMA for each of settings["partitions"]; `left` is the earlier.

    settings: `partitions`, `draws` of each null. same_run: both are weights of one training run.
    """
    rows, pairs = [], []
    for partition in settings["partitions"]:
        of_left, of_right = left.labels[partition], right.labels[partition]
        for site in of_left if same_run else ():
            if site not in of_right:
                continue
            row, more = _by_features(site, of_left[site], of_right[site], settings["draws"], seed)
            rows.append({"partition": partition, "route": "features", "site": site} | row)
            pairs += [{"partition": partition, "route": "features"} | pair for pair in more]
        row, more = _by_profiles(left, right, partition, settings["draws"], seed)
        rows.append({"partition": partition, "route": "profiles", "site": ""} | row)
        pairs += [{"partition": partition, "route": "profiles"} | pair for pair in more]
    return rows, pairs


def _refused(reason: str) -> tuple[Row, list[Row]]:
    return {"status": "refused", "reason": reason}, []


def _by_features(
    site: str, left: Array, right: Array, draws: int, seed: int
) -> tuple[Row, list[Row]]:
    if site.startswith("attn"):
        return _refused(DIRECTIONS)
    counts = [int(labels.max(initial=-1)) + 1 for labels in (left, right)]
    both = int(((left >= 0) & (right >= 0)).sum())
    if min(counts) < 2 or not both:
        few = min(counts)
        return _refused(
            "no feature has a part in both models" if few > 1 else f"one model has {few} part here"
        )
    ami, ami_null = matching.agreement(left, right, draws, seed)
    found = matching.match_labels(left, right, draws, seed)
    row = {
        "status": "ok",
        "features": both,
        **dict(zip(("parts_left", "parts_right"), counts, strict=True)),
        "pairs": len(found.left),
        "draws": draws,
        **matching.fates(left, right)._asdict(),
        "ami": ami,
        "ami_null": float(ami_null.mean()),
        "ami_null_hi": float(np.quantile(ami_null, 0.95)),
        "ami_p": float((1 + np.sum(ami_null >= ami - 1e-12)) / (1 + draws)),
        **_nulls(found, "permuted"),
    }
    ends = [
        (int(a), int(b), int((left == a).sum()), int((right == b).sum()))
        for a, b in zip(found.left, found.right, strict=True)
    ]
    pairs = [
        {"site_left": site, "site_right": site, "part_left": a, "part_right": b}
        | {"features_left": n, "features_right": m, **_of_pair(found, i)}
        for i, (a, b, n, m) in enumerate(ends)
    ]
    return row, pairs


def _by_profiles(
    left: Recorded, right: Recorded, partition: str, draws: int, seed: int
) -> tuple[Row, list[Row]]:
    reason = profile_matching.same_tokens(left.keys, right.keys)
    if reason is not None:
        return _refused(reason)
    side = profile_matching.side(left.sites, left.labels[partition])
    try:
        found = profile_matching.match_profiles(
            side, right.sites, right.labels[partition], draws, seed
        )
    except DataError as error:
        return _refused(str(error))
    row = {
        "status": "ok",
        "parts_left": len(found.left),
        "parts_right": len(found.right),
        "pairs": len(found.permuted.left),
        "draws": draws,
        **_nulls(found.permuted, "permuted"),
        **_nulls(found.rolled, "rolled"),
    }
    ends = zip(found.permuted.left, found.permuted.right, strict=True)
    pairs = [
        _ends(found.left[a], found.right[b])
        | _of_pair(found.permuted, i)
        | {"p_rolled": float(found.rolled.p[i]), "sign": float(np.sign(found.correlation[a, b]))}
        for i, (a, b) in enumerate(ends)
    ]
    return row, pairs


def _ends(left: Region, right: Region) -> Row:
    return {
        f"{key}_{end}": value
        for end, roi in (("left", left), ("right", right))
        for key, value in (("site", roi.site), ("part", roi.part), ("features", roi.features))
    }


def _nulls(found: matching.Matching, null: str) -> Row:
    return {
        "strength": found.mean,
        null: float(found.null_mean.mean()),
        f"{null}_hi": float(np.quantile(found.null_mean, 0.95)),
        f"p_{null}": found.p_mean,
    }


def _of_pair(found: matching.Matching, i: int) -> Row:
    return {
        "strength": float(found.strength[i]),
        "permuted": float(found.null[:, i].mean()),
        "permuted_hi": float(np.quantile(found.null[:, i], 0.95)),
        "p_permuted": float(found.p[i]),
        "draws": len(found.null),
    }
