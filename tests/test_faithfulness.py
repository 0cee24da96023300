"""Faithfulness by hand, and circuits evaluated on a tiny model."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch

from connectome import ablation, bench, circuit_runs, evaluation, part_graphs, parts, prompts
from connectome.attribution import attribute, exact
from connectome.faithfulness import Reference, against_random, measure
from connectome.random_circuits import random_circuit
from connectome.statistics import bootstrap_weights
from tiny_models import tiny

SETTINGS = {
    "partitions": ["heads", "features"],
    "methods": ["eap"],
    "ranking": "absolute",
    "sizes": [0.2, 0.5, 1.0],
    "random_draws": 6,
    "random_sizes": [0.2],
    "random_pairs": 5,
    "complement_pairs": 4,
    "batch_pairs": 3,
    "memory_mb": 10,
}


def test_ratio_of_means_and_median_of_ratios_by_hand():
    reference = Reference(np.array([4.0, 2.0, 3.0]), np.array([0.0, 1.0, 1.0]))  # gaps 4, 1, 2
    record = measure(np.array([2.0, 2.0, 2.0]), reference, np.full((1, 3), 1 / 3))
    assert record["f_ratio"] == pytest.approx((2 + 1 + 1) / 7)
    assert record["f_median"] == pytest.approx(0.5)  # ratios .5, 1, .5
    assert record["f_lo"] == record["f_hi"] == pytest.approx(4 / 7)
    assert record["excluded"] == 0


def test_prompts_without_a_gap_are_left_out_and_counted():
    """A tiny denominator is not a huge faithfulness."""
    reference = Reference(np.array([2.0, 2.0, 2.0, 0.01]), np.zeros(4))
    record = measure(np.array([1.0, 1.0, 1.0, 5.0]), reference, np.full((1, 4), 0.25))
    assert record["excluded"] == 1
    assert record["f_median"] == record["f_q75"] == 0.5


def test_no_gap_at_all_is_not_defined():
    same = np.array([1.0, 1.0])
    record = measure(same, Reference(same, same), np.full((3, 2), 0.5))
    assert record["excluded"] == 2
    assert [record[name] for name in ("f_ratio", "f_lo", "f_hi", "f_median")] == [None] * 4


def test_interval_resamples_numerator_and_denominator_together():
    gap = np.array([1.0, 10.0, 3.0, 6.0])
    weights = bootstrap_weights(np.arange(4), 200, 1)
    record = measure(0.7 * gap, Reference(gap, np.zeros(4)), weights)
    assert record["f_lo"] == pytest.approx(0.7) == record["f_hi"]  # apart they would spread


def test_p_against_random_circuits():
    reference = Reference(np.array([1.0, 1.0]), np.zeros(2))
    random = np.linspace(0, 0.9, 10)[:, None].repeat(2, axis=1)
    found = against_random(np.array([0.85, 0.85]), random, reference)
    assert found["p"] == pytest.approx(2 / 11)  # one draw (.9) beats it
    assert found["null_median"] == pytest.approx(0.45)


@pytest.fixture(scope="module")
def bench_and_graphs():
    _, model = tiny("gpt2")
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(0, 23, (2, 7, 6), generator=generator).tolist()
    pairs = prompts.of_lists(*ids, [[1]] * 7, [[2]] * 7)
    graphs = part_graphs.build(
        ["heads", "modules", "features"],
        pa.table({}),
        {site: model.features(site) for site in model.sites},
        model.size.head_width,
        seed=1,
        slots=["modules"],
    )
    found = attribute(model, pairs, graphs, ["eap"], "logit_difference", nodes_only=["features"])
    found["heads", "exact"] = exact(model, pairs, graphs["heads"], "logit_difference")
    nodes = part_graphs.node_table(found, graphs, "counterfactual")
    edges = part_graphs.edge_table(found, graphs, "counterfactual")
    on = bench.prepare(
        model,
        pairs,
        ablation.ablated_values(model, pairs, "counterfactual"),
        "logit_difference",
        bootstrap_weights(pairs.groups, 50, 1),
        memory=10_000_000,
    )
    return on, graphs, nodes, edges, found


def curves_of(bench_and_graphs, **changes):
    on, graphs, nodes, edges, _ = bench_and_graphs
    settings = SETTINGS | changes
    plan = circuit_runs.plan(graphs, nodes, edges, settings, seed=1)
    values = circuit_runs.measure(
        *(on.model, on.prompts, on.prompts, slice(0, 7), plan.runs),
        *("logit_difference", "counterfactual", settings),
    )
    part = values | {"groups": on.prompts.groups}
    found = evaluation.gather([part], {"curves": plan.curves, "nulls": plan.nulls})
    return evaluation.all_curves(found, on.weights)


def all_rows(bench_and_graphs):
    return [row for curve in curves_of(bench_and_graphs) for row in curve.rows]


def test_every_partition_and_method_ends_at_the_intact_model(bench_and_graphs):
    rows = all_rows(bench_and_graphs)
    ends = [row for row in rows if row["k"] == 1.0]
    assert {(row["partition"], row["method"], row["intervention"]) for row in ends} == {
        ("heads", "eap", "edge"),
        ("heads", "eap", "node"),
        ("heads", "exact", "edge"),
        ("heads", "exact", "node"),
        ("features", "eap", "node"),
    }
    for row in ends:
        if (row["intervention"], row["mode"]) == ("node", "complement"):
            continue  # the input is never ablated: what is left is its direct way to the logits
        expected = 1.0 if row["mode"] == "circuit" else 0.0
        assert row["f_ratio"] == pytest.approx(expected, abs=1e-9)
        if row["mode"] == "circuit":
            assert row["kl"] == pytest.approx(0, abs=1e-12)
            assert row["weighted"] == pytest.approx(1.0)


def test_partitions_with_slots_have_curves_and_random_circuits(bench_and_graphs):
    """Modules of two layers: 3 + 2 + 9 + 4 + 5 edges, all of which are the intact model."""
    by_edges, by_nodes = curves_of(bench_and_graphs, partitions=["modules"])
    circuits = [row for row in by_edges.rows if row["mode"] == "circuit"]
    assert [row["requested"] for row in circuits] == [5, 12, 23]
    assert circuits[0]["draws"] == 6 and circuits[0]["null_hi"] is not None
    assert circuits[-1]["edges"] == 23 and circuits[-1]["f_ratio"] == pytest.approx(1)
    whole = [row for row in by_nodes.rows if row["mode"] == "circuit"][-1]
    assert (whole["nodes"], whole["edges"]) == (4, 23)


def test_random_circuits_have_the_requested_size(bench_and_graphs):
    _, graphs, _, edges, _ = bench_and_graphs
    graph = graphs["heads"]
    scores = part_graphs.edge_matrix(part_graphs.rows_of(edges, "heads", "eap"), graph)
    sizes = [int(random_circuit(graph, scores, 12, (1, 12, draw)).sum()) for draw in range(20)]
    assert all(9 <= size <= 14 for size in sizes), sizes
    masks = [random_circuit(graph, scores, 12, (1, 12, draw)) for draw in range(20)]
    assert len({mask.tobytes() for mask in masks}) > 10
    assert all((parts.prune(graph, mask) == mask).all() for mask in masks)


def test_memory_for_logits_changes_no_measure(bench_and_graphs):
    """Circuits one at a time, and all at once."""
    on, graphs, *_ = bench_and_graphs
    graph = graphs["heads"]
    masks = np.random.default_rng(0).random((4, *graph.exists.shape)) < 0.5
    keep = np.random.default_rng(1).random((4, graph.writers)) < 0.5
    small = dataclasses.replace(on, memory=1)
    for run, given in (("edges", masks), ("nodes", keep)):
        found, expected = (getattr(some, run)(graph, given) for some in (small, on))
        for name, values in expected.items():
            assert values.shape == (4, 7)
            np.testing.assert_allclose(found[name], values, atol=1e-10)


def test_rows_beside_random_circuits_name_their_null(bench_and_graphs):
    rows = all_rows(bench_and_graphs)
    tested = [row for row in rows if row.get("p") is not None]
    assert {row["k"] for row in tested} == {5 / 26}
    assert all(1 / 7 <= row["p"] <= 1 and row["draws"] == 6 for row in tested)


def test_a_table_gives_back_the_scores_it_was_made_of(bench_and_graphs):
    _, graphs, nodes, edges, found = bench_and_graphs
    graph = graphs["heads"]
    matrix = part_graphs.edge_matrix(part_graphs.rows_of(edges, "heads", "eap"), graph)
    np.testing.assert_allclose(matrix, found["heads", "eap"].edges.mean(axis=0), atol=1e-12)
    [row] = [
        row
        for row in nodes.to_pylist()
        if (row["partition"], row["method"], row["node"]) == ("heads", "exact", "a1.h0")
    ]
    values = found["heads", "exact"].nodes[:, graph.names.index("a1.h0")]
    assert row["score"] == pytest.approx(values.mean())
    assert row["se"] == pytest.approx(values.std(ddof=1) / np.sqrt(7))
    assert row["mean_abs"] == pytest.approx(np.abs(values).mean())


def test_a_table_of_rows_keeps_its_schema():
    rows = [{"partition": "heads", "f_ratio": None}]
    table = evaluation.table(rows, evaluation.SCHEMA, seed=3)
    assert table.schema == evaluation.SCHEMA
    assert table.to_pylist()[0]["seed"] == 3
