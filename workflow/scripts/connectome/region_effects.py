"""What tasks lose when a ROI is ablated, beside random sets of equal size from the same site.

The features of a set take their mean over the discovery prompts of the task, at every position of
held-out prompts. The effect is the share of the intact gap that is lost,

    (m(N) - m(ablated)) / (m(N) - m({})),

for the intact model N and the model {} whose every part is at its mean. Random sets are drawn once
per site and size, for all ROIs and tasks.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from connectome import faithfulness, metrics
from connectome.bench import Bench
from connectome.devices import ranges, within_memory
from connectome.set_ablation import bytes_per_run, run_sets
from connectome.statistics import interval, permutation_p
from connectome.transformer import forward

Array = np.ndarray
Row = dict[str, Any]
MEMORY = 30_000_000  # bytes of a run's buffers: what fits a cache is fastest


class Group(NamedTuple):
    """A ROI as a set of features."""

    partition: str
    site: str
    part: int
    members: Array  # (n,) the live ones, increasing
    signs: Array  # (n,) as they enter its profile


REGION = {"partition": pa.string(), "site": pa.string(), "part": pa.int32(), "live": pa.int32()}
SCHEMA = pa.schema(
    REGION
    | {"task": pa.string(), "metric": pa.string()}
    | dict.fromkeys(
        (
            *("m_model", "m_empty", "m_ablated", "effect", "effect_lo", "effect_hi"),
            *("random_lo", "random_median", "random_hi", "p"),
            *("accuracy_model", "accuracy_lost", "accuracy_lo", "accuracy_hi", "accuracy_random"),
        ),
        pa.float64(),
    )
    | dict.fromkeys(("draws", "pairs", "distinct"), pa.int32())
)


def groups(members: pa.Table) -> list[Group]:
    """The ROIs of the table of members, in its order."""
    found: dict[tuple[str, str, int], list[tuple[int, float]]] = {}
    for row in members.to_pylist():
        key = (row["partition"], row["site"], row["part"])
        found.setdefault(key, []).append((row["feature"], float(row["sign"])))
    return [
        Group(*key, np.array([f for f, _ in rows]), np.array([sign for _, sign in rows]))
        for key, rows in found.items()
    ]


def random_sets(
    of_groups: Sequence[Group], live: Mapping[str, Array], draws: int, seed: int
) -> dict[tuple[str, int], list[Array]]:
    """Sets of live features by (site, size), one list for each size among the ROIs of a site.

    live: {site: bool (features,)}. None where the size is that of all live features together: such
    a set can only be compared with itself.
    """
    result: dict[tuple[str, int], list[Array]] = {}
    for group in of_groups:
        key = (group.site, len(group.members))
        candidates = np.flatnonzero(live[group.site])
        if key in result or key[1] >= len(candidates):
            continue
        rng = np.random.default_rng([seed, zlib.crc32(group.site.encode()), key[1]])
        result[key] = [np.sort(rng.choice(candidates, key[1], replace=False)) for _ in range(draws)]
    return result


class _Outcome(NamedTuple):
    metric: Array  # (sets, n)
    correct: Array  # (sets, n)


def task_rows(
    on: Bench,
    of_groups: Sequence[Group],
    random: Mapping[tuple[str, int], Sequence[Array]],
    memory: int = MEMORY,
) -> Iterator[Row]:
    """One row per ROI for the task of a bench, whose ablated values are means."""
    right, wrong = on.prompts.right, on.prompts.wrong
    intact = metrics.choice_accuracy(on.intact, right, wrong).double().cpu().numpy()
    counts = {"pairs": len(on.prompts), "distinct": len(np.unique(on.prompts.groups))}
    for site in dict.fromkeys(group.site for group in of_groups):
        here = [group for group in of_groups if group.site == site]
        sizes = [size for of_site, size in random if of_site == site]
        sets = [group.members for group in here]
        place = {}
        for size in sizes:
            place[size] = slice(len(sets), len(sets) + len(random[site, size]))
            sets += random[site, size]
        found = _run(on, site, sets, memory)
        for i, group in enumerate(here):
            own = _Outcome(found.metric[i], found.correct[i])
            drawn = place.get(len(group.members), slice(0))
            null = _Outcome(found.metric[drawn], found.correct[drawn])
            yield {
                "partition": group.partition,
                "site": site,
                "part": group.part,
                "live": len(group.members),
                **_effect(on, own.metric, null.metric),
                **_accuracy(on, intact, own.correct, null.correct),
                **counts,
            }


def _run(on: Bench, site: str, sets: Sequence[Array], memory: int) -> _Outcome:
    """Metric and accuracy of all sets, (sets, n) each; prompts in batches that fit the memory."""
    measure = metrics.metric(on.metric)
    longest = on.prompts.clean.ids.shape[1]
    size = max(1, memory // bytes_per_run(on.model, longest))

    @torch.inference_mode()
    def run(rows: range) -> list[Array]:
        some = on.prompts.rows(slice(rows.start, rows.stop))
        trace = forward(on.model, some.clean)
        values = on.ablated.features[site]
        parts = [
            (
                measure(logits, some.right, some.wrong).double().cpu().numpy(),
                metrics.choice_accuracy(logits, some.right, some.wrong).double().cpu().numpy(),
            )
            for logits in run_sets(on.model, trace, site, sets, values, memory)
        ]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    columns = list(within_memory(run, ranges(len(on.prompts), size)))
    return _Outcome(*(np.concatenate(column, axis=1) for column in zip(*columns, strict=True)))


def _effect(on: Bench, own: Array, null: Array) -> Row:
    kept = faithfulness.measure(own, on.reference, on.weights)
    lost = {
        name: None if kept[of] is None else 1 - kept[of]
        for name, of in (("effect", "f_ratio"), ("effect_lo", "f_hi"), ("effect_hi", "f_lo"))
    }
    row = {"m_model": kept["m_model"], "m_empty": kept["m_empty"], "m_ablated": kept["m_circuit"]}
    row |= lost | {"draws": len(null)}
    ratios = [on.reference.ratio(metric) for metric in null]
    if not ratios or lost["effect"] is None:
        return row
    drawn = 1 - np.array(ratios, dtype=np.float64)
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    return row | {
        "random_lo": float(low),
        "random_median": float(middle),
        "random_hi": float(high),
        "p": permutation_p(lost["effect"], drawn),
    }


def _accuracy(on: Bench, intact: Array, own: Array, null: Array) -> Row:
    lost = intact - own
    low, high = interval(on.weights @ lost)
    return {
        "accuracy_model": float(intact.mean()),
        "accuracy_lost": float(lost.mean()),
        "accuracy_lo": low,
        "accuracy_hi": high,
        "accuracy_random": float((intact - null).mean()) if len(null) else None,
    }
