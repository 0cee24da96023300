"""dictionaries.csv: what each dictionary keeps, beside its controls; its training; its density.

A control stands in a row of its own, under the names of the dictionary that it is measured beside.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from connectome.command import canonical
from connectome.tabulate.identity import Row, share

PATH = "{model}/{dictionary}/{run}/{site}"
NAMES = ("model", "dictionary", "run", "site")
OWN = "dictionary"
_FORM = ("activation", "transcoder", "skip", "features")
_QUALITY = (
    *("l0", "l0_low", "l0_median", "l0_high", "l1"),
    *("explained_variance", "cosine", "bias", "norm_ratio"),
    *("zero_targets", "zero_reconstructions"),
    *("dead", "dead_bound", "dense_1", "dense_10", "redundancy"),
)
_LOSS = ("ce_clean", "ce_zero", "ce_mean", "ce", "delta", "recovered_zero", "recovered_mean", "kl")
_PROBES = [(of, k) for of in ("features", "channels") for k in (1, 2, 5)] + [("channels", None)]
_MATCHED = ("seeds", "matched", "matched_lo", "matched_hi")
COLUMNS = (
    *NAMES,
    "kind",
    "status",
    "reason",
    "architecture",
    *_FORM,
    "k",
    "seed",
    "trained_tokens",
    "documents",
    "tokens",
    *_QUALITY,
    "l0_share",
    "loss_tokens",
    *_LOSS,
    "loss_reason",
    *(f"probe_{of}_{k or 'all'}{end}" for of, k in _PROBES for end in ("", "_lo", "_hi")),
    "probe_chance",
    "probe_reason",
    *_MATCHED,
    "undefined",
)
CURVE = (
    *("step", "tokens", "lr", "mse", "aux", "l0", "ev_batch", "dead_share", "theta", "grad_norm"),
)
TRAINING_COLUMNS = (*NAMES, *CURVE)
DENSITY_COLUMNS = (*NAMES, "low", "high", "features")

Key = tuple[str, ...]  # values of NAMES


def twins(trained: Mapping[Key, Mapping[str, Any]]) -> list[tuple[Key, Key]]:
    """Pairs of runs whose trainings differ in the seed alone, from the records of the trainings."""
    alike: dict[tuple[str, ...], list[Key]] = {}
    for key, record in trained.items():
        if "train" in record:
            model, dictionary, _, site = key
            settings = canonical(record["train"])
            alike.setdefault((model, dictionary, site, settings), []).append(key)
    return [
        (left, right)
        for group in alike.values()
        for left, right in combinations(group, 2)
        if trained[left]["seed"] != trained[right]["seed"]
    ]


def rows(
    measured: Mapping[Key, Mapping[str, Any]],
    trained: Mapping[Key, Mapping[str, Any]],
    shares: Mapping[Key, Sequence[float]],
) -> list[Row]:
    """One row per dictionary and one per control of it.

    measured, trained: records of metrics.json and train.json. shares: features matched with each
    twin of a run; `seeds` counts the run itself, `matched` is the mean over the twins.
    """
    result = []
    for key, record in measured.items():
        names = dict(zip(NAMES, key, strict=True))
        result.append(_row(names, record, trained.get(key, {}), shares.get(key, ())))
        result.extend(_control(names, record, control) for control in record.get("controls", ()))
    return result


def _row(
    names: Row, record: Mapping[str, Any], training: Mapping[str, Any], shares: Sequence[float]
) -> Row:
    about, settings = record["dictionary"], training.get("train") or {}
    quality, loss = record.get("quality") or {}, record.get("loss") or {}
    probes = record.get("probes") or {}
    k = settings.get("k", about["k"])
    undefined = {**record.get("undefined", {}), **loss.get("undefined", {})}
    row = dict.fromkeys(COLUMNS) | names | {"kind": OWN}
    row |= {name: record.get(name) for name in ("status", "reason", "documents", "tokens")}
    row |= {name: about[name] for name in _FORM}
    row |= {"architecture": settings.get("architecture", about["architecture"]), "k": k}
    row |= {"seed": training.get("seed"), "trained_tokens": settings.get("tokens")}
    row |= {name: quality.get(name) for name in _QUALITY}
    row["l0_share"] = share(quality["l0"], k) if quality and k else None
    row |= _loss(loss) | {"loss_tokens": loss.get("tokens"), "loss_reason": loss.get("reason")}
    for probe in probes.get("probes", ()):
        name = f"probe_{probe['of']}_{probe['k'] or 'all'}"
        row |= {name: probe["value"], f"{name}_lo": probe["lo"], f"{name}_hi": probe["hi"]}
    row |= {"probe_chance": probes.get("chance"), "probe_reason": probes.get("reason")}
    if shares:
        found = (len(shares) + 1, sum(shares) / len(shares), min(shares), max(shares))
        row |= dict(zip(_MATCHED, found, strict=True))
    row["undefined"] = "; ".join(f"{name}: {why}" for name, why in undefined.items()) or None
    return row


def _loss(loss: Mapping[str, Any]) -> Row:
    return {name: loss.get(name) for name in _LOSS}


def _control(names: Row, record: Mapping[str, Any], control: Mapping[str, Any]) -> Row:
    loss, quality = control["loss"] or {}, control["quality"]
    row = dict.fromkeys(COLUMNS) | names | {"kind": control["control"], "status": "ok"}
    row |= {name: record[name] for name in ("documents", "tokens")}
    row |= {name: quality.get(name) for name in _QUALITY}
    return row | _loss(loss) | {"k": control["k"], "loss_tokens": record["loss"].get("tokens")}


def training_rows(curves: Mapping[Key, Iterable[Mapping[str, str]]]) -> list[Row]:
    """Rows of the loss curves, as read from CSV."""
    return [
        dict(zip(NAMES, key, strict=True)) | {name: row[name] for name in CURVE}
        for key, curve in curves.items()
        for row in curve
    ]


def density_rows(measured: Mapping[Key, Mapping[str, Any]]) -> list[Row]:
    """Living features by log10 of the share of tokens on which they fire, bin by bin."""
    return [
        dict(zip(NAMES, key, strict=True)) | {"low": low, "high": high, "features": count}
        for key, record in measured.items()
        if "density" in record
        for low, high, count in zip(
            record["density"]["edges"][:-1],
            record["density"]["edges"][1:],
            record["density"]["features"],
            strict=True,
        )
    ]
