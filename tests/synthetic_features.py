"""Made-up cards of dictionary features for the synthetic results, with hostile tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from connectome import feature_cards, tables

WORDS = [" the", " keys", " on", " table", " are", " old", ".", "\n"]
QUALITY = (
    *("model", "dictionary", "run", "site", "kind", "status", "reason", "architecture"),
    *("activation", "transcoder", "skip", "features", "k", "seed", "tokens", "l0"),
    *("explained_variance", "cosine", "dead", "dead_bound", "dense_1", "dense_10", "redundancy"),
    *("ce_clean", "ce", "delta", "recovered_zero", "recovered_mean", "kl", "loss_reason"),
    *(f"probe_{of}_{k}{end}" for of in ("features", "channels") for k in (1, 5, "all")
      for end in ("", "_lo", "_hi")),
    *("probe_chance", "matched"),
)  # fmt: skip
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


def quality_rows(model: str, dictionary: str, sites: dict[str, int]) -> list[dict[str, Any]]:
    """Rows of dictionaries.csv: two runs and three controls of each site, one of them refused."""
    rows = []
    for place, (site, features) in enumerate(sites.items()):
        names = {"model": model, "dictionary": dictionary, "site": site, "tokens": 20_000}
        ablated = None if place else 0.97  # ablating the second site costs next to nothing
        own = names | {
            "run": "dictionary", "kind": "dictionary", "status": "ok", "architecture": "batchtopk",
            "activation": "jumprelu", "transcoder": False, "skip": False, "features": features,
            "k": 4, "seed": 1, "l0": 4.25, "explained_variance": 0.91, "cosine": 0.95,
            "dead": 0.125, "dead_bound": 0.00015, "dense_1": 0.5, "dense_10": 0.25,
            "redundancy": 0.31, "ce_clean": 2.125, "ce": 2.25, "delta": 0.125, "kl": 0.11,
            "recovered_zero": ablated, "recovered_mean": 0.95, "matched": 0.7,
            "probe_features_1": 0.8, "probe_features_1_lo": 0.75, "probe_features_1_hi": 0.85,
            "probe_channels_all": 0.9, "probe_channels_all_lo": 0.88, "probe_chance": 0.25,
        }  # fmt: skip
        rows += [own, own | {"run": "sweep.k8", "k": 8, "l0": 8.5, "matched": None}]
        for kind, ev, delta in (("pca", 0.6, 0.5), ("untrained", 0.2, 1.5), ("mean", 0.0, 2.0)):
            rows.append(
                names | {"run": "dictionary", "kind": kind, "status": "ok", "l0": 4}
                | {"explained_variance": ev, "delta": delta, "ce": 2.125 + delta, "kl": delta}
            )  # fmt: skip
        if place:
            reason = "no held-out document has a token behind its start token"
            rows.append(names | {"run": "sweep.k16", "kind": "dictionary", "status": "refused"})
            rows[-1] |= {"reason": reason, "tokens": None}
    return [dict.fromkeys(QUALITY) | row for row in rows]


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
            texts[3] = nasty[(place + 3 * rank + 5) % len(nasty)]
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
