"""Ablation runs against their definition, carried out reader by reader on plain formulas."""

import dataclasses

import numpy as np
import pytest
import torch

import slow_engine
import tiny_models
from connectome import ablation, parts, prompts, transformer, wiring
from connectome.errors import ConfigError
from connectome.transformer import Batch
from slow_engine import SlowModel, slow_model
from tiny_models import each_family, each_family_without_post_norms, tiny

ABLATIONS = ("counterfactual", "mean", "zero")
EDGE_KINDS = ("modules", "heads", "rois", "rois_qkv", "top_features")
each_kind = pytest.mark.parametrize("kind", EDGE_KINDS)


def close(found, expected, atol=1e-10):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def pairs(n: int, pad_left: bool = False, **options):
    return prompts.of_lists(*tiny_models.prompt_lists(n, **options), pad_left)


def masks_of(graph, count: int, density: float = 0.5, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).random((count, *graph.exists.shape)) < density
    return drawn & graph.exists


def bare(model, batch: Batch) -> torch.Tensor:
    return transformer.logits_at_answer(model, transformer.forward(model, batch))


def slow_ablated(slow: SlowModel, graph, kind: str, lists, row: int) -> list[torch.Tensor]:
    """What each writer writes (t, d) when ablated, from contributions of single prompts."""
    clean, corrupted = lists[:2]
    if kind == "counterfactual":
        return slow_engine.contributions(slow, graph, corrupted[row])
    zeros = [torch.zeros(len(clean[row]), 1).double()] * graph.writers
    if kind == "zero":
        return zeros
    every = [slow_engine.contributions(slow, graph, ids) for ids in clean]
    return [
        zero + torch.cat([one[u] for one in every]).mean(0, keepdim=True)
        for u, zero in enumerate(zeros)
    ]


@each_family
@each_kind
@pytest.mark.parametrize("kind_of_ablation", ABLATIONS)
def test_edge_runs_equal_the_definition(family, kind, kind_of_ablation):
    """Each reader's own input, kept edges carry current values; means over real positions."""
    _, model = tiny(family)
    slow, graph = slow_model(family), tiny_models.part_graphs(model)[kind]
    lists = tiny_models.prompt_lists(2)
    chosen = prompts.of_lists(*lists, pad_left=True)
    masks = masks_of(graph, 2)
    ablated = ablation.ablated_values(model, chosen, kind_of_ablation, chosen)
    found = ablation.run_edges(model, chosen, graph, masks, ablated)
    for row, ids in enumerate(lists[0]):
        values = slow_ablated(slow, graph, kind_of_ablation, lists, row)
        for circuit, mask in enumerate(masks):
            close(found[circuit, row], slow_engine.run(slow, graph, mask, ids, values)[0])


@each_family
@pytest.mark.parametrize("kind", [*EDGE_KINDS, "features"])
@pytest.mark.parametrize("kind_of_ablation", ABLATIONS)
def test_full_graph_is_the_model_and_empty_graph_is_the_ablated_run(family, kind, kind_of_ablation):
    """Eight prompts that share their first words, prompt by prompt."""
    _, model = tiny(family)
    graph = tiny_models.part_graphs(model)[kind]
    clean, corrupted, right, wrong = tiny_models.prompt_lists(8)
    clean = [[5, 6, 7, *ids[3:]] for ids in clean]
    chosen = prompts.of_lists(clean, corrupted, right, wrong)
    ablated = ablation.ablated_values(model, chosen, kind_of_ablation, chosen)
    full = np.ones((1, graph.writers), dtype=bool)
    whole = ablation.run_nodes(model, chosen, graph, full, ablated)[0]
    nothing = ablation.run_nodes(model, chosen, graph, ~full, ablated)[0]
    stream = ablated.streams["logits"].expand(*chosen.clean.ids.shape, -1)
    at_answer = stream[torch.arange(len(clean)), chosen.clean.last]
    if kind != "features":
        masks = np.stack([graph.exists, np.zeros_like(graph.exists)])
        by_edges = ablation.run_edges(model, chosen, graph, masks, ablated)
        close(by_edges, torch.stack([whole, nothing]))
    for row, ids in enumerate(clean):
        close(whole[row], bare(model, Batch.of([ids]))[0])
        if kind_of_ablation == "counterfactual":
            close(nothing[row], bare(model, Batch.of([corrupted[row]]))[0])
        else:
            close(nothing[row], transformer.unembed(model, at_answer[row]))


@each_family
def test_full_graph_is_the_model_in_float32(family):
    folder, _ = tiny(family)
    model = transformer.load(folder)
    chosen = pairs(8)
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    for graph in list(tiny_models.part_graphs(model).values())[:3]:
        found = ablation.run_edges(model, chosen, graph, graph.exists[None], ablated)[0]
        close(found, bare(model, chosen.clean), atol=1e-4)


@each_family
@each_kind
@pytest.mark.parametrize("kind_of_ablation", ABLATIONS)
def test_node_run_is_the_edge_run_with_whole_columns(family, kind, kind_of_ablation):
    _, model = tiny(family)
    graph, chosen = tiny_models.part_graphs(model)[kind], pairs(4)
    ablated = ablation.ablated_values(model, chosen, kind_of_ablation, chosen)
    keep = np.random.default_rng(0).random((3, graph.writers)) < 0.6
    masks = graph.exists & keep[:, None, :]
    by_edges = ablation.run_edges(model, chosen, graph, masks, ablated)
    close(ablation.run_nodes(model, chosen, graph, keep, ablated), by_edges)


@each_family
@pytest.mark.parametrize("kind", ["heads", "rois"])
def test_masks_equal_in_all_slots_are_the_run_with_one_input(family, kind):
    _, model = tiny(family)
    one, chosen = tiny_models.part_graphs(model)[kind], pairs(3)
    three = parts.with_slots(one)
    ablated = ablation.ablated_values(model, chosen, "mean", chosen)
    masks = masks_of(one, 3)
    same = masks[:, three.reads - 1]
    assert same.shape[1] > masks.shape[1]
    found = ablation.run_edges(model, chosen, three, same, ablated)
    close(found, ablation.run_edges(model, chosen, one, masks, ablated))


@each_family
def test_node_run_of_single_features_mixes_features(family):
    """Features of kept heads and units alone: the run by heads, feature by feature."""
    _, model = tiny(family)
    graphs, chosen = tiny_models.part_graphs(model), pairs(4)
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    coarse, fine = graphs["rois"], graphs["features"]
    keep = np.random.default_rng(0).random((3, coarse.writers)) < 0.5
    of_feature = np.zeros((3, fine.writers), dtype=bool)
    of_feature[:, 0] = keep[:, 0]
    for site in model.sites:
        of_feature[:, fine.members[site]] = keep[:, coarse.members[site]]
    found = ablation.run_nodes(model, chosen, fine, of_feature, ablated)
    close(found, ablation.run_nodes(model, chosen, coarse, keep, ablated))


@each_family_without_post_norms
@each_kind
@pytest.mark.parametrize("density", [0.15, 0.4, 0.6])
def test_pruning_changes_nothing_under_counterfactual_ablation(family, kind, density):
    """A part that `input` does not reach recomputes its corrupted value.

    Not where a norm stands behind the module: there its share follows the sum of all parts.
    """
    _, model = tiny(family)
    graph, chosen = tiny_models.part_graphs(model)[kind], pairs(3)
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    masks = masks_of(graph, 3, density)
    pruned = np.stack([parts.prune(graph, mask) for mask in masks])
    found = ablation.run_edges(model, chosen, graph, masks, ablated)
    close(ablation.run_edges(model, chosen, graph, pruned, ablated), found)


@each_family
@each_kind
def test_batching_and_chunking_change_nothing(family, kind):
    """Circuits and prompts together, one at a time, in chunks."""
    _, model = tiny(family)
    graph, chosen = tiny_models.part_graphs(model)[kind], pairs(3)
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    masks = masks_of(graph, 3)
    keep = np.random.default_rng(0).random((3, graph.writers)) < 0.5
    together = ablation.run_edges(model, chosen, graph, masks, ablated)
    by_nodes = ablation.run_nodes(model, chosen, graph, keep, ablated)
    cell = graph.writers * chosen.clean.ids.shape[1] * model.size.width * 8
    for memory in (1, 3 * cell, 7 * cell):
        close(ablation.run_edges(model, chosen, graph, masks, ablated, memory), together)
        close(ablation.run_nodes(model, chosen, graph, keep, ablated, memory), by_nodes)
    for row in range(3):
        one, values = chosen.rows(slice(row, row + 1)), ablated.rows(slice(row, row + 1))
        for circuit in range(3):
            mask = masks[circuit : circuit + 1]
            alone = ablation.run_edges(model, one, graph, mask, values)[0, 0]
            close(alone, together[circuit, row])


@each_family
@each_kind
def test_padding_changes_no_run(family, kind):
    """Left or right, and whatever id stands in the padding."""
    _, model = tiny(family)
    graph = tiny_models.part_graphs(model)[kind]
    masks = masks_of(graph, 2)
    keep = np.random.default_rng(0).random((2, graph.writers)) < 0.5
    results = []
    for pad_left in (False, True):
        chosen = pairs(5, pad_left)
        noise = dataclasses.replace(
            chosen.clean, ids=torch.where(chosen.clean.real, chosen.clean.ids, 9)
        )
        for clean in (chosen.clean, noise):
            padded = dataclasses.replace(chosen, clean=clean)
            ablated = ablation.ablated_values(model, padded, "counterfactual")
            results.append(
                torch.cat(
                    [
                        ablation.run_edges(model, padded, graph, masks, ablated),
                        ablation.run_nodes(model, padded, graph, keep, ablated),
                    ]
                )
            )
    for other in results[1:]:
        close(other, results[0])


def test_no_reader_sees_what_was_kept_for_another(monkeypatch):
    """Four sources, four readers, mask = identity.

    What each reader of attn.1 reads beyond the ablated stream is written in the differences that
    the sources at attn.0 have; the coefficients must be the identity matrix. With an aliased input
    they are the full lower triangle.
    """
    _, model = tiny("gpt2")
    labels = {site: np.arange(model.features(site)) % 4 for site in model.sites}
    graph = parts.labelled(labels, model.sites)
    chosen = pairs(1)
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    seen, written = {}, {}
    real_run = ablation.run_parts

    def watched(model, site, wired, x, *rest, out):
        seen[site] = x.clone()
        real_run(model, site, wired, x, *rest, out=out)
        written[site] = out.clone()

    monkeypatch.setattr(ablation, "run_parts", watched)
    sources, readers = (graph.bounds[site][0] for site in ("attn.0", "attn.1"))
    mask = np.zeros_like(graph.exists)
    mask[sources - 1 : sources + 3, 0] = True
    for i in range(4):
        mask[readers + i - 1, sources + i] = True
    ablation.run_edges(model, chosen, graph, mask[None], ablated)
    beyond = (seen["attn.1"] - ablated.streams["attn.1"]).flatten(1)  # (reader, ...)
    found = torch.linalg.lstsq(written["attn.0"].flatten(1).T, beyond.T).solution.T
    close(found, torch.eye(4).double())


@each_family
@pytest.mark.parametrize("kind", [*EDGE_KINDS, "features"])
@pytest.mark.parametrize("kind_of_ablation", ABLATIONS)
def test_runs_leave_their_inputs_alone(family, kind, kind_of_ablation):
    """One circuit on one prompt, twice: nothing is written into ablated values or weights."""
    _, model = tiny(family)
    graph, chosen = tiny_models.part_graphs(model)[kind], pairs(1)
    ablated = ablation.ablated_values(model, chosen, kind_of_ablation, chosen)
    values = [*ablated.streams.values(), *ablated.features.values()]
    before = [x.clone() for x in values]

    def run():
        keep = np.random.default_rng(0).random((1, graph.writers)) < 0.5
        if kind == "features":
            return ablation.run_nodes(model, chosen, graph, keep, ablated)
        return ablation.run_edges(model, chosen, graph, masks_of(graph, 1), ablated)

    assert torch.equal(run(), run())
    for old, new in zip(before, values, strict=True):
        assert torch.equal(old, new)


@each_family
def test_means_are_one_vector_per_part(family):
    """Over real positions of the discovery prompts, part by part."""
    _, model = tiny(family)
    chosen, discovery = pairs(2), pairs(6, pad_left=True, seed=1)
    ablated = ablation.ablated_values(model, chosen, "mean", discovery)
    assert ablated.input.shape == (1, 1, model.size.width)
    rows = tiny_models.prompt_lists(6, seed=1)[0]
    traces = [transformer.forward(model, Batch.of([ids])) for ids in rows]
    close(ablated.input[0, 0], torch.cat([t.streams[0][0] for t in traces]).mean(0))
    for site in model.sites:
        stacked = torch.cat([transformer.shares_of(t, site)[0] for t in traces])
        close(ablated.features[site][0, 0], stacked.mean(0))
    graph = tiny_models.part_graphs(model)["heads"]
    wired = wiring.wiring(model, graph)["attn.0"]
    written = wiring.write(model, "attn.0", wired, ablated.features["attn.0"])
    assert written.shape[1:3] == (1, 1) and not torch.allclose(written[0], written[1])


def test_unknown_ablation_is_refused():
    _, model = tiny("gpt2")
    for kind, discovery in (("resample", pairs(1)), ("mean", None)):
        with pytest.raises(ConfigError, match=f"ablation '{kind}'"):
            ablation.ablated_values(model, pairs(1), kind, discovery)


def test_many_prompts_are_ablated_in_blocks():
    """The corrupted run of many prompts, in blocks of any size."""
    _, model = tiny("llama")
    chosen = pairs(7)
    whole = ablation.ablated_values(model, chosen, "counterfactual")
    blocks = ablation.ablated_values(model, chosen, "counterfactual", batch_pairs=3)
    mean, in_blocks = (
        ablation.ablated_values(model, chosen, "mean", chosen, batch_pairs=size) for size in (64, 2)
    )
    for one, other in ((whole, blocks), (mean, in_blocks)):
        close(one.input, other.input)
        for site in model.sites:
            close(one.features[site], other.features[site])
