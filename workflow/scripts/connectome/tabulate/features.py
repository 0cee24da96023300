"""Tables of the feature cards: when features fire, what they write, which tasks need them."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from connectome.labelling import DEAD, UNGROUPED
from connectome.partitions import KIND_OF
from connectome.tabulate.cards import FAVOURED, LOGIT, WINDOW, Named, short
from connectome.tabulate.identity import Row
from connectome.tabulate.rois import part_name

FEATURE = ("model", "dictionary", "site", "feature")
CARD_COLUMNS = (
    *(*FEATURE, "chosen", "tokens", "fires", "density", "median", "highest", "histogram"),
    *KIND_OF,
)
EXAMPLE_COLUMNS = (*FEATURE, "kind", "rank", "quantile", *WINDOW)
TOKEN_COLUMNS = (*FEATURE, *FAVOURED)
LOGIT_COLUMNS = (*FEATURE, *LOGIT)
SCORE_COLUMNS = (*FEATURE, "task", "score", "share", "rank")
_MARKS = {UNGROUPED: "ungrouped", DEAD: "dead"}

Labels = Mapping[str, Mapping[str, np.ndarray]]  # partition -> site -> parts (features,)


def feature(names: Mapping[str, str], row: Mapping[str, Any]) -> Row:
    """A row about a feature, which is named as in `mlp.2:17`."""
    shortened = {name: short(value) for name, value in row.items()}
    return {**names, **shortened, "feature": f"{row['site']}:{row['feature']}"}


def card_rows(cards: Named, labels: Mapping[tuple[str, str], Labels]) -> list[Row]:
    """One row per card: how often the feature fires, how strongly, and which ROIs hold it.

    labels: by (model, dictionary). A site that is not mapped has no ROIs.
    """
    result = []
    for names, rows in cards:
        of_pair = labels.get((names["model"], names["dictionary"]), {})
        for row in rows:
            found = feature(names, row)
            found["density"] = short(row["fires"] / row["tokens"]) if row["tokens"] else None
            found["histogram"] = json.dumps(row["histogram"])
            found |= {name: _part(of_pair.get(name, {}), row) for name in KIND_OF}
            result.append({name: found[name] for name in CARD_COLUMNS})
    return result


def _part(of_sites: Mapping[str, np.ndarray], row: Mapping[str, Any]) -> str | None:
    if row["site"] not in of_sites:
        return None
    part = int(of_sites[row["site"]][row["feature"]])
    return _MARKS.get(part) or part_name(row["site"], part)


def score_rows(scores: Named) -> list[Row]:
    """Node scores of the features for each task that the model can do, the largest share first."""
    found = [feature(names, row) for names, rows in scores for row in rows]
    found.sort(key=lambda row: (*(row[name] for name in FEATURE[:2]), -(row["share"] or 0)))
    return [{name: row[name] for name in SCORE_COLUMNS} for row in found]
