"""Runs of circuits of every size on held-out prompts: the selected, their complements, random ones.

Everything that needs the model, prompt by prompt; statistics are made of it in `evaluation`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome import bench, part_graphs, parts
from connectome.ablation import ablated_values, with_clean_errors
from connectome.bench import Bench
from connectome.errors import ConfigError
from connectome.evaluation import curve_name, null_name
from connectome.parts import PartGraph
from connectome.prompts import Prompts
from connectome.random_circuits import random_circuit
from connectome.transformer import Transformer

Array = np.ndarray
Row = dict[str, Any]
MEASURES = ("metric", "kl", "accuracy")
MODES = ("circuit", "complement")


class Run(NamedTuple):
    """Circuits of one graph under one intervention, measured together."""

    name: str  # of its arrays
    graph: PartGraph
    error: str  # what errors of dictionaries are, one of parts.ERRORS; "" where there are none
    intervention: str  # edge | node
    kept: Array  # edge masks (c, readers, writers), or writers (c, U), bool
    measures: Sequence[str] = MEASURES
    pairs: int | None = None  # it runs on the first so many prompts; None: on all


class Plan(NamedTuple):
    """All runs of a task, and what the curves are that they belong to (JSON)."""

    runs: list[Run]
    curves: list[Row]  # partition, method, intervention, error, modes, total, circuits: their sizes
    nulls: list[Row]  # partition, error, size


def requested_sizes(shares: Sequence[float], total: int) -> list[int]:
    """Distinct numbers of edges or nodes, increasing, at least 1 each."""
    return sorted({max(1, round(share * total)) for share in shares})


def plan(
    graphs: Mapping[str, PartGraph],
    nodes: pa.Table,
    edges: pa.Table,
    settings: Mapping[str, Any],
    seed: int,
) -> Plan:
    """Circuits of every partition and method that was scored and is wanted.

    nodes, edges: the tables of scores. Partitions without edge scores (single features) are
    ablated by nodes alone. Graphs with errors of dictionaries are run under each policy of
    `error`; where errors are no part of a circuit, circuits are selected without them. Complements
    and random circuits run under the first policy alone. Random ones are drawn from the seed, their
    size and number, so that they are the same in every shard. settings: the configuration's section
    `evaluation`.
    """
    found = Plan([], [], [])
    for name in settings["partitions"]:
        graph = graphs[name]
        for place, error in enumerate(settings["error"] if len(graph.errors) else [""]):
            if error not in ("", *parts.ERRORS):
                known = ", ".join(parts.ERRORS)
                raise ConfigError(f"evaluation.error: {error!r} is not known; known: {known}")
            fixed = parts.with_fixed_errors(graph) if error not in ("", "in-graph") else graph
            drawn, modes = place > 0, MODES[:1] if place else MODES
            for method in [*settings["methods"], "exact"]:
                curve = {"partition": name, "method": method, "error": error}
                of_edges = part_graphs.rows_of(edges, name, method)
                if len(of_edges):
                    scores = part_graphs.edge_matrix(of_edges, fixed)
                    if not drawn:
                        _add_nulls(found, (name, error), fixed, scores, settings, seed)
                        drawn = True
                    circuits = _edge_circuits(fixed, scores, settings)
                    by = curve | {"intervention": "edge"}
                    _add_curve(found, by, fixed, fixed.edge_count, circuits, modes)
                of_nodes = part_graphs.rows_of(nodes, name, method)
                if len(of_nodes):
                    scores = of_nodes["score"].to_numpy()
                    circuits = _node_circuits(fixed, scores, settings)
                    by = curve | {"intervention": "node"}
                    _add_curve(found, by, fixed, len(fixed.candidates), circuits, modes)
    return found


def _add_nulls(
    to: Plan,
    of: tuple[str, str],
    graph: PartGraph,
    scores: Array,
    settings: Mapping[str, Any],
    seed: int,
) -> None:
    """Random circuits at each of `random_sizes`, shared by all methods of a partition and policy.

    of: the names of both.
    """
    draws, (name, error) = range(settings["random_draws"]), of
    for size in requested_sizes(settings["random_sizes"], graph.edge_count) if draws else ():
        masks = np.stack([random_circuit(graph, scores, size, (seed, size, i)) for i in draws])
        to.nulls.append({"partition": name, "error": error, "size": size})
        for mode, kept, pairs in (
            ("circuit", masks, settings["random_pairs"]),
            ("complement", graph.exists & ~masks, settings["complement_pairs"]),
        ):
            run = null_name(name, size, mode)
            to.runs.append(Run(run, graph, error, "edge", kept, ["metric"], pairs))


def _edge_circuits(
    graph: PartGraph, scores: Array, settings: Mapping[str, Any]
) -> tuple[list[Row], Array, Array]:
    """Sizes of edge circuits, their masks, those of the rest; scores: means (readers, writers)."""
    wanted = requested_sizes(settings["sizes"], graph.edge_count)
    circuits = [
        parts.top_edges(graph, scores, size, settings["ranking"], fill=True) for size in wanted
    ]
    masks = np.stack([circuit.mask for circuit in circuits])
    about = [
        {
            "requested": circuit.requested,
            "selected": circuit.selected,
            "k": circuit.requested / graph.edge_count,
            **parts.sizes(graph, circuit.mask),
        }
        for circuit in circuits
    ]
    return about, masks, graph.exists & ~masks


def _node_circuits(
    graph: PartGraph, scores: Array, settings: Mapping[str, Any]
) -> tuple[list[Row], Array, Array]:
    """Sizes of node circuits, the kept writers and the rest; scores: means (U,)."""
    total = len(graph.candidates)
    wanted = requested_sizes(settings["sizes"], total)
    keep = np.stack([parts.top_nodes(graph, scores, size, settings["ranking"]) for size in wanted])
    rest = np.zeros_like(keep)
    rest[:, graph.candidates] = ~keep[:, graph.candidates]
    rest[:, 0] = True  # the input is never ablated: it is what the prompts are
    about = []
    for size, chosen in zip(wanted, keep, strict=True):
        mask = graph.exists & chosen[None, :] & np.append(chosen, True)[graph.reads, None]
        about.append(
            {
                "requested": size,
                "selected": size,
                "k": size / total,
                **parts.sizes(graph, mask),
                "nodes": size,
                "features": int(graph.sizes[1:][chosen[1:]].sum()),
            }
        )
    return about, keep, rest


def _add_curve(
    to: Plan,
    curve: Mapping[str, str],
    graph: PartGraph,
    total: int,
    circuits: tuple[list[Row], Array, Array],
    modes: Sequence[str],
) -> None:
    """The circuits of one partition, method and intervention, and what each leaves out."""
    about, *masks = circuits
    to.curves.append({**curve, "modes": list(modes), "total": total, "circuits": about})
    for mode, kept in zip(modes, masks, strict=False):
        run = curve_name(curve, mode)
        to.runs.append(Run(run, graph, curve["error"], curve["intervention"], kept))


def measure(
    model: Transformer,
    prompts: Prompts,
    discovery: Prompts,
    rows: slice,
    runs: Sequence[Run],
    metric: str,
    ablation: str,
    settings: Mapping[str, Any],
) -> dict[str, Array]:
    """Measures of all runs on the prompts `rows`: per run and measure (c, n), by `Run.name`.

    Beside them "model" and "empty" (n,): the metric of the intact model and of the empty circuit,
    "empty/kept" where errors are kept.
    prompts: all held-out ones, run in batches of `batch_pairs`; `rows` are whole batches. Means
    are those of the prompts of `discovery`. A run is left out where none of its prompts is in
    `rows`.
    """
    fixed = None
    if ablation != "counterfactual" and len(prompts):  # a refused task has none
        fixed = ablated_values(model, prompts, ablation, discovery)
    found: dict[str, list[Array]] = {}
    for first, on in _benches(model, prompts, rows, metric, fixed, settings):
        found.setdefault("model", []).append(on.reference.model)
        found.setdefault("empty", []).append(on.reference.empty)
        keeping = None
        if any(run.error == "kept" for run in runs):
            keeping = on.with_values(with_clean_errors(model, on.prompts, on.ablated))
            found.setdefault("empty/kept", []).append(keeping.reference.empty)
        for run in runs:
            count = len(on.prompts)
            if run.pairs is not None:
                count = min(count, run.pairs - first)
            if count <= 0:
                continue
            few = keeping if keeping is not None and run.error == "kept" else on
            few = few if count == len(on.prompts) else few.part(count)
            measured = {"edge": few.edges, "node": few.nodes}[run.intervention](run.graph, run.kept)
            for name in run.measures:
                found.setdefault(f"{run.name}/{name}", []).append(measured[name])
    return {name: np.concatenate(values, axis=-1) for name, values in found.items()}


def _benches(
    model: Transformer,
    prompts: Prompts,
    rows: slice,
    metric: str,
    fixed: Any,
    settings: Mapping[str, Any],
) -> Iterator[tuple[int, Bench]]:
    """One bench per batch of the prompts `rows`, with the number of its first prompt."""
    size = settings["batch_pairs"]
    for first in range(rows.start, rows.stop, size):
        batch = prompts.rows(slice(first, first + size))
        values = fixed or ablated_values(model, batch, "counterfactual")
        memory = settings["memory_mb"] * 1_000_000
        undrawn = np.zeros((0, len(batch)))  # intervals are made of all prompts together
        yield first, bench.prepare(model, batch, values, metric, undrawn, memory)
