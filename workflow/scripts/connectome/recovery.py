"""How well scores find a set that is known: rank AUROC, average precision, the strongest few."""

from typing import NamedTuple

import numpy as np

from connectome.statistics import average_precision, rank_auroc


class Recovery(NamedTuple):
    """Agreement of scores with a known set; None where the set is empty or everything."""

    n: int
    positives: int
    prevalence: float | None  # what average precision random scores have
    auroc: float | None
    average_precision: float | None
    found: int  # how many of the `positives` strongest are in the set
    strongest: list[int]  # those, strongest first; ties by position


def recovery(scores: np.ndarray, known: np.ndarray) -> Recovery:
    """Scores (n,) ranked by absolute value against a known set, bool (n,).

    AUROC is the share of pairs (in the set, outside) in the right order, ties one half; average
    precision counts tied scores as one step.
    """
    size, positives = len(scores), int(known.sum())
    strength = np.abs(scores)
    strongest = np.argsort(-strength, kind="stable")[:positives].tolist()
    mixed = 0 < positives < size
    return Recovery(
        size,
        positives,
        positives / size if size else None,
        rank_auroc(strength, known) if mixed else None,
        average_precision(strength, known) if mixed else None,
        int(known[strongest].sum()),
        strongest,
    )
