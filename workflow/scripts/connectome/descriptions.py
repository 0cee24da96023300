"""What the ROIs of a site respond to, as rows of tables: profiles, members, examples, tokens."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome import firing, profiles, windows
from connectome.firing import PLACES, Firing
from connectome.moments import Found
from connectome.profiles import GRID, Block, Profiles, Region

Row = dict[str, Any]
_REGION = {"partition": pa.string(), "site": pa.string(), "part": pa.int32()}
SCHEMAS = {
    "profiles": pa.schema(
        {
            **_REGION,
            "features": pa.int32(),
            "live": pa.int32(),
            "alignment": pa.float64(),
            "tokens": pa.int64(),
            "fires": pa.int64(),
            "threshold": pa.float64(),
        }
    ),
    "members": pa.schema({**_REGION, "feature": pa.int32(), "sign": pa.int8(), "sd": pa.float64()}),
    "examples": pa.schema(
        {
            **_REGION,
            "kind": pa.string(),
            "rank": pa.int32(),
            **windows.FIELDS,
        }
    ),
    "tokens": pa.schema({**_REGION, **firing.FAVOURED, "mean": pa.float64()}),
}


class Corpus(NamedTuple):
    """The recorded tokens of one site, which can be read more than once."""

    blocks: Callable[[], Iterable[Block]]
    skip_start: bool
    vocabulary: int
    text_of: Callable[[int], str]  # of a token id


def describe(
    site: str,
    labels: Mapping[str, np.ndarray],
    moments: Found,
    corpus: Corpus,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, list[Row]]:
    """Rows of the four tables of SCHEMAS for the ROIs of one site, in two passes over its tokens.

    labels: {partition: parts (d,)}. moments: of the activations of the site. settings: `firing`
    (share of tokens), `examples`, `window`, `tokens` (rows per ROI and place), `min_count`.
    """
    found = profiles.regions(site, labels, moments)
    if not found:
        return {name: [] for name in SCHEMAS}
    histogram = profiles.histograms(corpus.blocks(), Profiles(found, moments), corpus.skip_start)
    flip = profiles.lean_left(histogram)
    histogram = np.where(flip[:, None], histogram[:, ::-1], histogram)
    found = profiles.turned(found, flip)
    limits = profiles.thresholds(histogram, settings["firing"])
    seen = firing.scan(
        corpus.blocks(),
        found,
        Profiles(found, moments),
        limits,
        corpus.skip_start,
        corpus.vocabulary,
        settings,
        seed,
    )
    rows: dict[str, list[Row]] = {name: [] for name in SCHEMAS}
    for r, region in enumerate(found):
        name: Row = {"partition": region.partition, "site": site, "part": region.part}
        rows["profiles"].append(name | _profile(region, seen, r, int(limits[r])))
        sd = np.sqrt(moments.variance[region.members])
        rows["members"] += [
            name | {"feature": feature, "sign": int(sign), "sd": spread}
            for feature, sign, spread in zip(
                region.members.tolist(), region.signs, sd.tolist(), strict=True
            )
        ]
        for kind, examples in (("top", seen.top[r]), ("uniform", seen.uniform[r])):
            rows["examples"] += [
                name | {"kind": kind, "rank": rank} | windows.row_of(example, corpus.text_of, GRID)
                for rank, example in enumerate(examples)
            ]
        for place in PLACES:
            tally = seen.tallies[place]
            listed = firing.favoured(tally, r, settings["min_count"], settings["tokens"])
            rows["tokens"] += [
                name
                | {"place": place, "rank": rank, "text": corpus.text_of(row["token"])}
                | row
                | {"mean": float(tally.sums[row["token"], r] / row["count"] / GRID)}
                for rank, row in enumerate(listed)
            ]
    return rows


def _profile(region: Region, seen: Firing, r: int, limit: int) -> Row:
    return {
        "features": region.features,
        "live": len(region.members),
        "alignment": region.alignment,
        "tokens": seen.tokens,
        "fires": int(seen.fires[r]),
        "threshold": limit / GRID,
    }
