"""The part graph: names, counts, pruning, selection, random circuits, exchange files."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectome import exchange, parts, random_circuits
from connectome.errors import DataError
from connectome.parts import PartGraph
from connectome.random_circuits import random_circuit


def sites_of(layers: int) -> list[str]:
    return [f"{kind}.{layer}" for layer in range(layers) for kind in ("attn", "mlp")]


def counts(layers: int, heads: int = 2, width: int = 2, hidden: int = 3) -> dict[str, int]:
    return {site: heads * width if site[0] == "a" else hidden for site in sites_of(layers)}


def head_graph(layers: int, heads: int) -> PartGraph:
    return parts.heads(counts(layers, heads), sites_of(layers), 2)


def test_names_follow_the_exchange_convention():
    assert head_graph(2, 2).names == (
        *("input", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "m1", "logits"),
    )
    assert parts.modules(counts(1), sites_of(1)).names == ("input", "a0", "m0", "logits")
    assert parts.singletons(counts(1, hidden=2), sites_of(1)).names[-4:-1] == (
        *("a0.n3", "m0.n0", "m0.n1"),
    )
    labels = {"attn.0": np.array([-2, 7, -1, 3]), "mlp.0": np.array([3, -1, 3])}
    graph = parts.labelled(labels, sites_of(1))
    assert graph.names == (
        *("input", "a0.r3", "a0.r7", "a0.ungrouped", "a0.dead", "m0.r3", "m0.ungrouped", "logits"),
    )
    assert graph.members["attn.0"].tolist() == [4, 2, 3, 1]
    assert graph.members["mlp.0"].tolist() == [5, 6, 5]
    assert graph.sizes.tolist() == [1, 1, 1, 1, 1, 2, 1]
    assert graph.site_of[1:3] == ("attn.0", "attn.0")


def test_chosen_features_stand_alone_and_the_rest_of_a_module_is_one_part():
    """A module whose features are all chosen has no rest; names of no feature are passed over."""
    features, chosen = counts(1, hidden=3), {"m0.n0", "m0.n1", "m0.n2", "a0.n2", "input", "m0.rest"}
    graph = parts.chosen_features(features, sites_of(1), chosen)
    assert graph.names == ("input", "a0.n2", "a0.rest", "m0.n0", "m0.n1", "m0.n2", "logits")
    assert graph.members["attn.0"].tolist() == [2, 2, 1, 2]
    assert graph.sizes.tolist() == [1, 1, 3, 1, 1, 1]


def test_a_site_without_labels_is_refused():
    with pytest.raises(DataError, match="no labels for site 'mlp.0'"):
        parts.labelled({"attn.0": np.zeros(4, int)}, sites_of(1))


@pytest.mark.parametrize(("layers", "heads"), [(12, 12), (4, 4), (6, 8), (1, 1)])
def test_edge_counts_agree_with_the_formula(layers, heads):
    """One input per head: H S + (S + H L) + 1 + L (H + 1), S = L + (H + 1) L (L - 1) / 2."""
    s = layers + (heads + 1) * layers * (layers - 1) // 2
    expected = heads * s + s + heads * layers + 1 + layers * (heads + 1)
    graph = head_graph(layers, heads)
    assert graph.edge_count == expected
    # with a slot each for queries, keys and values the published counts come out
    with_slots = 3 * heads * s + s + heads * layers + 1 + layers * (heads + 1)
    assert with_slots == {(12, 12): 32491, (4, 4): 479}.get((layers, heads), with_slots)
    assert parts.with_slots(graph).edge_count == with_slots


def test_edges_run_from_each_module_to_each_later_one():
    graph = head_graph(2, 2)
    names = {parts.edge_name(graph, v, u) for v, u in zip(*graph.edges, strict=True)}
    order = ["input", "a0", "m0", "a1", "m1", "logits"]
    place = {name: order.index(name.split(".")[0]) for name in graph.names}
    assert names == {
        f"{u}->{v}" for u, v in itertools.permutations(graph.names, 2) if place[u] < place[v]
    }


def on_paths(graph: PartGraph, mask: np.ndarray) -> np.ndarray:
    """Edges on any path from input to logits, by walking every path."""
    found = np.zeros_like(mask)

    def walk(node: int, taken: list[tuple[int, int]]) -> None:
        if node == graph.writers:
            for edge in taken:
                found[edge] = True
            return
        for reader in np.flatnonzero(mask[:, node] & graph.exists[:, node]):
            walk(int(graph.reads[reader]), [*taken, (reader, node)])

    walk(0, [])
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.3, 0.6]), st.booleans(), st.booleans())
def test_pruning_keeps_exactly_the_edges_on_paths(seed, density, whole_matrix, slots):
    """Edges that do not exist are never kept; a head is passed through by any of its slots."""
    graph = parts.with_slots(head_graph(2, 2)) if slots else head_graph(2, 2)
    mask = np.random.default_rng(seed).random(graph.exists.shape) < density
    mask &= graph.exists | whole_matrix
    assert np.array_equal(parts.prune(graph, mask), on_paths(graph, mask))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.sampled_from(["absolute", "signed"]))
def test_fill_takes_the_smallest_request_that_prunes_to_the_size(seed, size, ranking):
    """Against a search through all requests; ties (scores of few values) break by name."""
    graph = head_graph(2, 2)
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, graph.exists.shape).astype(float)
    edges = sorted(
        (-(abs(scores[v, u]) if ranking == "absolute" else scores[v, u]), name, (v, u))
        for v, u in zip(*graph.edges, strict=True)
        for name in [parts.edge_name(graph, v, u)]
    )

    def taken(count: int) -> np.ndarray:
        mask = np.zeros_like(graph.exists)
        for _, _, edge in edges[:count]:
            mask[edge] = True
        return on_paths(graph, mask)

    plain = parts.top_edges(graph, scores, size, ranking, fill=False)
    assert np.array_equal(plain.mask, taken(size))
    filled = parts.top_edges(graph, scores, size, ranking, fill=True)
    wanted = min(size, graph.edge_count)
    fewest = next(k for k in range(wanted, len(edges) + 1) if taken(k).sum() >= wanted)
    assert (filled.requested, filled.selected) == (wanted, fewest)
    assert np.array_equal(filled.mask, taken(fewest))


def test_nothing_is_selected_at_size_zero():
    """A threshold above every score leaves no edge, into logits neither."""
    graph = head_graph(2, 2)
    circuit = parts.top_edges(graph, np.ones(graph.exists.shape), 0, "absolute", fill=True)
    assert not circuit.mask.any()


def test_top_nodes_break_ties_by_name_and_keep_the_input():
    graph = head_graph(1, 3)  # input a0.h0 a0.h1 a0.h2 m0
    scores = np.array([0.0, -2.0, 1.0, 1.0, 1.0])
    assert parts.top_nodes(graph, scores, 1, "absolute").tolist() == [1, 1, 0, 0, 0]
    assert parts.top_nodes(graph, scores, 2, "signed").tolist() == [1, 0, 1, 1, 0]
    assert parts.node_circuit(graph, np.array([1, 0, 0, 0, 1], bool)).sum() == 5 + 1


def test_sizes_by_hand():
    """On input -> a0.r0 (2 features) -> logits and m0 (3 features), 13 weighted in all."""
    labels = {"attn.0": np.array([0, 0, 1, 1]), "mlp.0": np.zeros(3, int)}
    graph = parts.labelled(labels, sites_of(1))
    mask = np.zeros_like(graph.exists)
    mask[0, 0] = mask[3, 1] = True
    # weights: input->r0 2, ->r1 2, ->m0 3, ->logits 1; r0->m0 6, r1->m0 6, r0,r1->logits 2 each,
    # m0->logits 3
    found = parts.sizes(graph, mask)
    assert found == {"edges": 2, "nodes": 2, "features": 2, "weighted": pytest.approx(4 / 27)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 127), st.booleans())
def test_random_circuits_have_the_asked_size_and_are_pruned(seed, size, slots):
    """Walks give exactly the size; permuted scores the smallest pruned size not below it."""
    graph = parts.with_slots(head_graph(3, 3)) if slots else head_graph(3, 3)
    scores = np.random.default_rng(seed).normal(size=graph.exists.shape)
    size = min(size, graph.edge_count)
    walked = random_circuit(graph, scores, size, (seed, size, 0))
    assert walked.sum() == size
    permuted = random_circuit(graph, scores, size, (seed, size, 1))
    assert permuted.sum() >= size
    for mask in (walked, permuted):
        assert np.array_equal(parts.prune(graph, mask), mask)
    assert np.array_equal(walked, random_circuit(graph, scores, size, (seed, size, 0)))


def test_random_circuits_differ_between_draws():
    graph = head_graph(3, 3)
    scores = np.random.default_rng(0).normal(size=graph.exists.shape)
    drawn = {random_circuit(graph, scores, 12, (1, 12, i)).tobytes() for i in range(10)}
    assert len(drawn) == 10


@pytest.mark.parametrize("slots", [False, True])
def test_permuted_scores_stay_within_source_and_target_site(slots):
    graph = parts.with_slots(head_graph(2, 2)) if slots else head_graph(2, 2)
    scores = np.where(graph.exists, np.arange(graph.exists.size).reshape(graph.exists.shape), 0.0)
    found = random_circuits._permuted(graph, scores, np.random.default_rng(0))
    assert not np.array_equal(found, scores)
    sites = np.array(graph.site_of)
    for target in dict.fromkeys(graph.site_of):
        for source in dict.fromkeys(graph.site_of):
            block = np.ix_(sites[graph.reads] == target, sites[:-1] == source)
            assert sorted(found[block].ravel()) == sorted(scores[block].ravel())


def test_slots_are_inputs_of_the_same_nodes():
    """Slot by slot within a site; writers and what they exist for stay as they were."""
    graph = parts.with_slots(head_graph(1, 2))
    assert graph.names == head_graph(1, 2).names
    names = [parts.reader_name(graph.names[node], slot) for node, slot in graph.readers]
    heads = [f"a0.h{head}<{slot}>" for slot in "qkv" for head in range(2)]
    assert names == [*heads, "m0", "logits"]
    assert graph.reads.tolist() == [1, 2, 1, 2, 1, 2, 3, 4]
    assert graph.inputs == {"attn.0": (0, 6), "mlp.0": (6, 7), "logits": (7, 8)}
    assert graph.exists.sum(axis=1).tolist() == [1, 1, 1, 1, 1, 1, 3, 4]
    assert parts.edge_name(graph, 3, 0) == "input->a0.h1<k>"


def test_sizes_count_slots_as_edges_and_weights_but_not_as_nodes():
    """input -> a0<q>, a0<k> and a0 -> logits of one module of 2 features with 3 in its MLP."""
    graph = parts.with_slots(parts.modules({"attn.0": 2, "mlp.0": 3}, sites_of(1)))
    mask = np.zeros_like(graph.exists)
    mask[0, 0] = mask[1, 0] = mask[4, 1] = True
    # weights: input->a0 3 times 2, ->m0 3, ->logits 1; a0->m0 6, ->logits 2; m0->logits 3
    found = parts.sizes(graph, mask)
    assert found == {"edges": 3, "nodes": 2, "features": 2, "weighted": pytest.approx(6 / 21)}


@pytest.mark.parametrize("slots", [False, True])
def test_exchange_file_round_trips(tmp_path, slots):
    """Names come back to the same edges, and missing ones are counted."""
    graph = parts.with_slots(head_graph(2, 2)) if slots else head_graph(2, 2)
    scores = np.where(graph.exists, np.random.default_rng(0).normal(size=graph.exists.shape), 0)
    path = tmp_path / "scores.json"
    exchange.write_exchange(path, graph, scores)
    record = json.loads(path.read_text())
    assert record["edges"]["a0.h1->m1"] == scores[graph.inputs["mlp.1"][0], 2]
    assert len(record["edges"]) == graph.edge_count
    found, missing = exchange.read_exchange(path, graph)
    assert np.array_equal(found, scores) and missing == 0
    added, missing = exchange.read_exchange(path, head_graph(2, 2))
    expected = np.zeros_like(added)
    np.add.at(expected, graph.reads - 1, scores)
    np.testing.assert_allclose(added, expected)
    assert missing == 0


def test_exchange_file_of_other_tools_is_read(tmp_path):
    graph = head_graph(1, 2)
    edges = {
        "input->a0.h0<q>": {"score": 1.0, "in_graph": True},
        "input->a0.h0<k>": {"score": 2.5, "in_graph": False},
        "m0->logits": {"score": -4.0},
    }
    path = tmp_path / "public.json"
    path.write_text(json.dumps({"cfg": {}, "nodes": {}, "edges": edges}))
    found, missing = exchange.read_exchange(path, graph)
    assert found[0, 0] == 3.5 and found[3, 3] == -4.0 and missing == graph.edge_count - 2


@pytest.mark.parametrize(
    ("edges", "sentence"),
    [
        ({f"x{i}->logits": 1.0 for i in range(7)}, r"x0->logits, .*x4->logits$"),
        ({"m0->a0.h0": 1.0}, r"m0->a0\.h0"),
        ({"m0->logits": None}, r"m0->logits"),
        ({"m0->logits": float("nan")}, r"m0->logits"),
        (None, "no edges"),
    ],
)
def test_exchange_file_with_wrong_edges_is_refused(tmp_path, edges, sentence):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({"edges": edges}))
    with pytest.raises(DataError, match=sentence):
        exchange.read_exchange(path, head_graph(1, 2))
