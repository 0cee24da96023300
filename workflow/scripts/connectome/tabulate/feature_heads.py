"""feature_heads.csv: features by head, and how sure; head_overlap.csv: heads and regions."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from connectome.labelling import DEAD, UNGROUPED
from connectome.parts import MARKS
from connectome.tabulate.identity import Row, median, share
from connectome.tabulate.partitions import AGREEMENT_COLUMNS, agreement
from connectome.tabulate.rois import part_name

_SITE = ("model", "dictionary", "site")
COLUMNS = (
    *(*_SITE, "of", "head", "margin_from", "margin_to", "features", "share"),
    *(
        "assigned",
        "ambiguous",
        "ambiguous_share",
        "unassigned",
        "dead",
        "margin",
        "effective_heads",
    ),
)
OVERLAP_COLUMNS = (
    *(*_SITE, "partition", "of", "head", "part", "features", "status", "reason"),
    *("heads", "parts", "ami", "ami_null", "ami_null_hi", "p", "draws"),
)
AMBIGUOUS = 0.2  # margin below which the second head contributes nearly as much as the first
_EDGES = [i / 10 for i in range(11)]  # of the histogram of margins
_BINS = list(pairwise([*_EDGES[:-1], None]))  # the last one is open


def rows(names: Mapping[str, str], assigned: Iterable[Mapping[str, Any]], heads: int) -> list[Row]:
    """Per site: all its features, those of each of the heads, those in each bin of the margin.

    assigned: rows of feature_heads.SCHEMA. `share` is of the features that have a head; `margin`
    and `effective_heads` (the exponential of the entropy of contributions) are medians over these.
    A margin above 1 means that all other heads contribute against the feature.
    """
    result = []
    for site, features in _by_site(assigned).items():
        of_site = dict.fromkeys(COLUMNS) | dict(names) | {"site": site}
        result += [of_site | row for row in _summary(site, features, heads)]
    return result


def _by_site(found: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    result: dict[str, list[Mapping[str, Any]]] = {}
    for row in found:
        result.setdefault(row["site"], []).append(row)
    return result


def _summary(site: str, features: Sequence[Mapping[str, Any]], heads: int) -> list[Row]:
    own = [row for row in features if row["head"] is not None]
    margin = np.array([row["margin"] for row in own])
    ambiguous = int((margin < AMBIGUOUS).sum())
    dead = sum(row["tokens"] == 0 for row in features)
    whole: Row = {
        "of": "site",
        "features": len(features),
        "assigned": len(own),
        "ambiguous": ambiguous,
        "ambiguous_share": share(ambiguous, len(own)),
        "unassigned": len(features) - len(own) - dead,
        "dead": dead,
        "margin": median(margin.tolist()),
        "effective_heads": median(float(np.exp(row["entropy"])) for row in own),
    }
    of_head = np.bincount([row["head"] for row in own], minlength=heads)
    binned = np.histogram(np.minimum(margin, 1), _EDGES)[0]
    return [
        whole,
        *(
            {"of": "head", "head": head_name(site, head)} | _counted(count, len(own))
            for head, count in enumerate(of_head.tolist())
        ),
        *(
            {"of": "margin", "margin_from": low, "margin_to": high} | _counted(count, len(own))
            for (low, high), count in zip(_BINS, binned.tolist(), strict=True)
        ),
    ]


def _counted(count: int, whole: int) -> Row:
    return {"features": count, "share": share(count, whole)}


def head_name(site: str, head: int) -> str:
    """Exchange name of a head: `a0.h1` at attn.0."""
    return f"a{site.split('.')[1]}.h{head}"


def overlap_rows(
    names: Mapping[str, str],
    assigned: Iterable[Mapping[str, Any]],
    labels: Mapping[str, Mapping[str, np.ndarray]],
    meta: Mapping[str, Any],
    seed: int,
) -> list[Row]:
    """Per site and partition: how many features each head shares with each part.

    labels: {partition: {site: (features,)}}; meta: of the partitions file. The row of all features
    has the agreement of both labellings (tabulate.partitions.agreement) over those that have a head
    and a part. Features without a part are counted as `ungrouped`; those without a head are not.
    """
    result = []
    for site, features in _by_site(assigned).items():
        order = sorted(features, key=lambda row: row["feature"])
        heads = np.array([-1 if row["head"] is None else row["head"] for row in order])
        for partition, of_sites in labels.items():
            of_site = dict.fromkeys(OVERLAP_COLUMNS) | dict(names)
            of_site |= {"site": site, "partition": partition}
            about = (partition, meta["partitions"][partition][site]["reason"])
            found = _overlap(site, heads, of_sites[site], about, seed)
            result += [of_site | row for row in found]
    return result


def _overlap(
    site: str, heads: np.ndarray, parts: np.ndarray, about: tuple[str, str | None], seed: int
) -> list[Row]:
    agreed = agreement(heads, parts, [("heads", None), about], seed)
    both = (heads >= 0) & (parts >= 0)
    whole = {name: agreed[name] for name in AGREEMENT_COLUMNS[5:] if name in OVERLAP_COLUMNS}
    whole |= {"of": "all"}
    whole |= {"heads": len(np.unique(heads[both])), "parts": len(np.unique(parts[both]))}
    shared = (heads >= 0) & (parts != DEAD)
    pairs, counts = np.unique(np.stack([heads, parts])[:, shared], axis=1, return_counts=True)
    return [
        whole,
        *(
            {"of": "pair", "head": head_name(site, head), "features": count}
            | {"part": MARKS[UNGROUPED] if part < 0 else part_name(site, part)}
            for head, part, count in zip(*pairs.tolist(), counts.tolist(), strict=True)
        ),
    ]
