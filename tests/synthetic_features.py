"""Made-up cards of dictionary features for the synthetic results, with hostile tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from connectome import feature_cards, tables

WORDS = [" the", " keys", " on", " table", " are", " old", ".", "\n"]
CARDS, DEAD = 5, 3  # features of a site that have a card; the place of one that never fires


def write(
    folder: Path,
    sites: dict[str, int],
    tasks: list[str],
    nasty: list[str],
    stamp: dict[str, str],
    rng: np.random.Generator,
) -> None:
    """Write FOLDER/features/*.parquet."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in feature_cards.SCHEMAS}
    for site, features in sites.items():
        chosen = rng.choice(features, CARDS, replace=False).tolist()
        for place, feature in enumerate(chosen):
            _feature(rows, site, feature, place, tasks, nasty, rng)
    for name, schema in feature_cards.SCHEMAS.items():
        listed = pa.Table.from_pylist(rows[name], schema=schema)
        tables.write_table(folder / "features" / f"{name}.parquet", listed, stamp)


def _feature(
    rows: dict[str, list[dict[str, Any]]],
    site: str,
    feature: int,
    place: int,
    tasks: list[str],
    nasty: list[str],
    rng: np.random.Generator,
) -> None:
    def add(table: str, **values: Any) -> None:
        rows[table].append({"site": site, "feature": feature} | values)

    dead = place == DEAD
    counts = [0] * feature_cards.BINS
    if not dead:
        counts = (900 * np.exp(-np.arange(feature_cards.BINS) / 3)).astype(int).tolist()
    add(
        "cards", chosen="score" if place < 3 else "draw", tokens=81162, fires=sum(counts),
        median=None if dead else 0.75, highest=None if dead else 5.25, histogram=counts,
    )  # fmt: skip
    for side, sign in (("top", 1), ("bottom", -1)):
        for rank in range(3):
            text = nasty[3 + rank] if side == "top" else WORDS[rank]
            add("logits", side=side, rank=rank, token=rank, text=text, logit=sign * 0.5)
    for i, task in enumerate(tasks):
        share = 0.2 / (1 + place) / (1 + i)
        add("scores", task=task, score=-share if i % 2 else share, share=share, rank=1 + place)
    if dead:
        return
    for kind in ("top", "quantile"):
        for rank in range(2):
            texts = [WORDS[int(i)] for i in rng.integers(0, len(WORDS), 7)]
            texts[3] = nasty[(place + 3 * rank + 2) % len(nasty)]
            scores: list[float | None] = [None, 0.0, 0.0, 0.0, 0.125, 0.0, 0.0]
            scores[3] = 5.25 - rank if kind == "top" else 1.5 - rank
            add(
                "examples", kind=kind, rank=rank, document=rank, position=3, at=3,
                quantile=None if kind == "top" else 0.75 - rank / 2, score=scores[3],
                cut_left=rank == 1, cut_right=False, tokens=texts, scores=scores,
            )  # fmt: skip
    for at in ("token", "previous"):
        for rank in range(3):
            text = nasty[rank] if at == "token" else WORDS[rank]
            add(
                "tokens", place=at, rank=rank, token=rank, text=text, count=400, fires=200,
                share=0.5 / (rank + 1), lift=50.0, coverage=0.25 / (rank + 1),
                information=0.9 - rank / 10,
            )  # fmt: skip
