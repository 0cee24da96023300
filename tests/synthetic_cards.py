"""Made-up descriptions and effects of ROIs for the synthetic results, with hostile tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from connectome import tables

WORDS = [" the", " keys", " on", " table", " are", " old", ".", "\n"]


def write(
    folder: Path,
    labels: dict[str, dict[str, np.ndarray]],
    tasks: list[str],
    nasty: list[str],
    stamp: dict[str, str],
    rng: np.random.Generator,
) -> None:
    """Write FOLDER/rois/*.parquet for the ROIs of every site that has several."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for site, of_site in labels.items():
        for partition in ("rois", "rois_attribution"):
            parts = int(of_site[partition].max(initial=-1)) + 1
            for part in range(parts if parts > 1 else 0):
                members = np.flatnonzero(of_site[partition] == part)
                name = {"partition": partition, "site": site, "part": part}
                _region(rows, name, members, tasks, nasty, rng)
    for name, listed in rows.items():
        tables.write_table(folder / "rois" / f"{name}.parquet", pa.Table.from_pylist(listed), stamp)


def _region(
    rows: dict[str, list[dict[str, Any]]],
    name: dict[str, Any],
    members: np.ndarray,
    tasks: list[str],
    nasty: list[str],
    rng: np.random.Generator,
) -> None:
    def add(table: str, **values: Any) -> None:
        rows.setdefault(table, []).append(name | values)

    n = len(members)
    add(
        "profiles", features=n, live=n, alignment=0.31 if n > 1 else None, tokens=81162,
        fires=812, threshold=2.5,
    )  # fmt: skip
    for feature in members.tolist():
        add("members", feature=feature, sign=1, sd=0.4)
    for kind in ("top", "uniform"):
        for rank in range(2):
            texts = [WORDS[int(i)] for i in rng.integers(0, len(WORDS), 7)]
            texts[3] = nasty[(name["part"] + 3 * rank + 2) % len(nasty)]
            scores = [None, *np.round(rng.normal(0, 1, 6), 3).tolist()]
            scores[3] = 5.25 - rank
            add(
                "examples", kind=kind, rank=rank, document=rank, position=3, at=3,
                score=scores[3], cut_left=rank == 1, cut_right=False, tokens=texts, scores=scores,
            )  # fmt: skip
    for place in ("token", "previous"):
        for rank in range(3):
            text = nasty[rank] if place == "token" else WORDS[rank]
            add(
                "tokens", place=place, rank=rank, token=rank, text=text, count=400, fires=200,
                share=0.5 / (rank + 1), lift=50.0, coverage=0.25 / (rank + 1),
                information=0.9 - rank / 10, mean=2.1,
            )  # fmt: skip
    spread = {"random": 0.2, "random_lo": 0.1, "random_hi": 0.3}
    measures = {"rms": 0.4, "cosine": 0.05 if n > 1 else None, "cosine_signed": 0.1}
    drawn = {f"{m}_{end}": value for m in measures for end, value in spread.items()}
    add("writing", live=n, draws=20, **measures, **drawn)
    for side, sign in (("top", 1), ("bottom", -1)):
        for rank in range(3):
            text = nasty[3 + rank] if side == "top" else WORDS[rank]
            add(
                "logits", live=n, side=side, rank=rank, token=rank, text=text, logit=sign * 1.5
            )  # fmt: skip
    for i, task in enumerate(tasks):
        effect = float(rng.normal(0.05, 0.1))
        random = {"random_lo": -0.04, "random_median": 0.02, "random_hi": 0.08, "p": 0.4}
        random["p"] = 1 / 21 if effect > 0.1 else 0.4
        if n > 15:
            random = dict.fromkeys(random)
        add(
            "effects", live=n, task=task, metric="logit_difference", m_model=8.0, m_empty=-4.0,
            m_ablated=8.0 - 12 * effect, effect=effect, effect_lo=effect - 0.02,
            effect_hi=effect + 0.03, accuracy_model=0.99, accuracy_lost=0.01 * i, accuracy_lo=0.0,
            accuracy_hi=0.08, accuracy_random=0.01, draws=0 if n > 15 else 20, pairs=60,
            distinct=52, **random,
        )  # fmt: skip
