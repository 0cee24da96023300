"""Every task measured while the parts of another are ablated, or while they alone are kept.

Ablated parts carry their means over the discovery prompts of the task that is measured; every
number comes from its held-out prompts. f = (m - m({})) / (m(N) - m({})), with {} all parts and the
input at their means.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome import specificity
from connectome.ablation import ablated_values
from connectome.bench import Bench, prepare
from connectome.curves import shares
from connectome.evaluation import schema_of, table
from connectome.parts import PartGraph
from connectome.prompts import Prompts
from connectome.specificity import SETS, Matrix
from connectome.statistics import bootstrap_weights, interval
from connectome.transformer import Transformer

Array = np.ndarray
Row = dict[str, Any]
SPLITS = ("heldout", "discovery")
INTERVENTIONS = ("ablate", "keep")
MEASURES = ("f", "accuracy")
CELL_SCHEMA = schema_of(specificity.CELLS)
SUMMARY_SCHEMA = schema_of(specificity.SUMMARIES)


class Task(NamedTuple):
    """What a task is measured on, and by."""

    heldout: Prompts
    discovery: Prompts
    metric: str


class Found(NamedTuple):
    """Tables of cells (CELL_SCHEMA) and of what each matrix says (SUMMARY_SCHEMA)."""

    cells: pa.Table
    summaries: pa.Table


def node_scores(
    scored: Iterable[pa.Table], graphs: Mapping[str, PartGraph], method: str
) -> dict[str, Array]:
    """Mean node scores (tasks, U) of each partition, from one table of node scores per task."""
    found: dict[str, list[list[float]]] = {name: [] for name in graphs}
    for of_task in scored:
        rows = [row for row in of_task.to_pylist() if row["method"] == method]
        score = {(row["partition"], row["node"]): row["score"] for row in rows}
        for name, graph in graphs.items():
            found[name].append([score[name, node] for node in graph.names[:-1]])
    return {name: np.array(rows) for name, rows in found.items()}


def run(
    model: Transformer,
    tasks: Mapping[str, Task],
    graphs: Mapping[str, PartGraph],
    scores: Mapping[str, Array],
    left_out: Mapping[str, str],
    settings: Mapping[str, Any],
    seed: int,
) -> Found:
    """The matrices of every partition, kind of sets and intervention.

    tasks: those that the model can do; left_out: {task: reason} of the others, which stand in the
    table of cells without numbers. scores: per partition mean node scores (tasks, U) on discovery
    prompts. settings: the configuration's section `specificity`.
    """
    cells: list[Row] = [
        {"task": task, "measured": task, "status": "refused", "reason": reason}
        for task, reason in left_out.items()
    ]
    summaries: list[Row] = []
    if tasks:
        benches = {task: _bench(model, of_task, settings, seed) for task, of_task in tasks.items()}
        for partition, graph in graphs.items():
            share = specificity.shares(scores[partition])
            for place, (name, choose) in enumerate(SETS.items()):
                sets = choose(graph, share, settings)
                rng = np.random.default_rng([seed, place])
                null = [specificity.random_sets(graph, sets, rng) for _ in range(settings["draws"])]
                for found in _matrices(benches, graph, sets, null, settings):
                    about = {"partition": partition, "sets": name, "seed": seed, **found.about}
                    cells += [about | row for row in _cells(graph, sets, benches, found)]
                    summaries += [
                        about | row for row in _summaries(graph, sets, null, list(tasks), found)
                    ]
    return Found(table(cells, CELL_SCHEMA), table(summaries, SUMMARY_SCHEMA))


def _bench(model: Transformer, task: Task, settings: Mapping[str, Any], seed: int) -> Bench:
    heldout = task.heldout.rows(slice(settings["pairs"]))
    return prepare(
        model,
        heldout,
        ablated_values(model, heldout, "mean", task.discovery),
        task.metric,
        bootstrap_weights(heldout.groups, settings["bootstrap"], seed),
        settings["memory_mb"] * 1_000_000,
    )


class _Found(NamedTuple):
    about: Row
    matrices: dict[str, Matrix]  # by measure; axes: task of the set, task measured


def _matrices(
    benches: Mapping[str, Bench],
    graph: PartGraph,
    sets: Array,
    null: list[Array],
    settings: Mapping[str, Any],
) -> Iterator[_Found]:
    """What is left of every task under every set, for each intervention."""
    for intervention in INTERVENTIONS:
        keep = specificity.keep_masks(sets, intervention)
        random = [specificity.keep_masks(some, intervention) for some in null]
        columns = [_column(on, graph, keep, random, settings) for on in benches.values()]
        about = {"intervention": intervention, "draws": len(null)}
        about["null_pairs"] = settings["random_pairs"] if null else None
        yield _Found(
            about,
            {
                measure: Matrix(*(np.stack(part, axis=-1) for part in zip(*found, strict=True)))
                for measure, found in (
                    (measure, [column[measure] for column in columns]) for measure in MEASURES
                )
            },
        )


def _column(
    on: Bench, graph: PartGraph, keep: Array, random: list[Array], settings: Mapping[str, Any]
) -> dict[str, Matrix]:
    """One task measured under all sets: matrices without their last axis."""
    few = on.part(settings["random_pairs"])
    many = len(keep)
    observed = on.nodes(graph, keep)
    of_null = _distinct_nodes(few, graph, np.concatenate(random)) if random else None
    result = {}
    for measure in MEASURES:
        count = len(few.prompts)
        value, draws, first = (
            _values(measure, found, bench_of, weights)
            for found, bench_of, weights in (
                (observed, on, _evenly(len(on.prompts))),
                (observed, on, on.weights),
                ({name: x[:, :count] for name, x in observed.items()}, few, _evenly(count)),
            )
        )
        null = np.zeros((0, many))
        if of_null is not None:
            null = _values(measure, of_null, few, _evenly(count)).reshape(-1, many)
        result[measure] = Matrix(value[0], draws, first[0], null)
    return result


def _evenly(count: int) -> Array:
    return np.full((1, count), 1 / count)


def _values(measure: str, found: Mapping[str, Array], on: Bench, weights: Array) -> Array:
    """A measure (weightings, masks) from outcomes per prompt (masks, n)."""
    if measure == "accuracy":
        return weights @ found["accuracy"].T
    return shares(found["metric"], on.reference, weights)


def _distinct_nodes(on: Bench, graph: PartGraph, keep: Array) -> dict[str, Array]:
    """Measures of kept writers (c, U); equal rows, frequent where parts are few, run once."""
    rows, place = np.unique(keep, axis=0, return_inverse=True)
    return {name: values[place.ravel()] for name, values in on.nodes(graph, rows).items()}


def _cells(
    graph: PartGraph, sets: Array, benches: Mapping[str, Bench], found: _Found
) -> Iterator[Row]:
    """One row per task whose set is not empty, and task measured."""
    names = np.array(graph.names[:-1])
    for a, task in enumerate(benches):
        if not sets[a].any():
            reason = f"no part is assigned to {task}"
            yield {"task": task, "measured": task, "status": "refused", "reason": reason}
            continue
        members = {
            "nodes": int(sets[a].sum()),
            "features": int(graph.sizes[sets[a]].sum()),
            "parts": " ".join(names[sets[a]]),
        }
        for b, (measured, on) in enumerate(benches.items()):
            row = {"task": task, "measured": measured, "status": "ok", **members}
            row |= {"pairs": len(on.prompts), "distinct": len(np.unique(on.prompts.groups))}
            for measure, matrix in found.matrices.items():
                low, high = interval(matrix.draws[:, a, b])
                row |= {measure: matrix.value[a, b], f"{measure}_lo": low, f"{measure}_hi": high}
                if len(matrix.null):
                    row[f"null_{measure}"] = np.median(matrix.null[:, a, b])
            yield row


def _summaries(
    graph: PartGraph, sets: Array, null: list[Array], tasks: list[str], found: _Found
) -> Iterator[Row]:
    """One row per measure, over the tasks whose set is not empty."""
    has = np.flatnonzero(sets.any(axis=1))
    kept = [tasks[a] for a in has]
    about: Row = {
        "tasks": len(kept),
        "unassigned": int(graph.writers - 1 - sets.any(axis=0).sum()),
        "nodes_all": graph.writers - 1,
        "features_all": int(graph.sizes[1:].sum()),
    }
    if len(kept):
        about["nodes"] = float(sets[has].sum(axis=1).mean())
        about["features"] = float((sets[has] @ graph.sizes).mean())
    if len(kept) and null:
        about["null_features"] = float(np.mean([(some[has] @ graph.sizes).mean() for some in null]))
    for measure, matrix in found.matrices.items():
        row = {"measure": measure, **about, "status": "ok"}
        if len(kept) < 2:
            reason = "fewer than two tasks that the model can do have parts of their own"
            row |= {"status": "refused", "reason": reason}
        if len(kept):
            inside = Matrix(*(part[..., has[:, None], has] for part in matrix))
            row |= specificity.summarise(inside, kept, found.about["intervention"], seed=1)
        yield row
