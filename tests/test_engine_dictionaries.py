"""The engine on features of dictionaries, their skip paths and their errors.

Claims of the other engine tests, for models some of whose modules write features of dictionaries of
every kind; what errors are in a run; and what is refused.
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch

import slow_engine
import test_engine_attribution
import test_engine_runs
import tiny_models
from connectome import (
    ablation,
    attribution,
    bench,
    circuit_runs,
    coding,
    evaluation,
    part_graphs,
    parts,
    prompts,
    set_ablation,
    specificity,
    transformer,
    wiring,
)
from connectome.errors import ConfigError, DataError
from connectome.tabulate import circuits
from connectome.tabulate import faithfulness as tabulated
from connectome.transformer import Batch
from slow_engine import slow_model
from tiny_models import CODED, dictionary, tiny

each_coded = pytest.mark.parametrize(
    "family",
    [pytest.param(x, marks=pytest.mark.slow) if x.startswith("gemma3") else x for x in CODED],
)
METRIC = "logit_difference"


def close(found, expected, atol=1e-10):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def pairs(n: int, **options):
    return prompts.of_lists(*tiny_models.prompt_lists(n, **options))


@each_coded
def test_features_skip_path_and_error_sum_to_the_module_output(family):
    """Number by number what plain formulas give, and with the constant what the module writes."""
    _, model = tiny(family)
    slow, native = slow_model(family), tiny(CODED[family][0])[1]
    ids = tiny_models.prompt_lists(3)[0]
    batch = Batch.of(ids)
    trace, plain = (transformer.forward(one, batch) for one in (model, native))
    for number, site in enumerate(model.sites):
        close(trace.streams[number + 1], plain.streams[number + 1])
        if site not in model.dictionaries:
            continue
        features = transformer.features_of(trace, site)
        written = features @ model.writing(site) + model.writer(site).constant
        close(written, plain.streams[number + 1] - plain.streams[number])
        for row, tokens in enumerate(ids):
            x = trace.streams[model.reads(site)][row, : len(tokens)]
            close(features[row, : len(tokens)], slow.codes(site, x))
        count = model.layout["features"][site]
        assert (features[..., :count] > 0).any() and (features[..., :count] == 0).any()


@each_coded
@pytest.mark.parametrize(
    ("kind", "kind_of_ablation"),
    [("rois", "counterfactual"), ("rois_qkv", "mean"), ("heads", "counterfactual")],
)
def test_edge_runs_equal_the_definition(family, kind, kind_of_ablation):
    test_engine_runs.test_edge_runs_equal_the_definition(family, kind, kind_of_ablation)


@each_coded
@pytest.mark.parametrize("kind", ["modules", "rois", "features"])
def test_full_graph_is_the_model_and_empty_graph_the_ablated_run(family, kind):
    for kind_of_ablation in ("counterfactual", "mean"):
        test_engine_runs.test_full_graph_is_the_model_and_empty_graph_is_the_ablated_run(
            family, kind, kind_of_ablation
        )


@each_coded
def test_node_runs_chunks_and_padding_agree(family):
    test_engine_runs.test_node_run_is_the_edge_run_with_whole_columns(family, "rois", "mean")
    test_engine_runs.test_node_run_is_the_edge_run_with_whole_columns(
        family, "top_features", "counterfactual"
    )
    test_engine_runs.test_batching_and_chunking_change_nothing(family, "rois")
    test_engine_runs.test_padding_changes_no_run(family, "rois")
    test_engine_runs.test_runs_leave_their_inputs_alone(family, "rois", "zero")


@each_coded
@pytest.mark.parametrize("kind", ["modules", "rois_qkv", "top_features"])
def test_eap_scores_equal_autograd_part_by_part(family, kind):
    test_engine_attribution.test_eap_scores_equal_autograd_part_by_part(family, kind)


@each_coded
@pytest.mark.parametrize("method", ["eap", "path"])
def test_scores_of_coarse_parts_are_sums_of_their_members(family, method):
    test_engine_attribution.test_scores_of_coarse_parts_are_sums_of_their_members(family, method)


@pytest.mark.parametrize("family", ["gemma2_coded"])
def test_batches_order_copies_and_padding_change_no_score(family):
    test_engine_attribution.test_batches_order_copies_and_padding_change_no_score(family)


@pytest.mark.parametrize(("family", "kind"), [("gpt2_coded", "rois"), ("gemma2_coded", "modules")])
def test_exact_scores_equal_the_definition(family, kind):
    test_engine_attribution.test_exact_scores_equal_the_definition(family, kind, "counterfactual")


@each_coded
def test_pieces_of_any_size_change_nothing(family, monkeypatch):
    """Parts run through their modules one at a time, and two at a time."""
    _, model = tiny(family)
    graphs = {name: tiny_models.part_graphs(model)[name] for name in ("top_features", "rois_qkv")}
    chosen = pairs(3)
    ablated = ablation.ablated_values(model, chosen, "counterfactual")

    def everything():
        scores = attribution.attribute(model, chosen, graphs, ["eap"], METRIC)
        for name, graph in graphs.items():
            masks = test_engine_runs.masks_of(graph, 2)
            yield ablation.run_edges(model, chosen, graph, masks, ablated)
            yield torch.tensor(scores[name, "eap"].edges)

    together = list(everything())
    widest = max(transformer.widest(model, site, 7) for site in model.sites)
    for room in (1, 2 * 3 * 7 * widest):
        monkeypatch.setattr(coding, "ROOM", room)
        for found, expected in zip(everything(), together, strict=True):
            close(found, expected)


@each_coded
def test_dictionaries_change_no_plain_run(family):
    """Logits at the answers, and the rest of a pass from a changed stream, are the bare model's."""
    model, native = tiny(family)[1], tiny(CODED[family][0])[1]
    batch = pairs(3).clean
    assert torch.equal(transformer.answers(model, batch), transformer.answers(native, batch))
    site, mean = next(iter(model.dictionaries)), "mean"
    chosen = pairs(3)
    values = ablation.ablated_values(model, chosen, mean, chosen).features[site]
    sets = [np.array([0, 2]), np.array([5])]
    trace = transformer.forward(model, chosen.clean)
    found = torch.cat(list(set_ablation.run_sets(model, trace, site, sets, values, 10**6)))
    graph = tiny_models.part_graphs(model)["features"]
    keep = np.ones((2, graph.writers), dtype=bool)
    for run, members in zip(keep, sets, strict=True):
        run[graph.members[site][members]] = False
    ablated = ablation.ablated_values(model, chosen, mean, chosen)
    close(found, ablation.run_nodes(model, chosen, graph, keep, ablated))


@pytest.mark.parametrize("family", ["gpt2_coded", "gemma2_coded", "llama_coded"])
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-4), ("bfloat16", 0.5)])
def test_full_graph_is_the_model_in_fewer_digits(family, dtype, atol):
    model = transformer.load(tiny(family)[0], dtype, "cpu", tiny_models.dictionaries(family))
    chosen = pairs(8)
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    graph = tiny_models.part_graphs(model)["rois"]
    found = ablation.run_edges(model, chosen, graph, graph.exists[None], ablated)[0]
    assert found.dtype == torch.float32
    close(found, transformer.answers(model, chosen.clean), atol)
    scores = attribution.attribute(model, chosen, {"rois": graph}, ["eap"], METRIC)["rois", "eap"]
    np.testing.assert_allclose(scores.edges.sum(1), scores.nodes, atol=atol)


def test_path_scores_are_complete_where_all_features_fire():
    """The edges that cross each cut sum to m(clean) - m(corrupted), closer with more steps."""
    _, native = tiny("gpt2")
    found = {
        site: dataclasses.replace(dictionary("relu", 8, 1), encoder_bias=torch.full((7,), 90.0))
        for site in ("mlp.0", "attn.1")
    }
    model = transformer.with_dictionaries(native, found)
    graph, chosen = tiny_models.part_graphs(model)["rois"], pairs(6)
    gap = test_engine_attribution.gap(model, chosen)
    cuts = [high for _, high in list(graph.bounds.values())[:-1]]
    misses = []
    for steps in (12, 48):
        edges = attribution.attribute(model, chosen, {"": graph}, ["path"], METRIC, steps=steps)
        crossing = [edges["", "path"].edges[:, cut - 1 :, :cut].sum((1, 2)) for cut in cuts]
        misses.append(np.median(np.abs(np.array(crossing) - gap), axis=1))
    assert (misses[1] < misses[0] / 4).all()
    assert misses[1].max() < 0.02 * np.median(np.abs(gap))


@pytest.mark.parametrize("family", ["gpt2_coded", "gemma2_coded"])
def test_attributions_are_the_node_scores_of_features_alone(family):
    _, model = tiny(family)
    graph, chosen = tiny_models.part_graphs(model)["features"], pairs(3)
    nodes = attribution.attribute(
        model, chosen, {"features": graph}, ["eap"], METRIC, nodes_only=["features"]
    )["features", "eap"].nodes
    found = attribution.site_attributions(model, chosen, METRIC)
    for site, count in model.layout["features"].items():
        expected = nodes[:, graph.members[site][:count]]
        np.testing.assert_allclose(found[site], expected, rtol=1e-6, atol=1e-7)


# Case F: what errors are in a run.


def slow_kept(family, graph, mask, lists, row):
    """A run whose errors are the clean run's, by its definition."""
    slow, (clean, corrupted, *_) = slow_model(family), lists
    every = dataclasses.replace(graph, fixed=False)
    intact, values = (slow_engine.contributions(slow, every, of[row]) for of in (clean, corrupted))
    for node in graph.errors:
        values[node] = intact[node]
    return slow_engine.run(slow, graph, mask, clean[row], values)[0]


@each_coded
def test_kept_errors_are_the_clean_runs_whatever_is_ablated(family):
    """Masks at random, all features of one site cut and nothing else, none, and all."""
    _, model = tiny(family)
    graph = parts.with_fixed_errors(tiny_models.part_graphs(model)["rois"])
    lists = tiny_models.prompt_lists(2)
    chosen = prompts.of_lists(*lists, pad_left=True)
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    kept = ablation.with_clean_errors(model, chosen, ablated)
    site = [site for site in model.sites if site in model.dictionaries][-1]
    cut = graph.exists.copy()
    cut[:, graph.members[site]] = False
    masks = [*test_engine_runs.masks_of(graph, 1), cut, np.zeros_like(cut), graph.exists]
    found = ablation.run_edges(model, chosen, graph, np.stack(masks), kept)
    intact = transformer.answers(model, chosen.clean)
    for run, mask, row in zip(found, masks, (0, 1, 0, 1), strict=True):
        close(run[row], slow_kept(family, graph, mask, lists, row))
    close(found[-1], intact)
    assert (found[1] - intact).abs().max() > 1e-2  # the error does not swallow the ablation
    keep = np.random.default_rng(0).random((3, graph.writers)) < 0.5
    keep[:, graph.errors] = False
    by_edges = ablation.run_edges(model, chosen, graph, graph.exists & keep[:, None], kept)
    close(ablation.run_nodes(model, chosen, graph, keep, kept), by_edges)


@pytest.mark.parametrize("kind_of_ablation", ["mean", "zero"])
def test_kept_errors_stand_beside_any_ablated_values(kind_of_ablation):
    """The empty circuit: ablated features, clean errors, and constants, summed by hand."""
    _, model = tiny("gpt2_coded")
    chosen = pairs(3)
    ablated = ablation.ablated_values(model, chosen, kind_of_ablation, chosen)
    kept = ablation.with_clean_errors(model, chosen, ablated)
    trace = transformer.forward(model, chosen.clean)
    stream = ablated.input.expand_as(trace.streams[0])
    for site in model.sites:
        features = ablated.features[site].expand(*stream.shape[:2], -1).clone()
        if site in model.dictionaries:
            features[..., -8:] = transformer.features_of(trace, site)[..., -8:]
        stream = stream + features @ model.writing(site) + model.writer(site).constant
    expected = transformer.unembed(model, stream[torch.arange(3), chosen.clean.last])
    graph = parts.with_fixed_errors(tiny_models.part_graphs(model)["rois"])
    masks = np.zeros_like(graph.exists)[None]
    close(ablation.run_edges(model, chosen, graph, masks, kept)[0], expected)


SETTINGS = {
    "partitions": ["modules", "rois", "features"],
    "methods": ["eap"],
    "ranking": "absolute",
    "sizes": [0.2, 0.5, 1.0],
    "random_draws": 3,
    "random_sizes": [0.2],
    "random_pairs": 3,
    "complement_pairs": 2,
    "batch_pairs": 3,
    "memory_mb": 10,
    "error": ["in-graph", "kept", "ablated"],
}


def labels_table(model) -> pa.Table:
    """A table of partitions with one, `rois`, of a dictionary's features alone."""
    rows = [
        {"site": site, "feature": i, "rois": i % 3 - 1}
        for site, count in model.layout["features"].items()
        for i in range(count)
    ]
    table = pa.Table.from_pylist(rows)
    return table.set_column(2, "rois", table["rois"].cast(pa.int32()))


@pytest.fixture(scope="module")
def evaluated():
    """Rows of the evaluation of a model with dictionaries, the runs behind them, its graphs."""
    _, model = tiny("gemma2_coded")
    chosen = pairs(5)
    graphs = part_graphs.build(SETTINGS["partitions"], labels_table(model), seed=1, **model.layout)
    scores = attribution.attribute(model, chosen, graphs, ["eap"], METRIC, nodes_only=["features"])
    nodes, edges = (
        of(scores, graphs, "counterfactual")
        for of in (part_graphs.node_table, part_graphs.edge_table)
    )
    plan = circuit_runs.plan(graphs, nodes, edges, SETTINGS, 1)
    values = circuit_runs.measure(
        *(model, chosen, chosen, slice(0, 5), plan.runs, METRIC, "counterfactual", SETTINGS)
    )
    about = {"curves": plan.curves, "nulls": plan.nulls}
    found = evaluation.gather([values | {"groups": np.arange(5)}], about)
    curves = evaluation.all_curves(found, np.full((1, 5), 0.2))
    return model, chosen, graphs, [row for curve in curves for row in curve.rows], found, edges


def test_evaluation_has_a_row_for_each_policy_of_errors(evaluated):
    """None for whole modules; complements and random circuits under the first policy alone."""
    _, _, graphs, rows, found, _ = evaluated
    policies = {}
    for row in rows:
        policies.setdefault(row["partition"], set()).add(row["error"])
    every = {"in-graph", "kept", "ablated"}
    assert policies == {"modules": {""}, "rois": every, "features": every}
    assert {(null["partition"], null["error"]) for null in found.nulls} == {
        ("modules", ""),
        ("rois", "in-graph"),
    }
    first = [row for row in rows if row["error"] in ("", "in-graph")]
    others = [row for row in rows if row not in first]
    assert {row["mode"] for row in first} == {"circuit", "complement"}
    assert {row["mode"] for row in others} == {"circuit"} and not any("p" in row for row in others)
    table, summaries = evaluation.tables(
        evaluation.all_curves(found, np.full((1, 5), 0.2)),
        ablation="counterfactual",
        ranking="absolute",
        seed=1,
        **evaluation.counts(found),
    )
    assert set(table["error"].to_pylist()) == {"", *every}
    for row in summaries.to_pylist():
        assert row["cpr"] is not None
        assert (row["leak"] is not None) == (row["error"] in ("", "in-graph"))
    listed = tabulated.rows(
        [({"model": "m", "dictionary": "d", "task": "t"}, table.to_pylist())], {("m", "t"): True}
    )
    assert {row["error"] for row in tabulated.shown(listed)} == {"", "in-graph"}
    sizes = tabulated.size_rows(tabulated.shown(listed), 0.8)
    assert len(sizes) == 5  # edges and nodes of two partitions, nodes of the third


def test_full_circuits_are_the_model_and_empty_ones_what_each_policy_says(evaluated):
    model, chosen, graphs, rows, found, _ = evaluated
    intact, nothing = (
        bench.prepare(
            model,
            some,
            ablation.ablated_values(model, some, "counterfactual"),
            METRIC,
            np.full((1, 5), 0.2),
            10**7,
        ).reference.model
        for some in (chosen, dataclasses.replace(chosen, clean=chosen.corrupted))
    )
    fixed = parts.with_fixed_errors(graphs["rois"])
    lists = tiny_models.prompt_lists(5)
    kept = np.array(
        [
            slow_engine.logit_difference(
                slow_kept("gemma2_coded", fixed, np.zeros_like(fixed.exists), lists, row),
                *(column[row] for column in lists[2:]),
            )
            for row in range(5)
        ]
    )
    full = [row for row in rows if row["mode"] == "circuit" and row["k"] == 1]
    assert len(full) == 2 + 3 * 3
    for row in full:
        assert row["m_model"] == pytest.approx(intact.mean())
        empty = kept if row["error"] == "kept" else nothing
        assert row["m_empty"] == pytest.approx(empty.mean())
        if row["error"] != "ablated":
            assert row["m_circuit"] == pytest.approx(intact.mean())
        else:
            assert abs(row["m_circuit"] - intact.mean()) > 1e-3
    complements = [row for row in rows if row["mode"] == "complement" and row["k"] == 1]
    for row in (row for row in complements if row["intervention"] == "edge"):
        assert row["m_circuit"] == pytest.approx(row["m_empty"])
    by_edges, by_nodes = (
        next(
            row["m_circuit"]
            for row in full
            if (row["partition"], row["error"], row["intervention"]) == ("rois", "ablated", kind)
        )
        for kind in ("edge", "node")
    )
    assert by_edges == pytest.approx(by_nodes)


def test_ablated_errors_are_the_run_without_them(evaluated):
    """All features kept, by the definition: edges into and out of errors are cut."""
    model, chosen, graphs, rows, _, _ = evaluated
    graph = graphs["rois"]
    mask = graph.exists.copy()
    mask[:, graph.errors] = False
    lists, slow = tiny_models.prompt_lists(5), slow_model("gemma2_coded")
    expected = []
    for row in range(5):
        clean, corrupted, right, wrong = (column[row] for column in lists)
        values = slow_engine.contributions(slow, graph, corrupted)
        logits = slow_engine.run(slow, graph, mask, clean, values)[0]
        expected.append(float(slow_engine.logit_difference(logits, right, wrong)))
    found = next(
        row["m_circuit"]
        for row in rows
        if (row["partition"], row["error"], row["k"], row["mode"])
        == ("rois", "ablated", 1, "circuit")
    )
    assert found == pytest.approx(np.mean(expected))


def test_graph_read_back_from_its_table_has_its_errors(evaluated):
    _, _, graphs, _, _, edges = evaluated
    of_rois = part_graphs.rows_of(edges, "rois", "eap").to_pylist()
    again = circuits.graph_of(of_rois)
    assert [again.names[node] for node in again.errors] == ["m0.error", "a1.error", "m1.error"]
    assert again.exists.sum() == graphs["rois"].exists.sum()


# Names and sizes of parts.


def test_what_stands_beside_features_is_one_part_of_size_one():
    beside = {"mlp.0": {"error": 4, "skip": 4}, "attn.1": {"error": 4}}
    counts = {"attn.0": 4, "mlp.0": 3, "attn.1": 2, "mlp.1": 5}
    sites = list(counts)
    labels = {"attn.0": [0, 0, 1, 1], "mlp.0": [1, -1, 0], "attn.1": [0, -2], "mlp.1": [0] * 5}
    labels = {site: np.array(values) for site, values in labels.items()}
    graph = parts.labelled(labels, sites, beside)
    assert graph.names == (
        *("input", "a0.r0", "a0.r1", "m0.r0", "m0.r1", "m0.ungrouped", "m0.skip", "m0.error"),
        *("a1.r0", "a1.dead", "a1.error", "m1.r0", "logits"),
    )
    assert graph.sizes.tolist() == [1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 5]
    assert graph.members["mlp.0"].tolist() == [4, 5, 3, 6, 6, 6, 6, 7, 7, 7, 7]
    assert [graph.names[node] for node in graph.errors] == ["m0.error", "a1.error"]
    whole = parts.modules(counts, sites, beside)
    assert whole.names == ("input", "a0", "m0", "a1", "m1", "logits")
    assert whole.sizes.tolist() == [1, 4, 5, 3, 5] and len(whole.errors) == 0
    heads = parts.heads(counts, sites, 2, beside)
    assert heads.names == ("input", "a0.h0", "a0.h1", "m0", "a1", "m1", "logits")
    singles = parts.singletons({"mlp.0": 2, "attn.1": 1}, ["mlp.0", "attn.1"], beside)
    names = ("input", "m0.f0", "m0.f1", "m0.skip", "m0.error", "a1.f0", "a1.error", "logits")
    assert singles.names == names
    chosen = parts.chosen_features(counts, sites, ["m0.f1", "m1.n4", "m0.error"], beside)
    assert chosen.names == (
        *("input", "a0.rest", "m0.f1", "m0.rest", "m0.skip", "m0.error", "a1.rest", "a1.error"),
        *("m1.n4", "m1.rest", "logits"),
    )


def test_fixed_errors_have_no_edges_and_are_no_candidates():
    beside = {"mlp.0": {"error": 4}}
    graph = parts.singletons({"attn.0": 1, "mlp.0": 2}, ["attn.0", "mlp.0"], beside)
    fixed = parts.with_fixed_errors(graph)
    removed = graph.exists & ~fixed.exists
    names = {parts.edge_name(graph, v, u) for v, u in zip(*np.nonzero(removed), strict=True)}
    assert names == {"input->m0.error", "a0.n0->m0.error", "m0.error->logits"}
    assert fixed.edge_count == graph.edge_count - 3
    scores = np.array([0, 1.0, 2.0, 3.0, 9.0])
    best, of_fixed = (parts.top_nodes(some, scores, 2, "absolute") for some in (graph, fixed))
    assert np.flatnonzero(best).tolist() == [0, 3, 4]
    assert np.flatnonzero(of_fixed).tolist() == [0, 2, 3]
    assert parts.sizes(fixed, fixed.exists)["weighted"] == 1


def test_top_features_are_features():
    """However large the score of an error, it takes no feature's place."""
    _, model = tiny("gpt2_coded")
    graph, chosen = tiny_models.part_graphs(model)["features"], pairs(3)
    scores = attribution.attribute(
        model, chosen, {"features": graph}, ["eap"], METRIC, nodes_only=["features"]
    )["features", "eap"]
    scores.nodes[:, graph.errors] = 1e3
    top = part_graphs.top_features(graph, scores, 4)
    single = [name for name in top.names if name.rpartition(".")[2][0] in "fn"]
    assert len(single) == 4
    assert [name for name in top.names if name.endswith((".skip", ".error"))] == [
        *("m0.error", "a1.error", "m1.skip", "m1.error")
    ]
    assert wiring.wiring(model, top)


def test_random_sets_leave_errors_where_they_are():
    _, model = tiny("gpt2_coded")
    graph = tiny_models.part_graphs(model)["rois"]
    sets = np.zeros((1, graph.writers), dtype=bool)
    sets[0, graph.bounds["mlp.1"][0]] = True
    aside = [name.endswith((".error", ".skip", ".dead")) for name in graph.names[:-1]]
    rng = np.random.default_rng(0)
    drawn = np.array([specificity.random_sets(graph, sets, rng)[0] for _ in range(20)])
    assert len(np.unique(drawn, axis=0)) > 1 and not drawn[:, aside].any()


# What is refused.


@pytest.mark.parametrize(
    ("site", "kind", "width", "sentence"),
    [
        ("resid.0", "relu", 8, "dictionary of resid.0 cannot be traced: .*attn.0 to mlp.1"),
        ("embed", "relu", 8, "dictionary of embed cannot be traced"),
        ("mlp.2", "relu", 8, "dictionary of mlp.2 cannot be traced"),
        ("mlp.0", "relu", 9, "reads 9 and gives 9 numbers a token, but the model has 8"),
        ("attn.0", "transcoder", 8, "dictionary of attn.0 is a transcoder.*mlp.0"),
    ],
)
def test_dictionaries_that_cannot_stand_for_a_module_are_refused(site, kind, width, sentence):
    _, model = tiny("gpt2")
    with pytest.raises(DataError, match=sentence):
        transformer.with_dictionaries(model, {site: dictionary(kind, width, 0)})


def test_graphs_and_partitions_of_other_dictionaries_are_refused():
    model, native = (tiny(family)[1] for family in ("gpt2_coded", "gpt2"))
    graph = tiny_models.part_graphs(native)["rois"]
    with pytest.raises(DataError, match="graph has 12 features at mlp.0, the model 15"):
        wiring.wiring(model, graph)
    with pytest.raises(DataError, match="'rois' has 12 features at mlp.0, the model 7"):
        part_graphs.build(["rois"], labels_table(native), seed=1, **model.layout)


def test_an_unknown_policy_of_errors_is_refused(evaluated):
    _, _, graphs, _, _, edges = evaluated
    settings = SETTINGS | {"error": ["clean"], "partitions": ["rois"]}
    with pytest.raises(ConfigError, match="evaluation.error: 'clean'.*in-graph, kept, ablated"):
        circuit_runs.plan(graphs, edges, edges, settings, 1)
