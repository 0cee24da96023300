"""Ablation of sets of features against one node ablation at a time; what ROIs write, by hand."""

import numpy as np
import pytest
import torch

import tiny_models
from connectome import (
    ablation,
    bench,
    metrics,
    parts,
    profiles,
    prompts,
    region_effects,
    region_writing,
    set_ablation,
    statistics,
    transformer,
)
from connectome.continuation import finish
from connectome.moments import correlations, of_rows
from connectome.region_effects import Group
from connectome.region_writing import Reader, Site
from tiny_models import each_family, tiny

METRIC = "logit_difference"


def some_prompts(n: int, seed: int = 0, **options) -> prompts.Prompts:
    return prompts.of_lists(*tiny_models.prompt_lists(n, seed), **options)


def bench_of(model, n: int = 6) -> bench.Bench:
    pairs = some_prompts(n)
    mean = ablation.ablated_values(model, pairs, "mean", some_prompts(9, seed=5))
    weights = statistics.bootstrap_weights(pairs.groups, 50, 1)
    return bench.prepare(model, pairs, mean, METRIC, weights, 10**6)


def run_node(on: bench.Bench, site: str, members: np.ndarray) -> torch.Tensor:
    """Logits (n, vocabulary) with the set as the one node that is not kept."""
    labels = {s: np.zeros(on.model.features(s), int) for s in on.model.sites}
    labels[site][members] = 1
    graph = parts.labelled(labels, on.model.sites)
    keep = np.ones((1, graph.writers), dtype=bool)
    keep[0, graph.members[site][members[0]]] = False
    return ablation.run_nodes(on.model, on.prompts, graph, keep, on.ablated)[0]


@each_family
@pytest.mark.parametrize("memory", [1, 30_000, 10**9])
def test_sets_are_ablated_as_one_node_ablation_each(family, memory):
    _, model = tiny(family)
    on, rng = bench_of(model), np.random.default_rng(0)
    with torch.inference_mode():
        trace = transformer.forward(model, on.prompts.clean)
    for site in model.sites:
        width = model.features(site)
        sets = [np.sort(rng.permutation(width)[: rng.integers(1, width)]) for _ in range(7)]
        values = on.ablated.features[site]
        found = torch.cat(list(set_ablation.run_sets(model, trace, site, sets, values, memory)))
        for logits, members in zip(found, sets, strict=True):
            torch.testing.assert_close(logits, run_node(on, site, members), rtol=0, atol=1e-10)


@each_family
@pytest.mark.parametrize("pad_left", [False, True])
def test_a_pass_that_goes_on_unchanged_ends_as_the_intact_model(family, pad_left):
    _, model = tiny(family)
    pairs = some_prompts(5, pad_left=pad_left)
    with torch.inference_mode():
        trace = transformer.forward(model, pairs.clean)
        intact = transformer.logits_at_answer(model, trace)
        for place in range(len(model.sites) + 1):
            stream = trace.streams[place].expand(2, -1, -1, -1)
            found = finish(model, trace, stream, model.sites[place:])
            torch.testing.assert_close(found, intact.expand(2, -1, -1), rtol=0, atol=1e-10)


def test_a_model_of_one_layer_goes_on_as_well(tmp_path):
    model = transformer.load(tiny_models.gpt2(tmp_path, n_layer=1), torch.float64)
    pairs = some_prompts(3)
    with torch.inference_mode():
        trace = transformer.forward(model, pairs.clean)
        found = finish(model, trace, trace.streams[0][None], model.sites)
    torch.testing.assert_close(found[0], transformer.logits_at_answer(model, trace))


def test_effects_equal_a_plain_loop_over_rois_and_random_sets():
    _, model = tiny("gpt2")
    on, rng = bench_of(model), np.random.default_rng(1)
    live = {site: np.ones(model.features(site), bool) for site in model.sites}
    found = [
        Group(partition, site, part, np.sort(rng.permutation(8)[:size]), np.ones(size))
        for partition, site, part, size in (
            ("rois", "attn.0", 0, 3), ("rois", "mlp.1", 0, 5), ("rois_attribution", "mlp.1", 4, 3),
        )
    ]  # fmt: skip
    random = region_effects.random_sets(found, live, 6, seed=1)
    rows = list(region_effects.task_rows(on, found, random, memory=40_000))
    assert [(r["partition"], r["site"], r["part"], r["live"]) for r in rows] == [
        (g.partition, g.site, g.part, len(g.members)) for g in found
    ]
    right, wrong = on.prompts.right, on.prompts.wrong

    def lost(site, members):
        measured = metrics.metric(METRIC)(run_node(on, site, members), right, wrong).numpy()
        whole, empty = on.reference.model.mean(), on.reference.empty.mean()
        return (whole - measured.mean()) / (whole - empty)

    for row, group in zip(rows, found, strict=True):
        sets = random[group.site, len(group.members)]
        null = np.array([lost(group.site, members) for members in sets])
        effect = lost(group.site, group.members)
        assert row["effect"] == pytest.approx(effect)
        assert row["effect_lo"] <= row["effect"] <= row["effect_hi"]
        assert row["random_median"] == pytest.approx(np.median(null))
        assert row["p"] == pytest.approx((1 + (null >= effect).sum()) / 7)
        logits = run_node(on, group.site, group.members)
        right_now = metrics.choice_accuracy(logits, right, wrong).double().mean()
        assert row["accuracy_lost"] == pytest.approx(row["accuracy_model"] - float(right_now))
        assert (row["draws"], row["pairs"]) == (6, 6)


def test_random_sets_have_the_sizes_of_the_rois_and_no_dead_feature():
    live = {"mlp.0": np.arange(12) % 3 > 0, "attn.0": np.ones(4, bool)}
    groups = [
        Group(partition, "mlp.0", part, np.array(members), np.ones(len(members)))
        for partition, part, members in (
            ("rois", 0, [1, 2, 4]), ("rois", 1, [5, 7]), ("rois_attribution", 0, [8, 10, 11]),
        )
    ]  # fmt: skip
    groups.append(Group("rois", "attn.0", 0, np.arange(4), np.ones(4)))
    found = region_effects.random_sets(groups, live, 20, seed=3)
    assert set(found) == {("mlp.0", 3), ("mlp.0", 2)}  # one list per size; none for a whole site
    for (site, size), sets in found.items():
        assert len(sets) == 20
        for members in sets:
            assert len(np.unique(members)) == size and live[site][members].all()
    assert len({tuple(members) for members in found["mlp.0", 3]}) > 10
    again = region_effects.random_sets(groups, live, 20, seed=3)
    assert all(map(np.array_equal, found["mlp.0", 3], again["mlp.0", 3]))


def test_a_roi_that_fills_its_site_has_no_random_sets_beside_it():
    _, model = tiny("gpt2")
    on = bench_of(model)
    whole = Group("rois", "mlp.0", 0, np.arange(12), np.ones(12))
    (row,) = region_effects.task_rows(on, [whole], {})
    assert row["draws"] == 0 and "p" not in row and row["accuracy_random"] is None
    assert np.isfinite(row["effect"])


@each_family
def test_the_logit_direction_is_what_writing_it_into_the_last_stream_does(family):
    """Brute force: the stream with and without the ROI's write, same scale of the final norm."""
    _, model = tiny(family)
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((50, 12)) * np.arange(1, 13)
    site = region_writing.site_of(model.writing("mlp.1"), of_rows(rows))
    members, signs = np.array([1, 4, 7]), np.array([1.0, -1.0, 1.0])
    scales = region_writing.mean_scales(model, some_prompts(4))
    reader = region_writing.reader_of(model, [scales])
    site, scale = region_writing.scaled(site, "mlp.1", [scales]), scales["logits"]
    stream = rng.standard_normal(model.size.width)
    written = sum(
        sign * rows[:, j].std() * scales.get("mlp.1", 1.0) * model.writing("mlp.1")[j].numpy()
        for j, sign in zip(members, signs, strict=True)
    )

    def logits(x):
        x = x - x.mean() if family in ("gpt2", "gpt_neox") else x
        return scale * x @ model.unembedding.numpy() + model.unembedding_bias.numpy()

    change = logits(stream + written) - logits(stream)
    effect = region_writing.logit_effect(region_writing.direction(site, members, signs), reader)
    np.testing.assert_allclose(effect, change - change.mean(), atol=1e-10)
    measured = region_writing.measure(site, members, signs, reader)
    assert measured["rms"] == pytest.approx(change.std())


def test_the_frozen_scale_is_that_of_the_final_norm_at_the_answers():
    _, model = tiny("gpt2")
    pairs = some_prompts(4)
    with torch.inference_mode():
        trace = transformer.forward(model, pairs.clean)
    last = [trace.streams[-1][i, int(place)].numpy() for i, place in enumerate(pairs.clean.last)]
    scales = [1 / np.sqrt(x.var() + model.size.eps) for x in last]
    assert region_writing.mean_scales(model, pairs) == {"logits": pytest.approx(np.mean(scales))}


def test_the_frozen_scale_of_a_norm_behind_a_module_is_what_makes_its_output():
    """What mlp.1 writes at an answer is its features times directions times that scale."""
    _, model = tiny("gemma2")
    pairs = some_prompts(1)
    with torch.inference_mode():
        trace = transformer.forward(model, pairs.clean)
    last = int(pairs.clean.last[0])
    features = transformer.features_of(trace, "mlp.1")[0, last]
    written = (trace.streams[4] - trace.streams[3])[0, last]
    found = features @ model.writing("mlp.1") * region_writing.mean_scales(model, pairs)["mlp.1"]
    torch.testing.assert_close(found, written)


def test_opposed_members_that_write_opposite_ways_write_alike_once_turned():
    writing = np.array([[1.0, 0], [-1, 0], [0, 1]])
    x = np.random.default_rng(0).standard_normal(40)
    rows = np.stack([x, -x, np.roll(x, 7)], axis=1)
    moments = of_rows(rows)
    site = Site(writing, rows.std(0), moments)
    reader = Reader(np.eye(2), 1.0, False)
    members = np.array([0, 1])
    signs = profiles.signs(correlations(moments, members))
    found = region_writing.measure(site, members, signs, reader)
    assert found["cosine"] == pytest.approx(-1) and found["cosine_signed"] == pytest.approx(1)
    null = region_writing.beside_random(site, [members, members], reader)
    assert null["cosine_signed_random"] == pytest.approx(1) and null["draws"] == 2


def test_the_ends_of_a_logit_effect_are_its_largest_and_smallest():
    found = region_writing.extremes(np.array([0.0, 3, -2, 3, -5]), 2, "abcde".__getitem__)
    assert [tuple(row.values()) for row in found] == [
        ("top", 0, 1, "b", 3), ("top", 1, 3, "d", 3), ("bottom", 0, 4, "e", -5),
        ("bottom", 1, 2, "c", -2),
    ]  # fmt: skip
