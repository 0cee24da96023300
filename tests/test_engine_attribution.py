"""Attribution against autograd on plain formulas, its identities, and exact ablation."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch

import slow_engine
import tiny_models
from connectome import (
    ablation,
    attribution,
    blocks,
    circuits,
    continuation,
    gradients,
    metrics,
    part_graphs,
    parts,
    prompts,
    transformer,
    wiring,
)
from connectome.errors import ConfigError
from slow_engine import slow_model
from tiny_models import each_family, tiny

METHODS = ("eap", "eap-ig-inputs", "path", "clean-corrupted")
EDGE_KINDS = ("modules", "heads", "rois", "rois_qkv", "top_features")
each_kind = pytest.mark.parametrize("kind", EDGE_KINDS)
METRIC = "logit_difference"


def pairs(n: int, pad_left: bool = False, **options):
    return prompts.of_lists(*tiny_models.prompt_lists(n, **options), pad_left)


def attribute(model, chosen, graphs, methods=METHODS, metric=METRIC, **options):
    return attribution.attribute(
        model, chosen, graphs, methods, metric, nodes_only=["features"], **options
    )


def slow_gradients(slow, graph, ids, right, wrong):
    """By autograd: G at what each node writes, and g_v at each of its inputs through it alone.

    Every reader gets an input of its own, so that the metric's gradient there is g_v; what a node
    writes is seen by all readers after it, so that its gradient is G_u.
    """
    writes, reads = [slow.embed(ids).requires_grad_()], {}
    for site in (*graph.sites, "logits"):
        added = []
        for node in slow_engine.nodes_of(graph, site):
            x = torch.zeros_like(writes[0])
            for source in graph.sites:
                if slow.before(source, site):
                    x = x + slow.constant(source)
            for u in range(node):
                if slow.before(graph.site_of[u], site):
                    x = x + writes[u]
            own = [x + torch.zeros_like(x) for _ in slow_engine.readers(graph, node)]
            for reader, of_reader in zip(slow_engine.readers(graph, node), own, strict=True):
                of_reader.retain_grad()
                reads[reader] = of_reader
            if site == "logits":
                slow_engine.logit_difference(slow.logits(*own)[-1], right, wrong).backward()
            else:
                added.append(slow.part(site, slow_engine.members(graph, node)[1], *own))
        if site != "logits":
            writes += slow.shares(site, added)
            for share in writes[-len(added) :]:
                share.retain_grad()
    zero = torch.zeros_like(writes[0])
    inputs = [reads[reader] for reader in range(len(reads))]
    grads = [[zero if x.grad is None else x.grad for x in xs] for xs in (writes, inputs)]
    return [w.detach() for w in writes], *grads


@each_family
@each_kind
def test_eap_scores_equal_autograd_part_by_part(family, kind):
    """Every g_v and G_u, every edge and node, and their sum."""
    _, model = tiny(family)
    slow, graph = slow_model(family), tiny_models.part_graphs(model)[kind]
    lists = tiny_models.prompt_lists(3)
    chosen = prompts.of_lists(*lists, pad_left=True)
    found = attribute(model, chosen, {kind: graph}, ["eap"])[kind, "eap"]
    for row in range(3):
        clean, corrupted, right, wrong = (column[row] for column in lists)
        written, G, g = slow_gradients(slow, graph, clean, right, wrong)
        ablated = slow_engine.contributions(slow, graph, corrupted)
        for u in range(graph.writers):
            delta = written[u] - ablated[u]
            assert found.nodes[row, u] == pytest.approx(float((delta * G[u]).sum()), abs=1e-10)
            for v in np.flatnonzero(graph.exists[:, u]):
                expected = float((delta * g[v]).sum())
                assert found.edges[row, v, u] == pytest.approx(expected, abs=1e-10)
    assert not found.edges[:, ~graph.exists].any()
    np.testing.assert_allclose(found.edges.sum(1), found.nodes, atol=1e-10)


@each_family
@pytest.mark.parametrize("metric", [METRIC, "probability_difference"])
@pytest.mark.parametrize("kind_of_ablation", ["counterfactual", "mean", "zero"])
def test_out_edges_sum_to_the_node_score(family, metric, kind_of_ablation):
    """Every method, metric and ablation, prompt by prompt."""
    _, model = tiny(family)
    graphs = tiny_models.part_graphs(model)
    found = attribute(model, pairs(2), graphs, metric=metric, steps=2, ablation=kind_of_ablation)
    for method in METHODS:
        for kind in EDGE_KINDS:
            scores = found[kind, method]
            np.testing.assert_allclose(scores.edges.sum(1), scores.nodes, atol=1e-10)


def summed(fine, coarse, scores):
    """Scores of a graph of single features added up by the parts of a coarser one."""
    into = np.zeros(fine.writers + 1, dtype=int)
    for site in fine.sites:
        into[fine.members[site]] = coarse.members[site]
    into[-1] = coarse.writers
    nodes = np.zeros((len(scores.nodes), coarse.writers))
    np.add.at(nodes, (slice(None), into[:-1]), scores.nodes)
    edges = np.zeros((len(scores.nodes), *coarse.exists.shape))
    v, u = fine.edges
    reader = {(node, slot): number for number, (node, slot) in enumerate(coarse.readers)}
    target = np.array([reader[into[node], slot] for node, slot in fine.readers])
    np.add.at(edges, (slice(None), target[v], into[u]), scores.edges[:, v, u])
    return nodes, edges


@each_family
@pytest.mark.parametrize("method", METHODS)
def test_scores_of_coarse_parts_are_sums_of_their_members(family, method):
    """Nodes and edges of modules, heads, random groups and top features, from single features."""
    _, model = tiny(family)
    graphs = tiny_models.part_graphs(model)
    graphs["features_qkv"] = parts.with_slots(graphs["features"])
    found = attribution.attribute(model, pairs(3), graphs, [method], METRIC, steps=2)
    graphs["top"] = part_graphs.top_features(graphs["features"], found["features", method], 9)
    found |= attribute(model, pairs(3), {"top": graphs["top"]}, [method], steps=2)
    for kind, graph in graphs.items():
        fine = "features_qkv" if graph.slotted else "features"
        nodes, edges = summed(graphs[fine], graph, found[fine, method])
        np.testing.assert_allclose(found[kind, method].nodes, nodes, atol=1e-10)
        np.testing.assert_allclose(found[kind, method].edges, edges, atol=1e-10)


@each_family
@pytest.mark.parametrize("kind", ["heads", "rois"])
def test_scores_of_slots_add_up_to_those_of_one_input(family, kind):
    """By every method, edge by edge; keys, queries and values differ."""
    _, model = tiny(family)
    one = tiny_models.part_graphs(model)[kind]
    three = parts.with_slots(one)
    found = attribute(model, pairs(3), {"one": one, "three": three}, steps=2)
    for method in METHODS:
        slots = found["three", method].edges
        added = np.zeros_like(found["one", method].edges)
        np.add.at(added, (slice(None), three.reads - 1), slots)
        np.testing.assert_allclose(found["one", method].edges, added, atol=1e-10)
        np.testing.assert_array_equal(found["one", method].nodes, found["three", method].nodes)
        first, last = three.inputs["attn.1"]
        of_slots = slots[:, first:last].reshape(3, 3, -1)
        assert all(np.abs(of_slots[:, i]).max() > 1e-6 for i in range(3))


@each_family
def test_relabelled_parts_have_permuted_scores(family):
    _, model = tiny(family)
    chosen, rng = pairs(3), np.random.default_rng(0)
    labels = {site: rng.integers(0, 3, model.features(site)) for site in model.sites}
    turned = {site: (of_features + 1) % 3 for site, of_features in labels.items()}
    graphs = {
        name: parts.with_parallel(parts.labelled(chosen, model.sites), model.size.parallel)
        for name, chosen in (("a", labels), ("b", turned))
    }
    found = attribute(model, chosen, graphs, steps=2)
    into = np.arange(graphs["a"].writers + 1)
    for site in model.sites:
        into[graphs["a"].members[site]] = graphs["b"].members[site]
    for method in METHODS:
        a, b = found["a", method], found["b", method]
        np.testing.assert_allclose(b.nodes[:, into[:-1]], a.nodes, atol=1e-10)
        back = b.edges[:, into[1:] - 1][:, :, into[:-1]]
        np.testing.assert_allclose(back, a.edges, atol=1e-10)


@each_family
def test_batches_order_copies_and_padding_change_no_score(family):
    _, model = tiny(family)
    graphs = tiny_models.part_graphs(model)
    del graphs["modules"]
    lists = tiny_models.prompt_lists(4)

    def scores(chosen, **options):
        return attribute(model, chosen, graphs, ["eap", "path"], steps=2, **options)

    expected = scores(prompts.of_lists(*lists))

    def same(chosen, order, **options):
        for key, found in scores(chosen, **options).items():
            np.testing.assert_allclose(found.nodes, expected[key].nodes[order], atol=1e-10)
            if found.edges is not None:
                np.testing.assert_allclose(found.edges, expected[key].edges[order], atol=1e-10)

    for size in (1, 3):
        same(prompts.of_lists(*lists), np.arange(4), batch_pairs=size)
    order = np.random.default_rng(0).permutation(4)
    shuffled = [[column[i] for i in order] for column in lists]
    same(prompts.of_lists(*shuffled, pad_left=True), order, batch_pairs=3)
    same(prompts.of_lists(*([*column, *column] for column in lists)), np.tile(np.arange(4), 2))
    longest = [[*column[:1], *column] for column in lists]
    longest[0][0] = longest[1][0] = list(range(12))  # five places of padding more
    same(prompts.of_lists(*longest, pad_left=True).rows(slice(1, 5)), np.arange(4))


@each_family
@pytest.mark.parametrize(
    ("kind", "kind_of_ablation"),
    [
        ("modules", "counterfactual"),
        ("heads", "zero"),
        ("rois", "counterfactual"),
        ("rois_qkv", "counterfactual"),
        ("top_features", "counterfactual"),
    ],
)
def test_exact_scores_equal_the_definition(family, kind, kind_of_ablation):
    """m(N) - m(N with x_v replaced by x_v - Delta_u), and the same for a part everywhere."""
    _, model = tiny(family)
    slow, graph = slow_model(family), tiny_models.part_graphs(model)[kind]
    lists = tiny_models.prompt_lists(2, longest=5)
    chosen = prompts.of_lists(*lists)
    found = attribution.exact(model, chosen, graph, METRIC, kind_of_ablation)
    every = {"rois": 23, "rois_qkv": 41, "top_features": 11, "heads": 5, "modules": 2}[kind]
    v, u = (column[::every] for column in graph.edges)
    for row in range(2):
        clean, corrupted, right, wrong = (column[row] for column in lists)
        zero = [torch.zeros(len(clean), 1).double()] * graph.writers
        zero = zero if kind_of_ablation == "zero" else None
        ablated = zero or slow_engine.contributions(slow, graph, corrupted)

        def effect(mask, clean=clean, ablated=ablated, right=right, wrong=wrong):
            logits = slow_engine.run(slow, graph, mask, clean, ablated)[0]
            return float(slow_engine.logit_difference(logits, right, wrong))

        intact = effect(graph.exists)
        for reader, writer in zip(v, u, strict=True):
            mask = graph.exists.copy()
            mask[reader, writer] = False
            loss = intact - effect(mask)
            assert found.edges[row, reader, writer] == pytest.approx(loss, abs=1e-9)
        for writer in range(0, graph.writers, every):
            mask = graph.exists.copy()
            mask[:, writer] = False
            loss = intact - effect(mask)
            assert found.nodes[row, writer] == pytest.approx(loss, abs=1e-9)


SETTINGS = {
    "partitions": ["features", "heads", "top_features"],
    "top_features": 5,
    "slots": ["top_features"],
    "methods": ["eap", "eap-ig-inputs"],
    "steps": 2,
    "exact": ["top_features"],
    "exact_pairs": 2,
    "ablation": "counterfactual",
    "batch_pairs": 3,
}


@each_family
def test_top_features_are_those_of_the_last_method_and_come_back_from_the_table(family):
    """Five single nodes, the rest of each module one part; a ranking by the first would differ."""
    _, model = tiny(family)
    counts = {site: model.features(site) for site in model.sites}
    width, none = model.size.head_width, pa.table({})
    kind = {"parallel": model.size.parallel}
    graphs = part_graphs.build(SETTINGS["partitions"], none, counts, width, 1, **kind)
    assert list(graphs) == ["features", "heads"]
    graphs, found, _ = circuits.score(model, pairs(5), graphs, SETTINGS, METRIC)
    single = {name for name in graphs["top_features"].names if ".n" in name}
    best = {}
    for method in SETTINGS["methods"]:
        means = np.abs(found["features", method].nodes.mean(0))
        order = sorted(range(1, len(means)), key=lambda node, by=means: -by[node])
        best[method] = {graphs["features"].names[node] for node in order[:5]}
    assert single == best["eap-ig-inputs"] != best["eap"]
    rest = [name for name in graphs["top_features"].names if name.endswith(".rest")]
    assert len(graphs["top_features"].names) == 5 + len(rest) + 2
    assert found["top_features", "exact"].edges.shape[0] == 2
    table = part_graphs.node_table(found, graphs, "counterfactual")
    again = part_graphs.build(
        *(SETTINGS["partitions"], none, counts, width, 1),
        *(part_graphs.chosen_nodes(table), SETTINGS["slots"]),
        **kind,
    )
    assert again["top_features"].names == graphs["top_features"].names
    assert again["top_features"].slotted == graphs["top_features"].slotted == model.sites[::2]
    assert not again["heads"].slotted
    for site in model.sites:
        assert np.array_equal(
            again["top_features"].members[site], graphs["top_features"].members[site]
        )


def test_exact_scores_do_not_depend_on_memory():
    _, model = tiny("llama")
    graph, chosen = tiny_models.part_graphs(model)["modules"], pairs(3)
    expected = attribution.exact(model, chosen, graph, METRIC)
    found = attribution.exact(model, chosen, graph, METRIC, memory=1, batch_pairs=2)
    np.testing.assert_allclose(found.nodes, expected.nodes, atol=1e-10)
    np.testing.assert_allclose(found.edges, expected.edges, atol=1e-10)


@pytest.fixture
def linear(monkeypatch):
    """A model without norms, patterns that do not look at the text, and linear MLPs."""
    _, model = tiny("gpt2")

    def no_norm(x, size):
        return blocks.Normed(x, torch.ones_like(x[..., :1]))

    for module in (transformer, ablation, wiring, continuation, gradients):
        monkeypatch.setattr(module, "normalise", no_norm)
    monkeypatch.setattr(gradients, "normalise_backward", lambda grad, normed, size: grad)
    monkeypatch.setitem(blocks.ACTIVATIONS, "gelu_new", lambda x: x)
    monkeypatch.setitem(gradients.SLOPES, "gelu_new", torch.ones_like)
    layers = tuple(
        (
            dataclasses.replace(
                attn,
                query=torch.zeros_like(attn.query),
                query_bias=torch.zeros_like(attn.query_bias),
            ),
            mlp,
        )
        for attn, mlp in model.blocks
    )
    return dataclasses.replace(model, blocks=layers)


def test_on_a_linear_model_first_order_is_exact(linear):
    """Every edge and every node, by every method."""
    graphs = tiny_models.part_graphs(linear)
    chosen = pairs(3)
    found = attribute(linear, chosen, graphs, steps=2)
    for kind in EDGE_KINDS:
        exact = attribution.exact(linear, chosen, graphs[kind], METRIC)
        for method in METHODS:
            np.testing.assert_allclose(found[kind, method].nodes, exact.nodes, atol=1e-10)
            np.testing.assert_allclose(found[kind, method].edges, exact.edges, atol=1e-10)


def test_rotated_stream_changes_no_score(linear):
    """A norm-free model in another basis of the residual stream."""
    d = linear.size.width
    turn = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(0)).double())[
        0
    ]
    layers = tuple(
        (
            dataclasses.replace(
                a,
                query=a.query @ turn,
                key=a.key @ turn,
                value=a.value @ turn,
                output=a.output @ turn,
                constant=a.constant @ turn,
            ),
            dataclasses.replace(
                m, up=m.up @ turn, output=m.output @ turn, constant=m.constant @ turn
            ),
        )
        for a, m in linear.blocks
    )
    turned = dataclasses.replace(
        linear,
        blocks=layers,
        embedding=linear.embedding @ turn,
        positions=linear.positions @ turn,
        unembedding=turn.T @ linear.unembedding,
    )
    graphs = tiny_models.part_graphs(linear)
    found, expected = (attribute(m, pairs(3), graphs, steps=2) for m in (turned, linear))
    for key, scores in expected.items():
        np.testing.assert_allclose(found[key].nodes, scores.nodes, atol=1e-10)
        if scores.edges is not None:
            np.testing.assert_allclose(found[key].edges, scores.edges, atol=1e-10)


def gap(model, chosen) -> np.ndarray:
    """m(clean) - m(corrupted) (n,)."""
    values = [
        metrics.metric(METRIC)(
            transformer.logits_at_answer(model, transformer.forward(model, batch)),
            chosen.right,
            chosen.wrong,
        )
        for batch in (chosen.clean, chosen.corrupted)
    ]
    return (values[0] - values[1]).numpy()


def misses(model, chosen, method: str, steps: int, layers: slice) -> np.ndarray:
    """|sum of the edges that cross each cut - gap| (cuts, n)."""
    graph = tiny_models.part_graphs(model)["heads"]
    edges = attribute(model, chosen, {"heads": graph}, [method], steps=steps)["heads", method].edges
    cuts = [high for _, high in list(graph.bounds.values())[:-1]][layers]
    crossing = [edges[:, cut - 1 :, :cut].sum((1, 2)) for cut in cuts]
    return np.abs(np.array(crossing) - gap(model, chosen))


@each_family
def test_path_scores_are_complete_at_every_cut(family):
    """Midpoints converge quadratically at all cuts, input to last module."""
    _, model = tiny(family)
    few, many = (misses(model, pairs(6), "path", steps, slice(None)) for steps in (12, 48))
    assert len(few) == 5
    assert np.median(many) < 0.02 * np.median(np.abs(gap(model, pairs(6))))
    assert (np.median(many, axis=1) < np.median(few, axis=1) / 4).all()


@each_family
def test_integrated_gradients_are_complete_at_the_input(family):
    """The edges that leave `input` sum to the gap, closer with every doubling of steps."""
    _, model = tiny(family)
    errors = [
        np.median(misses(model, pairs(8), "eap-ig-inputs", steps, slice(1)))
        for steps in (20, 40, 80)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.05 * np.median(np.abs(gap(model, pairs(6))))


@each_family
@pytest.mark.parametrize("metric", [METRIC, "probability_difference"])
def test_site_attributions_are_the_features_node_scores(family, metric):
    _, model = tiny(family)
    found = attribution.site_attributions(model, pairs(5), metric, batch_pairs=2)
    graph = tiny_models.part_graphs(model)["features"]
    scores = attribute(model, pairs(5), {"features": graph}, ["eap"], metric)["features", "eap"]
    assert scores.edges is None
    for site in model.sites:
        expected = scores.nodes[:, graph.members[site]]
        np.testing.assert_allclose(found[site], expected, atol=1e-5)


def test_first_order_methods_refuse_the_divergence_from_the_intact_model():
    _, model = tiny("gpt2")
    graphs = {"modules": tiny_models.part_graphs(model)["modules"]}
    with pytest.raises(ConfigError, match="KL divergence has zero gradient"):
        attribute(model, pairs(1), graphs, ["eap"], "kl_divergence")


@pytest.mark.parametrize("name", ["eap-ig", "", "attribute", "Step", "forward"])
def test_unknown_methods_are_refused(name):
    _, model = tiny("gpt2")
    graphs = {"modules": tiny_models.part_graphs(model)["modules"]}
    with pytest.raises(ConfigError, match="known: clean-corrupted, eap, eap-ig-inputs, path"):
        attribute(model, pairs(1), graphs, [name])


def test_trained_model_keeps_the_identities(shared_data):
    """On weights that nobody here made, float64."""
    model = transformer.load(shared_data / "stories260k", torch.float64)
    rng = np.random.default_rng(0)
    ids = rng.integers(3, 512, (2, 4, 9)).tolist()
    chosen = prompts.of_lists(*ids, [[7], [8], [9], [10]], [[1], [2], [3], [4, 5]])
    graphs = tiny_models.part_graphs(model)
    found = attribute(model, chosen, graphs, ["eap"])
    ablated = ablation.ablated_values(model, chosen, "counterfactual")
    for kind in EDGE_KINDS:
        scores, graph = found[kind, "eap"], graphs[kind]
        np.testing.assert_allclose(scores.edges.sum(1), scores.nodes, atol=1e-10)
        masks = np.stack([graph.exists, np.zeros_like(graph.exists)])
        runs = ablation.run_edges(model, chosen, graph, masks, ablated)
        for run, batch in zip(runs, (chosen.clean, chosen.corrupted), strict=True):
            bare = transformer.logits_at_answer(model, transformer.forward(model, batch))
            torch.testing.assert_close(run, bare, rtol=0, atol=1e-10)
