"""Task-by-task matrices: sets of parts, their null, and cells that equal single runs."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from transformers import GPT2Config, GPT2LMHeadModel

from connectome import cross_ablation, metrics, parts, prompts, specificity, transformer
from connectome.ablation import ablated_values, run_nodes
from connectome.attribution import attribute
from connectome.plots import specificity as drawing
from connectome.report.sections import specificity as section
from connectome.specificity import Matrix
from tiny_models import prompt_lists, tiny

LABELS = {
    "attn.0": np.array([0, 0, 1, 1, 2, 2]),
    "mlp.0": np.array([0, 0, 0, 1, 1, 2, 3, -2]),
    "attn.1": np.array([0, 0, 1, 1, 2, 2]),
}
GRAPH = parts.labelled(LABELS, list(LABELS))
SETTINGS = {
    "size": 0.2, "margin": 0.2, "pairs": 6, "draws": 5, "random_pairs": 4, "bootstrap": 60,
    "memory_mb": 20,
}  # fmt: skip


def test_a_part_goes_to_the_task_with_the_largest_share_if_the_lead_is_clear():
    score = np.zeros((3, GRAPH.writers))
    score[:, 1:5] = [[6, 2, 5, 1], [20, -80, 99, 0], [20, 22, 0, 0]]
    share = specificity.shares(score)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert share[0, 1] == pytest.approx(6 / 14)
    sets = specificity.assigned(GRAPH, share, {"margin": 0.2})
    # part 1: .43 .10 .48, a lead of a tenth: too little; part 2: .14 .40 .52, of almost a quarter
    assert sets[:, 1].tolist() == [False, False, False]
    assert sets[:, 2].tolist() == [False, False, True]
    assert sets[:, 3].tolist() == [False, True, False]
    assert sets[:, 4].tolist() == [True, False, False]
    assert not sets[:, 5:].any() and not sets[:, 0].any()


def test_the_circuit_of_a_task_holds_its_strongest_parts_whatever_their_sign():
    score = np.zeros((1, GRAPH.writers))
    score[0, [0, 3, 6]] = [99.0, -5.0, 2.0]
    sets = specificity.circuit(GRAPH, specificity.shares(score), SETTINGS)
    assert np.flatnonzero(sets[0]).tolist() == [3, 6]  # 20 % of 11 parts; the input is none


def test_random_sets_keep_kinds_sizes_and_overlaps_and_leave_dead_parts_alone():
    rng = np.random.default_rng(0)
    names = np.array(GRAPH.names[:-1])
    sets = np.zeros((2, GRAPH.writers), bool)
    sets[0, np.isin(names, ["a0.r0", "a1.r1", "m0.r1", "m0.r2"])] = True
    sets[1, np.isin(names, ["a0.r0", "m0.r2", "m0.r3"])] = True
    attention = np.char.startswith(names, "a")
    found = [specificity.random_sets(GRAPH, sets, rng) for _ in range(40)]
    for some in found:
        assert (some[:, attention].sum(axis=1) == [2, 1]).all()
        assert (some.sum(axis=1) == [4, 3]).all()
        assert (some[0] & some[1]).sum() == 2
        assert not some[:, names == "m0.dead"].any() and not some[:, 0].any()
    equal = [(some @ GRAPH.sizes == sets @ GRAPH.sizes).all() for some in found]
    assert np.mean(equal) > 0.9  # of single permutations 1 in 12
    assert len({some.tobytes() for some in found}) > 5


def test_what_is_kept_is_all_but_the_set_or_the_set_alone_and_always_the_input():
    sets = np.zeros((1, GRAPH.writers), bool)
    sets[0, 4] = True
    ablate, keep = (specificity.keep_masks(sets, name)[0] for name in ("ablate", "keep"))
    assert np.flatnonzero(~ablate).tolist() == [4]
    assert np.flatnonzero(keep).tolist() == [0, 4]


def matrix(value, null=(), draws=None):
    value = np.asarray(value, dtype=float)
    empty = np.zeros((0, *value.shape))
    spread = value[None] if draws is None else draws
    return Matrix(value, spread, value, np.array(null) if len(null) else empty)


def test_the_ideal_matrices_have_a_separation_of_one():
    ablated, kept = 1 - np.eye(3), np.eye(3)
    for name, value in (("ablate", ablated), ("keep", kept)):
        found = specificity.summarise(matrix(value), ["a", "b", "c"], name, 1)
        assert found["separation"] == found["separation_lo"] == 1.0
        assert found["diagonal"] == found["worst"] == (0.0 if name == "ablate" else 1.0)
        assert found["beside"] == 1 - found["diagonal"]


def test_published_matrices_give_their_published_means():
    """Three tasks of a chain graph of dictionary features: diagonal .27, beside .88; .91, .01."""
    ablate = [[0.23, 0.91, 0.87], [0.92, 0.32, 0.82], [0.93, 0.85, 0.27]]
    keep = [[0.95, 0.12, -0.08], [0.08, 0.92, -0.10], [0.04, -0.03, 0.85]]
    tasks = ["rc", "ioi", "gt"]
    found = specificity.summarise(matrix(ablate), tasks, "ablate", 1)
    assert (round(found["diagonal"], 2), round(found["beside"], 2)) == (0.27, 0.88)
    assert (found["worst_task"], round(found["separation"], 2)) == ("ioi", 0.61)
    found = specificity.summarise(matrix(keep), tasks, "keep", 1)
    assert (round(found["diagonal"], 2), round(found["beside"], 2)) == (0.91, 0.01)
    assert (found["worst_task"], found["worst"]) == ("gt", 0.85)


def test_both_p_values_are_uniform_where_sets_mean_nothing():
    rng = np.random.default_rng(5)
    random, labels = [], []
    for seed in range(200):
        values = rng.standard_normal((100, 6, 6))
        found = specificity.summarise(
            matrix(values[0], null=values[1:]), list("abcdef"), "ablate", seed
        )
        random.append(found["p"])
        labels.append(found["p_labels"])
    assert kstest(random, "uniform").pvalue > 0.01
    assert kstest(labels, "uniform").pvalue > 0.01


def test_one_task_alone_has_no_separation():
    found = specificity.summarise(matrix([[0.2]]), ["a"], "ablate", 1)
    assert found == {"diagonal": 0.2, "worst": 0.2, "worst_task": "a"}


@pytest.fixture(scope="module")
def found():
    _, model = tiny("gpt2")
    lists = [prompt_lists(9, seed) for seed in (1, 2)]
    pairs = [prompts.of_lists(*some) for some in lists]
    tasks = {
        name: cross_ablation.Task(some.rows(slice(6)), some.rows(slice(6, 9)), "logit_difference")
        for name, some in zip(("first", "second"), pairs, strict=True)
    }
    features = {site: model.features(site) for site in model.sites}
    graphs = {"heads": parts.heads(features, model.sites, model.size.head_width)}
    generator = np.random.default_rng(3)
    scores = {"heads": generator.standard_normal((2, graphs["heads"].writers))}
    left_out = {"third": "accuracy is not above chance"}
    result = cross_ablation.run(model, tasks, graphs, scores, left_out, SETTINGS, seed=1)
    return model, tasks, graphs["heads"], result


def test_each_cell_is_a_run_of_its_own(found):
    model, tasks, graph, (cells, _) = found
    names = np.array(graph.names[:-1])
    ok = [row for row in cells.to_pylist() if row["status"] == "ok"]
    assert len(ok) == 2 * 2 * 2 * 2  # sets, interventions, tasks, tasks measured
    for row in ok:
        on = tasks[row["measured"]]
        values = ablated_values(model, on.heldout, "mean", on.discovery)
        members = np.isin(names, row["parts"].split())
        assert members.sum() == row["nodes"]
        keep = ~members if row["intervention"] == "ablate" else members
        keep[0] = True
        runs = np.stack([keep, np.ones_like(keep), np.zeros_like(keep)])
        logits = run_nodes(model, on.heldout, graph, runs, values)
        answers = on.heldout.right, on.heldout.wrong
        m, intact, empty = metrics.logit_difference(logits, *answers).mean(-1).tolist()
        assert row["f"] == pytest.approx((m - empty) / (intact - empty), abs=1e-9)
        right = metrics.choice_accuracy(logits[0], *answers).double().mean()
        assert row["accuracy"] == pytest.approx(float(right))
        assert row["f_lo"] <= row["f"] <= row["f_hi"]


def test_a_task_the_model_cannot_do_stands_without_numbers_and_is_not_counted(found):
    _, _, _, (cells, summaries) = found
    (row,) = [row for row in cells.to_pylist() if row["task"] == "third"]
    assert (row["status"], row["reason"]) == ("refused", "accuracy is not above chance")
    assert row["f"] is None
    assert {row["tasks"] for row in summaries.to_pylist()} == {2}


def test_the_summary_is_that_of_its_cells(found):
    *_, (cells, summaries) = found
    for row in summaries.to_pylist():
        key = ("partition", "sets", "intervention")
        inside = [c for c in cells.to_pylist() if all(c[name] == row[name] for name in key)]
        on = [c[row["measure"]] for c in inside if c["task"] == c["measured"]]
        off = [c[row["measure"]] for c in inside if c["task"] != c["measured"]]
        assert row["diagonal"] == pytest.approx(np.mean(on))
        assert row["beside"] == pytest.approx(np.mean(off))
        assert row["separation_lo"] <= row["separation"] <= row["separation_hi"]
        assert row["p"] in [pytest.approx(k / 6) for k in range(1, 7)]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """One layer, two heads: the first copies the sign of one token to the answer, the second
    that of another token. All else is zero; embeddings have mean zero, so norms mix nothing."""
    config = GPT2Config(
        n_layer=1, n_head=2, n_embd=8, n_inner=4, vocab_size=9, n_positions=4, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    network = GPT2LMHeadModel(config).double()
    direction = torch.zeros(4, 8, dtype=torch.float64)
    for i in range(4):
        direction[i, 2 * i], direction[i, 2 * i + 1] = 1, -1
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
        for token in range(4):  # tokens 1-8: plus and minus of signal a, signal b, answer a, b
            network.transformer.wte.weight[2 * token + 1] = direction[token]
            network.transformer.wte.weight[2 * token + 2] = -direction[token]
        attention = network.transformer.h[0].attn
        for head in (0, 1):
            attention.c_attn.weight[:, 16 + 4 * head] = direction[head]  # value reads the signal
            attention.c_proj.weight[4 * head] = direction[2 + head]  # and writes the answer
    folder = tmp_path_factory.mktemp("planted")
    network.save_pretrained(folder)
    return transformer.load(folder, torch.float64)


def test_two_planted_heads_give_the_ideal_matrix(planted):
    """The whole way: attribution finds the parts, each carries its own task and no other."""
    tasks = {}
    for name, plus in (("a", 1), ("b", 3)):
        clean = [[plus, 0], [plus + 1, 0]] * 4
        answers = [[plus + 4], [plus + 5]] * 4
        pairs = prompts.of_lists(clean, clean[1:] + clean[:1], answers, answers[1:] + answers[:1])
        tasks[name] = cross_ablation.Task(pairs, pairs, "logit_difference")
    features = {site: planted.features(site) for site in planted.sites}
    graphs = {"heads": parts.heads(features, planted.sites, planted.size.head_width)}
    scores = [
        attribute(planted, task.discovery, graphs, ["eap"], task.metric)["heads", "eap"].nodes
        for task in tasks.values()
    ]
    means = {"heads": np.stack([of_task.mean(axis=0) for of_task in scores])}
    settings = SETTINGS | {"size": 0.3}
    cells, summaries = cross_ablation.run(planted, tasks, graphs, means, {}, settings, 1)
    assert {(row["task"], row["parts"]) for row in cells.to_pylist()} == {
        ("a", "a0.h0"), ("b", "a0.h1"),
    }  # fmt: skip
    shares = [row for row in summaries.to_pylist() if row["measure"] == "f"]
    assert len(shares) == 4
    for row in shares:
        assert row["separation"] == pytest.approx(1.0), row
        assert row["diagonal"] == pytest.approx(float(row["intervention"] == "keep"))
        assert row["unassigned"] == 1  # the MLP, which does nothing


def test_a_model_that_can_do_nothing_has_a_table_a_figure_and_no_matrix(found):
    model, *_ = found
    cells, summaries = cross_ablation.run(model, {}, {}, {}, {"a": "chance"}, SETTINGS, 1)
    assert (len(cells), len(summaries)) == (1, 0)
    rows = [{name: str(row[name] or "") for name in drawing.COLUMNS} for row in cells.to_pylist()]
    shown = [text.get_text() for text in drawing.draw(rows).axes[0].texts]
    assert shown == ["the model can do none of the tasks"]


def test_the_verdict_asks_for_a_clear_contrast_beyond_chance():
    line = {
        "status": "ok", "intervention": "ablate", "diagonal": "0.1", "beside": "0.9",
        "separation_lo": "0.7", "separation_first": "0.8", "null_hi": "0.2", "p_labels_adj": "0.01",
    }  # fmt: skip
    assert section.verdict(line) == "holds"
    assert section.verdict(line | {"diagonal": "0.6"}) == "partly"  # own task survives
    assert section.verdict(line | {"beside": "0.4"}) == "partly"  # so do few others
    assert section.verdict(line | {"intervention": "keep"}) == "partly"  # the wrong way round
    for weak in ({"separation_lo": "-0.1"}, {"null_hi": "0.9"}, {"p_labels_adj": "0.06"}):
        assert section.verdict(line | weak) == "fails"
    assert section.verdict(line | {"status": "refused"}) == "untested"
    assert section.verdict(line | {"null_hi": ""}) == "untested"  # no random sets were run
