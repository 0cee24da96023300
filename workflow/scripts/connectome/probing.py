"""Can a class of texts be read off a few features? Sparse probing (Gurnee et al. 2023).

A text is the mean of its tokens' features. Each class is told from as many other texts, so that
chance is one half: features are ranked by the difference of the two class means on the training
split alone, and a logistic regression on the first k of them is tried on the other texts.
NumPy and scikit-learn.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from connectome.competence import proportion_interval

Array = np.ndarray
SIZES = (1, 2, 5)  # features that a probe may use
CHANCE = 0.5
LEAST_TEXTS = 10  # of a class
TRAINED = 0.7  # share of the texts of each side that a probe is fitted on
STEPS = 1000  # of the solver


def ranking(values: Array, positive: Array) -> Array:
    """Columns of values (n, F), that with the largest difference of class means first."""
    difference = values[positive].mean(axis=0) - values[~positive].mean(axis=0)
    return np.argsort(-np.abs(difference), kind="stable")


def correct(values: Array, positive: Array, train: Array, k: int | None, seed: int) -> Array:
    """Which texts outside `train` (bool (n,)) a probe of k columns gets right, bool.

    values (n, F), positive (n,) the class; k None: all columns.
    """
    columns = ranking(values[train], positive[train])[:k]
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=1.0, max_iter=STEPS, random_state=seed)
    )
    probe.fit(values[train][:, columns], positive[train])
    return probe.predict(values[~train][:, columns]) == positive[~train]


def split(labels: Array, wanted: Any, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Texts of a class and as many others, (n,): numbers, which are of the class, which train."""
    own, others = np.flatnonzero(labels == wanted), np.flatnonzero(labels != wanted)
    count = min(len(own), len(others))
    chosen = [rng.permutation(side)[:count] for side in (own, others)]
    train = np.arange(count) < min(count - 1, round(TRAINED * count))
    return np.concatenate(chosen), np.repeat([True, False], count), np.tile(train, 2)


def classes_of(labels: Sequence[str | None]) -> list[str]:
    """Classes with enough texts, by name."""
    counts = Counter(label for label in labels if label is not None)
    return sorted(label for label, count in counts.items() if count >= LEAST_TEXTS)


def refusal(labels: Sequence[str | None]) -> str | None:
    """Why these texts, by their labels, cannot be probed; None where they can."""
    if all(label is None for label in labels):
        return "the texts have no classes"
    found = classes_of(labels)
    if len(found) < 2:
        return (
            f"{len(found)} classes have {LEAST_TEXTS} or more of the {len(labels)} held-out texts; "
            "at least two must"
        )
    return None


def probe(
    features: Array, channels: Array, labels: Sequence[str | None], splits: int, seed: int
) -> list[dict[str, Any]]:
    """Held-out accuracy of probes on features (texts, F) and on raw channels (texts, d).

    Of each size, and on all channels. Means over the classes, one against the rest, and over random
    splits; one of two classes stands for both. The interval is Wilson's, over distinct texts. All
    probes of a class and split are fitted on the same texts.
    """
    names = classes_of(labels)
    kept = np.flatnonzero(np.isin(np.array(labels, dtype=object), names))
    of_text = np.array([labels[text] for text in kept.tolist()])
    tried: list[tuple[str, Array, int | None]] = [("features", features, k) for k in SIZES]
    tried += [("channels", channels, k) for k in (*SIZES, None)]
    found: list[list[Array]] = [[] for _ in tried]
    texts, in_split = [], []
    for number in range(splits):
        for place, wanted in enumerate(names if len(names) > 2 else names[:1]):
            rng = np.random.default_rng([seed, number, place])
            rows, positive, train = split(of_text, wanted, rng)
            texts.append(kept[rows[~train]])
            in_split.append(np.full(len(texts[-1]), number))
            for right, (_, values, k) in zip(found, tried, strict=True):
                right.append(correct(values[kept[rows]], positive, train, k, seed))
    groups, of_split = np.concatenate(texts), np.concatenate(in_split)
    result = []
    for right, (name, _, k) in zip(found, tried, strict=True):
        hits = np.concatenate(right)
        by_split = [float(hits[of_split == number].mean()) for number in range(splits)]
        interval = proportion_interval(hits, groups)
        result.append({"of": name, "k": k, **interval, "splits": by_split})
    return result
