"""Evaluation of circuits on held-out prompts, over sizes, by edge and by node ablation.

Circuits are selected by scores from discovery prompts; every number here comes from held-out
ones. Rows state the requested, the selected and the pruned size, the complement beside the
circuit, and random circuits of equal size; each curve has a summary.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from connectome import curves, faithfulness, metrics, part_graphs, parts
from connectome.ablation import Ablated, run_edges, run_nodes
from connectome.devices import within_memory
from connectome.faithfulness import Reference
from connectome.parts import PartGraph
from connectome.prompts import Prompts
from connectome.random_circuits import random_circuit
from connectome.transformer import Transformer, answers

Array = np.ndarray
Row = dict[str, Any]
_ARROW = {str: pa.string(), int: pa.int32(), float: pa.float64()}


def schema_of(columns: Mapping[str, type]) -> pa.Schema:
    """Schema of columns of text, whole numbers and floats."""
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


SCHEMA, SUMMARY_SCHEMA = schema_of(faithfulness.MEASURES), schema_of(curves.SUMMARIES)


@dataclass(frozen=True)
class Bench:
    """What all circuits of a task are measured on."""

    model: Transformer
    prompts: Prompts
    ablated: Ablated
    metric: str
    intact: torch.Tensor  # logits (n, vocabulary) of the intact model
    reference: Reference
    weights: Array  # (draws, n) bootstrap
    memory: int

    def part(self, count: int) -> "Bench":
        """The same on the first `count` prompts."""
        return self.rows(slice(count))

    def rows(self, rows: slice) -> "Bench":
        """The same on some of the prompts."""
        return Bench(
            self.model,
            self.prompts.rows(rows),
            self.ablated.rows(rows),
            self.metric,
            self.intact[rows],
            Reference(self.reference.model[rows], self.reference.empty[rows]),
            self.weights[:, rows],
            self.memory,
        )

    def measure(self, logits: torch.Tensor) -> dict[str, Array]:
        """Metric, KL divergence from the intact model and choice accuracy, each (c, n)."""
        right, wrong = self.prompts.right, self.prompts.wrong
        values = {
            "metric": metrics.metric(self.metric)(logits, right, wrong),
            "kl": metrics.kl_divergence(logits, self.intact),
            "accuracy": metrics.choice_accuracy(logits, right, wrong),
        }
        return {name: value.double().cpu().numpy() for name, value in values.items()}

    def edges(self, graph: PartGraph, masks: Array) -> dict[str, Array]:
        """Measures (c, n) of edge masks (c, readers, writers)."""
        return self._in_blocks(run_edges, graph, masks)

    def nodes(self, graph: PartGraph, keep: Array) -> dict[str, Array]:
        """Measures (c, n) of kept writers (c, U)."""
        return self._in_blocks(run_nodes, graph, keep)

    def _in_blocks(
        self, run: Callable[..., torch.Tensor], graph: PartGraph, given: Array
    ) -> dict[str, Array]:
        """Measures of runs, so many at once that logits over the vocabulary fit the memory."""
        step = max(1, self.memory // (self.intact.numel() * self.intact.element_size()))
        found = [
            self._measured(run, graph, given[i : i + step]) for i in range(0, len(given), step)
        ]
        return {name: np.concatenate([some[name] for some in found]) for name in found[0]}

    def _measured(
        self, run: Callable[..., torch.Tensor], graph: PartGraph, given: Array
    ) -> dict[str, Array]:
        """Measures (c, n) of runs on all prompts at once, or on as many as fit the memory."""

        def on(rows: range) -> dict[str, Array]:
            some = self.rows(slice(rows.start, rows.stop))
            return some.measure(
                run(some.model, some.prompts, graph, given, some.ablated, some.memory)
            )

        found = list(within_memory(on, [range(len(self.prompts))]))
        return {name: np.concatenate([some[name] for some in found], axis=1) for name in found[0]}


@torch.inference_mode()
def bench(
    model: Transformer,
    prompts: Prompts,
    ablated: Ablated,
    metric: str,
    weights: Array,
    memory: int,
) -> Bench:
    """Run the intact model and the empty circuit once, for all circuits."""
    prompts = prompts.to(model.device)
    graph = parts.modules({site: model.features(site) for site in model.sites}, model.sites)
    keep = np.zeros((1, graph.writers), bool)

    def run(rows: range) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = slice(rows.start, rows.stop)
        some = prompts.rows(chosen)
        empty = run_nodes(model, some, graph, keep, ablated.rows(chosen))
        return answers(model, some.clean), empty[0]

    found = within_memory(run, [range(len(prompts))])
    intact, nothing = (torch.cat(some) for some in zip(*found, strict=True))
    measure = metrics.metric(metric)
    reference = Reference(
        measure(intact, prompts.right, prompts.wrong).double().cpu().numpy(),
        measure(nothing, prompts.right, prompts.wrong).double().cpu().numpy(),
    )
    return Bench(model, prompts, ablated, metric, intact, reference, weights, memory)


def requested_sizes(shares: Sequence[float], total: int) -> list[int]:
    """Distinct numbers of edges or nodes, increasing, at least 1 each."""
    return sorted({max(1, round(share * total)) for share in shares})


class Curve(NamedTuple):
    """Circuits of every size of one partition and method under one intervention."""

    rows: list[Row]  # circuits, then complements
    summary: Row


class Null(NamedTuple):
    """Metric of random circuits of one size and of their complements, each (draws, prompts).

    They ran on the first prompts of the bench, complements on fewer of them.
    """

    circuit: Array
    complement: Array


def edge_curve(
    on: Bench,
    graph: PartGraph,
    scores: Array,
    settings: Mapping[str, Any],
    random: Mapping[int, Null],
) -> Curve:
    """One partition and method under edge ablation.

    scores: mean edge scores (readers, writers). random: the null of each requested size at which
    there is one.
    """
    wanted = requested_sizes(settings["sizes"], graph.edge_count)
    circuits = [
        parts.top_edges(graph, scores, size, settings["ranking"], fill=True) for size in wanted
    ]
    masks = np.stack([circuit.mask for circuit in circuits])
    kept, left = on.edges(graph, masks), on.edges(graph, graph.exists & ~masks)
    about = [
        {
            "requested": circuit.requested,
            "selected": circuit.selected,
            "k": circuit.requested / graph.edge_count,
            **parts.sizes(graph, circuit.mask),
        }
        for circuit in circuits
    ]
    rows = _curve_rows(on, about, kept, left)
    for row in rows:
        null = random.get(row["requested"])
        if null is not None:
            of_mode = kept if row["mode"] == "circuit" else left
            row |= _beside_random(on, of_mode["metric"][wanted.index(row["requested"])], null, row)
    sizes = np.array([row["edges"] for row in about])
    summary = curves.summarise(
        sizes, graph.edge_count, kept["metric"], left["metric"], on.reference, on.weights
    )
    return _named("edge", rows, summary)


def node_curve(on: Bench, graph: PartGraph, scores: Array, settings: Mapping[str, Any]) -> Curve:
    """One partition and method under node ablation: kept parts, then the rest kept.

    scores: mean node scores (U,).
    """
    total = graph.writers - 1
    wanted = requested_sizes(settings["sizes"], total)
    keep = np.stack([parts.top_nodes(graph, scores, size, settings["ranking"]) for size in wanted])
    rest = ~keep
    rest[:, 0] = True  # the input is never ablated: it is what the prompts are
    kept, left = on.nodes(graph, keep), on.nodes(graph, rest)
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
    rows = _curve_rows(on, about, kept, left)
    summary = curves.summarise(
        np.array(wanted), total, kept["metric"], left["metric"], on.reference, on.weights
    )
    return _named("node", rows, summary)


def _curve_rows(
    on: Bench, about: Sequence[Row], kept: Mapping[str, Array], left: Mapping[str, Array]
) -> list[Row]:
    """Rows of circuits and of their complements, from measures (points, n) of both."""
    rows = []
    for mode, found in (("circuit", kept), ("complement", left)):
        for i, of_circuit in enumerate(about):
            row = {"mode": mode, **of_circuit, **_measured(on, found, i)}
            if mode == "circuit":
                row |= faithfulness.against_model(
                    found["metric"][i], on.reference, on.prompts.groups
                )
            rows.append(row)
    return rows


def _named(intervention: str, rows: list[Row], summary: Row) -> Curve:
    name = {"intervention": intervention}
    return Curve([name | row for row in rows], name | summary)


def random_circuits(
    on: Bench, graph: PartGraph, scores: Array, settings: Mapping[str, Any], seed: int
) -> dict[int, Null]:
    """Random circuits at each of `random_sizes`, shared by all methods of a partition."""
    draws = settings["random_draws"]
    if not draws:
        return {}
    few, fewer = on.part(settings["random_pairs"]), on.part(settings["complement_pairs"])
    result = {}
    for size in requested_sizes(settings["random_sizes"], graph.edge_count):
        masks = np.stack(
            [random_circuit(graph, scores, size, (seed, size, draw)) for draw in range(draws)]
        )
        result[size] = Null(
            few.edges(graph, masks)["metric"],
            fewer.edges(graph, graph.exists & ~masks)["metric"],
        )
    return result


def all_curves(
    on: Bench,
    graphs: Mapping[str, PartGraph],
    nodes: pa.Table,
    edges: pa.Table,
    settings: Mapping[str, Any],
    seed: int,
) -> list[Curve]:
    """Curves of every partition and method that was scored and is wanted.

    nodes, edges: the tables of scores. Partitions without edge scores (single features) are
    evaluated by node ablation alone.
    """
    methods = [*settings["methods"], "exact"]
    result = []

    def add(curve: Curve, **identity: str) -> None:
        result.append(Curve([identity | row for row in curve.rows], identity | curve.summary))

    for name in settings["partitions"]:
        graph, random = graphs[name], None
        for method in methods:
            of_edges = part_graphs.rows_of(edges, name, method)
            if len(of_edges):
                scores = part_graphs.edge_matrix(of_edges, graph)
                if random is None:
                    random = random_circuits(on, graph, scores, settings, seed)
                curve = edge_curve(on, graph, scores, settings, random)
                add(curve, partition=name, method=method)
            of_nodes = part_graphs.rows_of(nodes, name, method)
            if len(of_nodes):
                curve = node_curve(on, graph, of_nodes["score"].to_numpy(), settings)
                add(curve, partition=name, method=method)
    return result


def table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, **constants: Any) -> pa.Table:
    """Rows as a table; what a row leaves out, or has as NaN, is null."""
    found = ({**constants, **row} for row in rows)
    known = ({name: x for name, x in row.items() if x == x} for row in found)  # NaN != NaN
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in known], schema=schema
    )


def tables(curves: Sequence[Curve], **constants: Any) -> tuple[pa.Table, pa.Table]:
    """Rows of all curves (SCHEMA) and their summaries (SUMMARY_SCHEMA)."""
    rows = [row for curve in curves for row in curve.rows]
    return (
        table(rows, SCHEMA, **constants),
        table([curve.summary for curve in curves], SUMMARY_SCHEMA, **constants),
    )


def counts(on: Bench) -> Row:
    """Numbers of prompt pairs and of distinct clean prompts behind every row."""
    return {"pairs": len(on.prompts), "distinct": len(np.unique(on.prompts.groups))}


def _measured(on: Bench, found: Mapping[str, Array], i: int) -> Row:
    return {
        **faithfulness.measure(found["metric"][i], on.reference, on.weights),
        "kl": float(found["kl"][i].mean()),
        "accuracy": float(found["accuracy"][i].mean()),
    }


def _beside_random(on: Bench, circuit: Array, null: Null, row: Row) -> Row:
    """Test of the metric (n,) of a circuit, or of a complement, against its null."""
    complement = row["mode"] == "complement"
    random = null.complement if complement else null.circuit
    count = random.shape[1]
    found = faithfulness.against_random(
        circuit[:count], random, on.reference.part(count), complement
    )
    return {**found, "draws": len(random), "null_pairs": count}
