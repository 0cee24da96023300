"""The bench: methods against built models, and recovery numbers worked by hand."""

import itertools
import re

import numpy as np
import pytest

import built_chain
from connectome import known, tables
from connectome.errors import DataError
from connectome.recovery import recovery
from connectome.report.sections import truth as section
from connectome.tabulate import truth


@pytest.fixture(scope="module")
def table():
    return lambda name: tables.read_csv(built_chain.results() / f"tables/{name}.csv")


def test_auroc_and_average_precision_with_ties_by_hand():
    # strengths 3, 2, 2, 1, 0 with the first, one of the tied, and the last known
    found = recovery(np.array([-3.0, 2.0, -2.0, 1.0, 0.0]), np.array([1, 1, 0, 0, 1], bool))
    # pairs known > other: (3>2) (3>1) (2=2: half) (2>1) (0<2) (0<1) = 3.5 of 6
    assert found.auroc == pytest.approx(3.5 / 6)
    # steps of recall: 1/3 at precision 1/1, 1/3 at 2/3 (both tied), 1/3 at 3/5
    assert found.average_precision == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert (found.n, found.positives, found.prevalence) == (5, 3, 0.6)
    # ties by position: the known one comes first
    assert (found.strongest, found.found) == ([0, 1, 2], 2)


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(-4, 5, 60).astype(float), rng.random(60) < 0.3
    strength = np.abs(scores)
    pairs = [
        1.0 if a > b else (0.5 if a == b else 0.0)
        for a, b in itertools.product(strength[positive], strength[~positive])
    ]
    assert recovery(scores, positive).auroc == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("known_all", [True, False])
def test_recovery_of_everything_or_nothing_is_not_defined(known_all):
    found = recovery(np.arange(3.0), np.full(3, known_all))
    assert found.auroc is None and found.average_precision is None
    assert found.found == found.positives == (3 if known_all else 0)


def test_every_built_model_is_certified(table):
    for row in table("certificates"):
        assert row["certified"] == "true", row
        assert float(row["accuracy_clean"]) == float(row["accuracy_corrupted"]) == 1
        assert abs(float(row["other_share"])) < 0.05 < 0.3 < float(row["weakest_share"])
        assert abs(float(row["other_edge_share"])) < 0.05


def test_edges_of_the_drawn_circuit_are_held_against_those_that_were_meant(table):
    by_model = {row["model"]: row for row in table("certificates")}
    counts = ("meant_edges", "drawn_edges", "drawn_meant")
    assert [by_model["copier"][name] for name in counts] == ["3", "2", "1"]
    assert [by_model["mover"][name] for name in counts] == ["6", "", ""]


def test_exact_patching_and_the_attention_pattern_name_the_known_heads(table):
    rows = [row for row in table("known_heads") if row["method"] == "exact"]
    assert {(row["model"], row["head"]) for row in rows} == {
        (name, head)
        for name, build in built_chain.MODELS.items()
        for head in known.of_name(build).ROLES
    }
    for row in rows:
        assert row["named"] == "true"
        assert float(row["attention"]) > 0.8 > 0.5 > float(row["attention_other"])
        assert float(row["share"]) > 0.3


def test_integrated_gradients_name_the_known_heads_and_edges(table):
    for row in table("truth"):
        if (
            row["method"] == "eap-ig-inputs"
            and row["partition"] == "heads"
            and row["tau"] != "0.01"
        ):
            assert row["found"] == row["positives"], row
            assert float(row["auroc"]) == 1


def test_gradients_at_the_clean_prompt_alone_miss_an_edge_into_a_saturated_pattern(table):
    """The duplicate-token head attends so surely that its pattern has no slope to speak of."""
    (row,) = (
        row
        for row in table("truth")
        if (row["model"], row["partition"], row["method"], row["kind"], row["truth"])
        == ("mover", "heads", "eap", "edges", "label")
    )
    assert (row["found"], row["positives"]) == ("5", "6")
    assert "input->a0.h2" not in row["strongest"].split()
    assert row["missed"] == "input->a0.h2"


def test_exact_scores_find_the_causal_truth_completely(table):
    rows = [r for r in table("truth") if (r["method"], r["truth"]) == ("exact", "causal")]
    assert {row["partition"] for row in rows} == {"heads", "modules"}
    assert {float(row["auroc"]) for row in rows} == {1.0}
    assert min(float(row["average_precision"]) for row in rows) == pytest.approx(1.0)


def test_label_truth_of_modules_follows_from_that_of_heads(table):
    case = truth.Case({}, known.record("indirect_object"), [], [], [], {})
    assert case.labels("nodes", "modules") == {"a0", "a1", "a2"}
    assert case.labels("edges", "modules") == {"input->a0", "a0->a1", "a1->a2", "a2->logits"}


def hand_case(scores, exact, **changes):
    """A case of three heads, one known, with node scores of one method and of the yardstick."""
    names = ["input", "a0.h0", "a0.h1", "a0.h2", "m0"]
    nodes = [
        {"partition": "heads", "method": method, "node": node, "score": score, "n": 7}
        for method, values in (("eap", scores), ("exact", exact))
        for node, score in zip(names, values, strict=True)
    ]
    edges = [
        {"partition": "heads", "method": m, "src": "input", "dst": dst, "score": score}
        for m in ("eap", "exact")
        for dst, score in (("a0.h0", 4.0), ("a0.h1", -0.3))
    ]
    record = {
        "heads": [{"head": "a0.h0", "role": "copies", "attends": "back"}],
        "edges": ["input->a0.h0"],
    }
    attention = [
        {"known": "a0.h0", "head": f"a0.h{i}", "attention": a, "lowest": a - 0.1}
        for i, a in enumerate((0.9, 0.2, 0.3))
    ]
    measured = {"accuracy_clean": {"value": 1.0}, "accuracy_corrupted": {"value": 1.0}}
    competence = {"splits": {"heldout": measured | changes}}
    names = {"model": "m", "dictionary": "d", "task": "t"}
    return truth.Case(names, record, attention, nodes, edges, competence)


def test_ranks_count_heads_alone_and_shares_are_of_the_exact_gap():
    case = hand_case([9.0, 1.0, -2.0, 0.5, 7.0], [4.0, 3.0, 0.1, -0.15, 0.5])
    by_method = {row["method"]: row for row in truth.head_rows(case)}
    assert (by_method["eap"]["rank"], by_method["eap"]["named"]) == (2, False)
    assert by_method["eap"]["share"] == 0.25
    assert (by_method["exact"]["rank"], by_method["exact"]["named"]) == (1, True)
    assert (by_method["exact"]["other_head"], by_method["exact"]["attention_other"]) == (
        "a0.h2",
        0.3,
    )
    assert by_method["exact"]["heads"] == 3 and by_method["exact"]["known"] == 1


def test_causal_truth_is_above_a_share_of_the_gap_whatever_the_sign():
    case = hand_case([9.0, 1.0, -2.0, 0.5, 7.0], [4.0, 3.0, 0.1, -0.15, 0.5])
    rows = {(r["method"], r["kind"], r["truth"], r["tau"]): r for r in truth.rows(case, ["heads"])}
    # effects 3, .1, -.15, .5 of a gap of 4: above .04 all four, above .4 the first and the MLP
    assert rows["eap", "nodes", "causal", 0.01]["positives"] == 4
    tenth = rows["eap", "nodes", "causal", 0.1]
    assert (tenth["positives"], tenth["n"], tenth["strongest"]) == (2, 4, "m0 a0.h1")
    # known a0.h0 (1) and m0 (7) against a0.h1 (2) and a0.h2 (.5): 3 of 4 pairs in order
    assert tenth["auroc"] == 0.75 and tenth["found"] == 1
    assert rows["eap", "heads", "label", None]["strongest"] == "a0.h1"
    assert rows["eap", "edges", "label", None]["auroc"] == 1


def test_a_certificate_is_refused_where_another_head_matters_or_a_prompt_is_missed():
    fine = hand_case([0.0] * 5, [4.0, 3.0, 0.1, -0.15, 0.5])
    found = truth.certificate(fine)
    assert found["certified"] and found["other_head"] == "a0.h2" and found["pairs"] == 7
    assert (found["other_edge"], found["other_edge_share"]) == ("input->a0.h1", -0.075)
    loud = hand_case([0.0] * 5, [4.0, 3.0, 0.1, -0.21, 0.5])
    assert not truth.certificate(loud)["certified"]
    missed = hand_case([0.0] * 5, [4.0, 3.0, 0.1, -0.15, 0.5], accuracy_corrupted={"value": 0.98})
    assert not truth.certificate(missed)["certified"]


def test_a_partition_without_exact_scores_is_refused_by_name():
    case = hand_case([0.0] * 5, [4.0, 3.0, 0.1, -0.15, 0.5])
    with pytest.raises(DataError, match="'rois' has no exact scores .* circuits.exact"):
        list(truth.rows(case, ["rois"]))


def text_of(name):
    page = built_chain.page()
    start = page.index(f'<section id="{name}"')
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", page[start : page.index("</section>", start)]))


def test_the_page_names_the_known_heads_and_whether_each_method_finds_them():
    text = text_of("truth")
    for build in built_chain.MODELS.values():
        for head, role in known.of_name(build).ROLES.items():
            assert f"{head} ({role})" in text
    assert text.count("Certified: the model answers 100") == 2
    assert "eap-ig-inputs names them all: 4 of 4 known heads" in text
    assert "5 of 6 edges that were meant; it misses input-&gt;a0.h2." in text
    assert "has 2 edges: 1 of the 3 that were meant" in text
    assert "Exact ablation names them all: 2 of 2 known heads" in text


def test_every_number_of_the_section_is_a_cell_of_its_table(table):
    page = built_chain.page()
    start = page.index('<section id="truth"')
    body = page[start : page.index("</section>", start)]
    cells = re.findall(r'<data value="([^"]*)" data-at="(\w+) (\d+) (\w+)"', body)
    assert len(cells) > 80
    for value, name, row, column in cells:
        assert table(name)[int(row)][column] == value
    sentences = re.findall(r'<(?:p|li) class="claim">(.*?)</(?:p|li)>', body, re.S)
    assert len(sentences) == 2 + 6 + 2 * 4
    for sentence in sentences:
        left = re.sub(r"<data.*?</data>", "", sentence)
        assert not re.search(r"\d", re.sub(r"\b[am]\d+(\.h\d+)?\b", "", left)), left


def test_a_run_without_built_models_says_so_and_reads_nothing():
    plan = {"models": {"demo": {"tasks": ["ioi"], "dictionaries": {}}}, "native": "neurons"}
    assert section.inputs(plan) == []
    assert section.context(None, plan) == {"built": False}
    assert section.inputs(built_chain.PLAN) == [
        "tables/certificates.csv",
        "tables/known_heads.csv",
        "tables/truth.csv",
    ]
