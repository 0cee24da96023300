"""The engine's claims once for each family that other modules test in full only when slow.

Prompts have 4 to 7 tokens and windows 3, so that they are longer than the window.
"""

import numpy as np
import pytest
import torch

import test_engine_attribution
import test_engine_model
import test_engine_runs
import tiny_models
from connectome import ablation, attribution, part_graphs, parts, prompts, transformer
from connectome.errors import DataError
from connectome.random_circuits import random_circuit
from connectome.tabulate import circuits
from connectome.transformer import Batch
from tiny_models import OTHERS, tiny

each_other = pytest.mark.parametrize("family", OTHERS)


@each_other
def test_parts_sum_to_the_stream_and_equal_their_formulas(family):
    test_engine_model.test_parts_and_constant_sum_to_the_module_output(family, "rois")


@each_other
def test_masks_come_from_places_never_from_ids(family):
    test_engine_model.test_masks_come_from_places_never_from_ids(family)


@each_other
@pytest.mark.parametrize("kind_of_ablation", ["counterfactual", "mean"])
def test_full_graph_is_the_model_and_empty_graph_the_ablated_run(family, kind_of_ablation):
    test_engine_runs.test_full_graph_is_the_model_and_empty_graph_is_the_ablated_run(
        family, "rois", kind_of_ablation
    )


@each_other
@pytest.mark.parametrize("kind", ["heads", "rois_qkv"])
def test_edge_runs_equal_the_definition(family, kind):
    test_engine_runs.test_edge_runs_equal_the_definition(family, kind, "counterfactual")


@each_other
def test_node_runs_batches_and_padding_agree(family):
    test_engine_runs.test_node_run_is_the_edge_run_with_whole_columns(family, "rois", "mean")
    test_engine_runs.test_batching_and_chunking_change_nothing(family, "heads")
    test_engine_runs.test_padding_changes_no_run(family, "rois")


@each_other
@pytest.mark.parametrize("kind", ["heads", "rois_qkv"])
def test_eap_scores_equal_autograd_part_by_part(family, kind):
    test_engine_attribution.test_eap_scores_equal_autograd_part_by_part(family, kind)


@each_other
def test_scores_of_coarse_parts_are_sums_of_their_members(family):
    test_engine_attribution.test_scores_of_coarse_parts_are_sums_of_their_members(family, "eap")


@each_other
def test_exact_scores_equal_the_definition(family):
    test_engine_attribution.test_exact_scores_equal_the_definition(
        family, "modules", "counterfactual"
    )


@pytest.mark.parametrize("family", [name for name in OTHERS if name != "mistral"] + ["gemma2"])
def test_a_window_hides_what_lies_before_it(family):
    """A token four places back reaches the answer through the full layer alone."""
    _, model = tiny(family)
    layer = next(i for i, window in enumerate(model.size.windows) if window == 3)
    first, second = Batch.of([[1, 2, 3, 4, 5]]), Batch.of([[1, 9, 3, 4, 5]])
    streams = [transformer.forward(model, first).streams[0] for _ in range(2)]
    changed = streams[0].clone()
    changed[:, 1] = transformer.embed(model, second)[:, 1]
    for number, seen in ((layer, False), (1 - layer, True)):
        site = f"attn.{number}"
        found = []
        for stream in (streams[0], changed):
            x = transformer.normalise(stream, model.size).x[None, None]
            sight = transformer.sights(model, first)[site]
            found.append(transformer.compute(model, site, x, sight)[0, 0, -1])
        assert torch.equal(*found) is not seen


@pytest.mark.parametrize("family", ["gemma2", "gemma3_text"])
def test_a_cut_part_still_sets_the_scale_of_its_module(family):
    """All heads but one are cut, and none of their values changes what that one adds to the sum:
    yet what it writes is divided by the size of the sum of all in this run."""
    _, model = tiny(family)
    graph = tiny_models.part_graphs(model)["heads"]
    chosen = prompts.of_lists(*tiny_models.prompt_lists(2))
    ablated = ablation.ablated_values(model, chosen, "zero")
    low, high = graph.bounds["attn.1"]
    mask = graph.exists.copy()
    mask[:, low + 1 : high] = False
    found = ablation.run_edges(model, chosen, graph, mask[None], ablated)[0]
    trace = transformer.forward(model, chosen.clean)
    module, width = model.module("attn.1"), model.size.head_width
    added = transformer.features_of(trace, "attn.1")[..., :width] @ module.output[0]
    size = (trace.behind["attn.1"].x / trace.behind["attn.1"].scale).square().mean(
        -1
    ) + model.size.eps
    stream = trace.streams[2] + added * module.gain / size.sqrt()[..., None]
    stream = stream + transformer.output(
        model,
        "mlp.1",
        transformer.compute(
            model,
            "mlp.1",
            transformer.normalise(stream, model.size).x[None, None],
            trace.sights["mlp.1"],
        )[0],
    )
    rows = torch.arange(2)
    expected = transformer.unembed(model, stream[rows, chosen.clean.last])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_parallel_blocks_have_no_edge_from_attention_to_their_own_mlp():
    _, model = tiny("gpt_neox")
    graph = tiny_models.part_graphs(model)["modules"]
    names = {parts.edge_name(graph, v, u) for v, u in zip(*graph.edges, strict=True)}
    assert "a0->m0" not in names and {"a0->m1", "a0->a1", "m0->m1", "input->m0"} <= names
    assert (
        attribution.exact(
            model, prompts.of_lists(*tiny_models.prompt_lists(1)), graph, "logit_difference"
        )
        .edges[:, ~graph.exists]
        .any()
        == np.False_
    )


def test_a_graph_read_back_from_its_table_has_the_same_edges():
    """Of parallel and of sequential blocks: no edge is made up that the model has not."""
    for family in ("gpt_neox", "llama"):
        _, model = tiny(family)
        graph = tiny_models.part_graphs(model)["rois"]
        chosen = prompts.of_lists(*tiny_models.prompt_lists(2))
        found = attribution.attribute(model, chosen, {"rois": graph}, ["eap"], "logit_difference")
        rows = part_graphs.edge_table(found, {"rois": graph}, "counterfactual").to_pylist()
        again = circuits.graph_of(rows)
        assert again.parallel == graph.parallel == (family == "gpt_neox")
        assert np.array_equal(again.exists, graph.exists)


def test_random_circuits_of_parallel_blocks_have_their_edges_alone():
    _, model = tiny("gpt_neox")
    graph = tiny_models.part_graphs(model)["rois"]
    scores = np.random.default_rng(0).standard_normal(graph.exists.shape) * graph.exists
    for draw in (0, 1):
        mask = random_circuit(graph, scores, 40, (1, 40, draw))
        assert mask.sum() >= 40 and not mask[~graph.exists].any()


def test_pythia_70m_has_the_published_number_of_edges():
    """6 layers of 8 heads in parallel blocks, an input per slot: 3,580."""
    sites = [f"{kind}.{layer}" for layer in range(6) for kind in ("attn", "mlp")]
    counts = {site: 8 * 64 if site.startswith("attn") else 2048 for site in sites}
    graph = parts.with_slots(parts.heads(counts, sites, 64))
    assert parts.with_parallel(graph, True).edge_count == 3580


def test_a_graph_of_other_blocks_is_refused():
    _, model = tiny("gpt_neox")
    graph = parts.with_parallel(tiny_models.part_graphs(model)["heads"], False)
    with pytest.raises(DataError, match="parallel and sequential"):
        ablation.run_edges(
            model,
            prompts.of_lists(*tiny_models.prompt_lists(1)),
            graph,
            graph.exists[None],
            ablation.ablated_values(model, prompts.of_lists(*tiny_models.prompt_lists(1)), "zero"),
        )


@pytest.mark.parametrize("family", ["gpt_neox", "gemma2", "qwen3"])
def test_eap_scores_equal_finite_differences(family):
    """Of the ablation run itself: the metric as one edge is cut by a thousandth."""
    _, model = tiny(family)
    graph = tiny_models.part_graphs(model)["heads"]
    chosen = prompts.of_lists(*tiny_models.prompt_lists(2))
    found = attribution.attribute(model, chosen, {"heads": graph}, ["eap"], "logit_difference")
    scores = found["heads", "eap"].edges
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    trace = transformer.forward(model, chosen.clean)
    step = 1e-5

    def metric(logits):
        right = logits.gather(1, chosen.right)[:, 0]
        wrong = [logits[row, ids[ids >= 0]].mean() for row, ids in enumerate(chosen.wrong)]
        return right - torch.stack(wrong)

    # ablated values a thousandth of the way from the run's own to the corrupted one's
    near = ablation.Ablated(
        {
            site: (shares := transformer.shares_of(trace, site))
            + step * (ablated.features[site] - shares)
            for site in model.sites
        },
        {
            place: trace.streams[number] + step * (ablated.streams[place] - trace.streams[number])
            for place, number in [
                *((site, model.reads(site)) for site in model.sites),
                ("logits", len(model.sites)),
            ]
        },
    )
    v, u = (column[::5] for column in graph.edges)
    masks = np.repeat(graph.exists[None], len(v), 0)
    masks[np.arange(len(v)), v, u] = False
    runs = ablation.run_edges(model, chosen, graph, masks, near)
    intact = metric(transformer.logits_at_answer(model, trace))
    for run, reader, writer in zip(runs, v, u, strict=True):
        change = ((intact - metric(run)) / step).numpy()
        np.testing.assert_allclose(scores[:, reader, writer], change, atol=1e-3, rtol=1e-3)
