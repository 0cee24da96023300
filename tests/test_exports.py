"""Exports: direct effects within a prompt, their pruning, and the files that other tools read."""


import numpy as np
import pytest
import torch

from connectome import direct_effects, influence, transformer
from tiny_models import KINDS, tiny

torch.set_num_threads(1)
IDS = [0, 7, 3, 3, 15, 22]


def everything(model, trace):
    """Readers of all units and of some logits, and all writers: each unit by itself."""
    units, writers = {}, {"embed": [direct_effects.embedding_writers(trace)]}
    for site in direct_effects.mlp_sites(model):
        values = direct_effects.unit_values(trace, site)
        units[site] = torch.ones_like(values).nonzero()
        writers[site] = [direct_effects.unit_writers(model, trace, site, units[site])]
    return units, writers


@pytest.mark.parametrize("family", sorted(KINDS))
def test_effects_and_constant_add_up_to_what_is_read(family):
    _, model = tiny(family)
    trace = direct_effects.frozen(model, IDS)
    units, writers = everything(model, trace)
    for site, of_site in units.items():
        readers = direct_effects.unit_readers(model, trace, site, of_site)
        found = direct_effects.effects(model, trace, readers, writers)
        total = sum(x.sum(1) for x in found.by_site.values()) + found.constant
        read = direct_effects.unit_inputs(model, trace, site, of_site)
        assert (total - read).abs().max() < 1e-9
    readers = direct_effects.logit_readers(model, trace, range(model.size.vocabulary))
    found = direct_effects.effects(model, trace, readers, writers)
    total = sum(x.sum(1) for x in found.by_site.values()) + found.constant
    logits = transformer.normalise(trace.streams[-1], model.size).x[0, -1] @ model.unembedding
    logits = logits + model.unembedding_bias  # before a cap
    assert (total - (logits - logits.mean())).abs().max() < 1e-9


def run_frozen(model, trace, removed):
    """Streams before each site where one unit, (site, position, number), writes nothing, and all
    other units write what they wrote: straight through frozen patterns and scales."""
    stream, before = trace.streams[0][0].clone(), []
    for site in model.sites:
        before.append(stream)
        module, left = model.module(site), trace.normed[site].scale[0]
        factor = trace.behind[site].scale[0] * module.gain if module.gain is not None else 1.0
        if site.startswith("attn"):
            x = before[model.reads(site)]
            x = (x - x.mean(-1, keepdim=True) if model.size.centred else x) * left
            heads = zip(
                trace.attended[site].pattern[:, 0], module.value, module.output, strict=True
            )
            written = sum(pattern @ x @ value.T @ output for pattern, value, output in heads)
        else:
            values = direct_effects.unit_values(trace, site).clone()
            if removed[0] == site:
                values[removed[1], removed[2]] = 0
            written = values @ module.output
        stream = stream + written * factor + module.constant
    return [*before, stream]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "gemma2"])
def test_an_effect_is_what_a_reader_loses_without_the_writer(family):
    _, model = tiny(family)
    trace = direct_effects.frozen(model, IDS)
    units, writers = everything(model, trace)
    site = direct_effects.mlp_sites(model)[1]
    readers = direct_effects.unit_readers(model, trace, site, units[site])
    found = direct_effects.effects(model, trace, readers, writers)
    scale = trace.normed[site].scale[0]
    for column in (0, 17, len(units["mlp.0"]) - 1):
        removed = ("mlp.0", *units["mlp.0"][column].tolist())
        reads = []
        for streams in (run_frozen(model, trace, ("",)), run_frozen(model, trace, removed)):
            x = streams[model.reads(site)]
            x = (x - x.mean(-1, keepdim=True) if model.size.centred else x) * scale
            reads.append((x[readers.position] * readers.vector).sum(1))
        lost = reads[0] - reads[1]
        assert (lost - found.by_site["mlp.0"][:, column]).abs().max() < 1e-9


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("count", [9, 10_000])
def test_a_graph_loses_nothing_to_the_units_that_are_no_nodes(family, count):
    _, model = tiny(family)
    trace = direct_effects.frozen(model, IDS)
    found = direct_effects.outputs(model, trace, [4], [5], 0.9, 3)
    graph = direct_effects.graph(model, trace, IDS, found, count)
    assert np.abs(np.triu(graph.effects)).max() == 0  # sources come before targets
    assert graph.kind.count("unit") <= count
    logits = [i for i, kind in enumerate(graph.kind) if kind == "logit"]
    expected = transformer.unembed(model, trace.streams[-1][0, -1])
    expected = (expected - expected.mean())[found.tokens].numpy()
    read = graph.effects[logits].sum(1) + graph.constant[logits]
    np.testing.assert_allclose(read, expected, atol=1e-9)
    for node in [i for i, kind in enumerate(graph.kind) if kind == "unit"]:
        site = direct_effects.mlp_sites(model)[graph.layer[node]]
        unit = torch.tensor([[graph.position[node], graph.number[node]]])
        wanted = direct_effects.unit_inputs(model, trace, site, unit).item()
        read = graph.effects[node].sum() + graph.constant[node]
        assert read == pytest.approx(wanted, abs=1e-9)


def layered(seed, size=40):
    """A random graph of direct effects, and weights of its last nodes."""
    rng = np.random.default_rng(seed)
    effects = np.tril(rng.normal(size=(size, size)) * (rng.random((size, size)) < 0.4), -1)
    weights = np.zeros(size)
    weights[-3:] = [0.5, 0.3, 0.2]
    effects[-3:, -3:] = 0
    return effects, weights


def test_influence_is_the_closed_form():
    for seed in range(5):
        effects, weights = layered(seed)
        normalised = influence.shares(effects)
        eye = np.eye(len(weights))
        closed = weights @ (np.linalg.inv(eye - normalised) - eye)
        np.testing.assert_allclose(influence.influence(normalised, weights), closed, atol=1e-9)
        through = influence.edge_influence(normalised, weights)
        np.testing.assert_allclose(through, normalised * (closed + weights)[:, None], atol=1e-9)


def test_pruning_keeps_shares_and_drops_what_hangs_loose():
    for seed in range(5):
        effects, weights = layered(seed)
        number = np.arange(len(weights))
        always = (number < 4) | (number >= 37)
        inner = (number >= 8) & (number < 37)
        kept = influence.prune(effects, weights, always, inner, 0.8, 0.98)
        assert kept.nodes[always].all() and kept.nodes.sum() < len(weights)
        assert not kept.edges[:, ~kept.nodes].any() and not kept.edges[~kept.nodes].any()
        for node in np.flatnonzero(kept.nodes & ~always):
            assert kept.edges[:, node].any()
            assert kept.edges[node].any() or not inner[node]
        reach = influence.influence(influence.shares(effects), weights)
        order = np.argsort(-reach, kind="stable")
        np.testing.assert_allclose(kept.cumulative[order], np.cumsum(reach[order]) / reach.sum())


def test_shares_of_a_hand_worked_graph():
    # 0 -> 1 -> 3 and 0 -> 3, 2 -> 3: the last node is the output
    effects = np.zeros((4, 4))
    effects[1, 0], effects[3, 0], effects[3, 1], effects[3, 2] = -5.0, 1.0, -2.0, 1.0
    weights = np.array([0.0, 0.0, 0.0, 1.0])
    found = influence.influence(influence.shares(effects), weights)
    np.testing.assert_allclose(found, [0.75, 0.5, 0.25, 0.0])
    assert influence.leading(found, 0.5).tolist() == [True, False, False, False]
    assert influence.leading(found, 0.51).tolist() == [True, True, False, False]
    np.testing.assert_allclose(influence.cumulative(found), [0.5, 1.25 / 1.5, 1.0, 1.0])
