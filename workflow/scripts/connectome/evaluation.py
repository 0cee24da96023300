"""Evaluation of circuits on held-out prompts, over sizes, by edge and by node ablation.

Circuits are selected by scores from discovery prompts; every number here comes from held-out
ones. Rows state the requested, the selected and the pruned size, the complement beside the
circuit, and random circuits of equal size.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from connectome import faithfulness, metrics, part_graphs, parts
from connectome.ablation import Ablated, run_edges, run_nodes
from connectome.faithfulness import Reference
from connectome.parts import PartGraph
from connectome.prompts import Prompts
from connectome.transformer import Transformer, forward, logits_at_answer

Array = np.ndarray
_ARROW = {str: pa.string(), int: pa.int32(), float: pa.float64()}
SCHEMA = pa.schema([(name, _ARROW[kind]) for name, kind in faithfulness.MEASURES.items()])


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
        rows = slice(count)
        return Bench(
            self.model,
            self.prompts.rows(rows),
            self.ablated.rows(rows),
            self.metric,
            self.intact[rows],
            self.reference.part(count),
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
        logits = run_edges(self.model, self.prompts, graph, masks, self.ablated, self.memory)
        return self.measure(logits)

    def nodes(self, graph: PartGraph, keep: Array) -> dict[str, Array]:
        """Measures (c, n) of kept writers (c, U)."""
        logits = run_nodes(self.model, self.prompts, graph, keep, self.ablated, self.memory)
        return self.measure(logits)


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
    intact = logits_at_answer(model, forward(model, prompts.clean))
    graph = parts.modules({site: model.features(site) for site in model.sites}, model.sites)
    nothing = run_nodes(model, prompts, graph, np.zeros((1, graph.writers), bool), ablated)
    measure = metrics.metric(metric)
    reference = Reference(
        measure(intact, prompts.right, prompts.wrong).double().cpu().numpy(),
        measure(nothing[0], prompts.right, prompts.wrong).double().cpu().numpy(),
    )
    return Bench(model, prompts, ablated, metric, intact, reference, weights, memory)


def requested_sizes(shares: Sequence[float], total: int) -> list[int]:
    """Distinct numbers of edges or nodes, increasing, at least 1 each."""
    return sorted({max(1, round(share * total)) for share in shares})


def edge_curve(
    on: Bench,
    graph: PartGraph,
    scores: Array,
    settings: Mapping[str, Any],
    random: Mapping[int, Array],
) -> Iterator[dict[str, Any]]:
    """Rows of one partition and method under edge ablation: circuits, then complements.

    scores: mean edge scores (readers, writers). random: {requested size: metric (draws, n') of
    random circuits}, on the first n' prompts.
    """
    wanted = requested_sizes(settings["sizes"], graph.edge_count)
    circuits = [
        parts.top_edges(graph, scores, size, settings["ranking"], fill=True) for size in wanted
    ]
    masks = np.stack([circuit.mask for circuit in circuits])
    for mode, chosen in (("circuit", masks), ("complement", graph.exists & ~masks)):
        found = on.edges(graph, chosen)
        for i, circuit in enumerate(circuits):
            row = {
                "intervention": "edge",
                "mode": mode,
                "requested": circuit.requested,
                "selected": circuit.selected,
                "k": circuit.requested / graph.edge_count,
                **parts.sizes(graph, circuit.mask),
                **_measured(on, found, i),
            }
            if mode == "circuit" and circuit.requested in random:
                row |= _beside_random(on, found["metric"][i], random[circuit.requested])
            yield row


def node_curve(
    on: Bench, graph: PartGraph, scores: Array, settings: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Rows of one partition and method under node ablation: kept parts, then the rest kept.

    scores: mean node scores (U,).
    """
    wanted = requested_sizes(settings["sizes"], graph.writers - 1)
    keep = np.stack([parts.top_nodes(graph, scores, size, settings["ranking"]) for size in wanted])
    rest = ~keep
    rest[:, 0] = True  # the input is never ablated: it is what the prompts are
    for mode, chosen in (("circuit", keep), ("complement", rest)):
        found = on.nodes(graph, chosen)
        for i, size in enumerate(wanted):
            readers = np.append(keep[i][1:], True)
            mask = graph.exists & keep[i][None, :] & readers[:, None]
            yield {
                "intervention": "node",
                "mode": mode,
                "requested": size,
                "selected": size,
                "k": size / (graph.writers - 1),
                **parts.sizes(graph, mask),
                "nodes": size,
                "features": int(graph.sizes[1:][keep[i][1:]].sum()),
                **_measured(on, found, i),
            }


def random_circuits(
    on: Bench, graph: PartGraph, scores: Array, settings: Mapping[str, Any], seed: int
) -> dict[int, Array]:
    """Metric (draws, n) of random circuits at each of `random_sizes`, shared by all methods."""
    draws = settings["random_draws"]
    if not draws:
        return {}
    result = {}
    for size in requested_sizes(settings["random_sizes"], graph.edge_count):
        masks = np.stack(
            [parts.random_circuit(graph, scores, size, (seed, size, draw)) for draw in range(draws)]
        )
        result[size] = on.edges(graph, masks)["metric"]
    return result


def all_rows(
    on: Bench,
    graphs: Mapping[str, PartGraph],
    nodes: pa.Table,
    edges: pa.Table,
    settings: Mapping[str, Any],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Rows of every partition and method that was scored and is wanted.

    nodes, edges: the tables of scores. Partitions without edge scores (single features) are
    evaluated by node ablation alone.
    """
    few = on.part(min(settings["random_pairs"], len(on.prompts)))
    methods = [*settings["methods"], "exact"]
    for name in settings["partitions"]:
        graph, random = graphs[name], None
        for method in methods:
            of_edges = _rows_of(edges, name, method)
            identity = {"partition": name, "method": method}
            if len(of_edges):
                scores = part_graphs.edge_matrix(of_edges, graph)
                if random is None:
                    random = random_circuits(few, graph, scores, settings, seed)
                for row in edge_curve(on, graph, scores, settings, random):
                    yield identity | row
            of_nodes = _rows_of(nodes, name, method)
            if len(of_nodes):
                for row in node_curve(on, graph, of_nodes["score"].to_numpy(), settings):
                    yield identity | row


def _rows_of(table: pa.Table, name: str, method: str) -> pa.Table:
    chosen = pc.and_(pc.equal(table["partition"], name), pc.equal(table["method"], method))
    return table.filter(chosen)


def table(rows: Iterable[Mapping[str, Any]], **constants: Any) -> pa.Table:
    """Rows as a table of SCHEMA; what a row leaves out is null."""
    return pa.Table.from_pylist(
        [{name: ({**constants, **row}).get(name) for name in SCHEMA.names} for row in rows],
        schema=SCHEMA,
    )


def _measured(on: Bench, found: Mapping[str, Array], i: int) -> dict[str, Any]:
    return {
        **faithfulness.measure(found["metric"][i], on.reference, on.weights),
        "kl": float(found["kl"][i].mean()),
        "accuracy": float(found["accuracy"][i].mean()),
        "pairs": len(on.prompts),
        "distinct": len(np.unique(on.prompts.groups)),
    }


def _beside_random(on: Bench, circuit: Array, random: Array) -> dict[str, Any]:
    count = random.shape[1]
    found = faithfulness.against_random(circuit[:count], random, on.reference.part(count))
    return {**found, "draws": len(random)}
