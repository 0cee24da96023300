"""Sections of dictionaries and of single features: true to their tables, hostile text included."""

import json
import re

import pytest

import report_chain
import synthetic_results
from connectome import report, tables
from connectome.report.sections import dictionaries, faithfulness, feature_cards
from synthetic_features import CARDS
from synthetic_results import CANNOT, NASTY, SPARSE, SPARSE_SITES
from test_report import Page

PLAN = report_chain.PLAN
NATIVE = synthetic_results.plan(("other",))  # a model without such a dictionary


@pytest.fixture(scope="module")
def page():
    return Page(report_chain.page())


@pytest.fixture(scope="module")
def table():
    return lambda name: tables.read_csv(report_chain.results() / "tables" / f"{name}.csv")


def within(page, name):
    (root,) = [e for e in page.elements if e["attrs"].get("id") == name]
    return [e for e in page.elements if root in e["above"]]


def test_features_are_named_by_site_and_number_in_every_table(table):
    for name in ("cards", "examples", "tokens", "logits", "scores"):
        rows = table(f"feature_{name}")
        assert rows and {row["site"] for row in rows} == set(SPARSE_SITES)
        for row in rows:
            assert re.fullmatch(rf"{re.escape(row['site'])}:\d+", row["feature"])
    assert len(table("feature_cards")) == CARDS * len(SPARSE_SITES)
    assert {row["task"] for row in table("feature_scores")} == {"ioi"}  # the other is beyond it


def test_tables_of_features_hold_what_was_described(table):
    path = report_chain.results() / "demo" / SPARSE / "features" / "cards.parquet"
    exact = {f"{r['site']}:{r['feature']}": r for r in tables.read_table(path).to_pylist()}
    parts = tables.read_table(report_chain.results() / "demo" / SPARSE / "partitions.parquet")
    labels = {f"{row['site']}:{row['feature']}": row for row in parts.to_pylist()}
    for row in table("feature_cards"):
        own = exact[row["feature"]]
        assert json.loads(row["histogram"]) == own["histogram"]
        assert float(row["density"]) == pytest.approx(own["fires"] / own["tokens"], rel=1e-5)
        assert row["highest"] == ("" if own["highest"] is None else str(own["highest"]))
        for partition in ("rois", "rois_attribution"):
            part = labels[row["feature"]][partition]
            place = row["site"][0] + row["site"].split(".")[1]
            named = {-1: "ungrouped", -2: "dead"}.get(part, f"{place}.r{part}")
            assert row[partition] == named
    windows = [json.loads(row["window"]) for row in table("feature_examples")]
    assert any(window[3] in NASTY for window in windows)


def test_a_card_shows_its_own_feature_and_no_other(page, table):
    """In the page: the numbers of a card stand in rows of its own feature."""
    lines = {
        f"feature_{name}.csv": table(f"feature_{name}")
        for name in ("cards", "examples", "tokens", "logits", "scores")
    }
    for site in SPARSE_SITES:
        deck = within(page, f"features.demo.{SPARSE}.{site}")
        cards = [e for e in deck if e["tag"] == "details"]
        assert len(cards) == CARDS
        for card in cards:
            name = next(e["text"] for e in deck if e["tag"] == "bdi" and card in e["above"])
            numbers = [e["attrs"] for e in deck if e["tag"] == "data" and card in e["above"]]
            assert len(numbers) >= 8
            for number in numbers:
                source, at, _ = report_chain.place(number)
                row = lines[source][at]
                assert row["feature"] == name and row["site"] == site


def test_tokens_are_shaded_by_their_value_and_say_it(page):
    fields = {
        "window": json.dumps(["<|s|>", " low", " mid", " top", "\n", " <b>"]),
        "scores": json.dumps([None, 0.5, 1.25, 3.0, 0.0, 2.0]),
        "cut_left": "false",
        "cut_right": "true",
    }
    assert feature_cards.window(fields, highest=3.0) == (
        '&lt;|s|&gt; <mark class="s1 fires" title="0.5">low</mark>'
        ' <mark class="s2 fires" title="1.25">mid</mark>'
        ' <mark class="s3 fires" title="3">top</mark>\u23ce'
        ' <mark class="s3 fires" title="2">&lt;b&gt;</mark> \u2026'
    )
    section = within(page, "feature_cards")
    marked = {e["text"] for e in section if e["tag"] == "mark"}
    assert {NASTY[0], NASTY[1], "\\u{0}"} <= marked
    assert any("(5000 characters)" in text for text in marked)
    assert not [e for e in section if e["tag"] in ("script", "img")]


def test_histograms_are_drawn_to_scale_with_the_median_where_it_belongs():
    line = {"histogram": json.dumps([8, 0, 4, 1000]), "median": "3", "highest": "4"}
    drawn = feature_cards.histogram(line)
    assert 'd="M0 40V39.0H50V40.0H100V39.0H150V0.0H200V40Z"' in drawn
    assert 'd="M150.0 0V40"' in drawn
    assert feature_cards.histogram({"histogram": "[0, 0]"}) == ""


def test_a_feature_that_never_fires_in_the_corpus_says_so(page, table):
    dead = [row["feature"] for row in table("feature_cards") if row["fires"] == "0"]
    assert len(dead) == len(SPARSE_SITES)
    section = within(page, "feature_cards")
    for card in (e for e in section if e["tag"] == "details"):
        own = any(name in card["text"] for name in dead)
        assert own == ("No text of the corpus makes it fire" in card["text"])


def test_variance_explained_and_cost_stand_in_one_sentence_and_recovery_behind_them(page, table):
    section = within(page, "dictionaries")
    claims = [
        [
            report_chain.place(n["attrs"])[2]
            for n in section
            if n["tag"] == "data" and e in n["above"]
        ]
        for e in section
        if e["tag"] == "li"
    ]
    assert len(claims) == len(SPARSE_SITES)
    for columns in claims:
        assert columns.index("delta") == columns.index("explained_variance") + 1
        assert columns.count("delta") == columns.count("explained_variance") == 4  # controls too
        assert columns.index("tokens") == columns.index("dead") + 1
        assert columns.index("recovered_mean") > columns.index("delta")
    assert "recovered_zero" in claims[0] and "recovered_zero" not in claims[1]
    text = "".join(e["text"] for e in section if e["tag"] == "li")
    assert text.count("batchtopk, read with the activation jumprelu") == 2
    (refused,) = [row for row in table("dictionaries") if row["status"] == "refused"]
    assert refused["reason"] in "".join(e["text"] for e in section if e["tag"] == "p")
    shown = {e["text"] for e in section if e["tag"] in ("td", "th")}
    assert {"sweep.k8", "pca", "untrained", "mean"} <= shown


def test_without_such_a_dictionary_the_sections_read_nothing_and_say_how_to_get_one():
    assert dictionaries.inputs(NATIVE) == feature_cards.inputs(NATIVE) == []
    assert not [path for path in faithfulness.inputs(NATIVE) if "units." in path]
    modules = {module.__name__.rpartition(".")[2]: module for module in report.sections()}
    for name in ("dictionaries", "feature_cards"):
        assert set(modules[name].context(None, NATIVE)) <= {"found", "sites"}
    from connectome.report import build
    from test_report import FRAGMENTS

    bare = Page(build.build(report_chain.results(), NATIVE, FRAGMENTS))
    for name in ("dictionaries", "feature_cards"):
        (root,) = [e for e in bare.all("section") if e["attrs"]["id"] == name]
        assert "dictionaries in the configuration" in root["text"]
        assert "snakemake --cores 2 results/report.html" in root["text"]


def test_each_task_of_the_dictionary_has_a_figure_of_all_units():
    inputs = faithfulness.inputs(PLAN)
    assert "figures/units.demo.ioi.svg" in inputs
    assert f"figures/units.demo.{CANNOT}.svg" in inputs
    assert len([path for path in inputs if "units." in path]) == 2
    assert f"figures/dictionaries.demo.{SPARSE}.svg" in dictionaries.inputs(PLAN)
