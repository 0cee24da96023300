"""Tables, section and figure of the ROI cards: true to their sources, hostile text included."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

import report_chain
from conftest import ROOT
from connectome import tables
from connectome.plots import hierarchy
from connectome.report import marks
from connectome.report.sections import cards as section
from connectome.tabulate import cards, region_scores, sites
from synthetic_results import CANNOT, NASTY, SITES, SPARSE_SITES, TASKS
from test_report import Page

PAIR = {"model": "demo", "dictionary": "neurons"}


@pytest.fixture(scope="module")
def table():
    return lambda name: tables.read_csv(report_chain.results() / "tables" / f"roi_{name}.csv")


@pytest.fixture(scope="module")
def page():
    return Page(report_chain.page())


def own(rows):
    """Those on native features."""
    return [row for row in rows if row["dictionary"] == PAIR["dictionary"]]


def within(page, name):
    (root,) = [e for e in page.elements if e["attrs"].get("id") == name]
    return [e for e in page.elements if root in e["above"]]


def effect(part, task="a", **values):
    row = {"partition": "rois", "site": "mlp.2", "part": part, "task": task, "live": 4}
    row |= {"effect": 0.1, "random_median": 0.0, "p": 0.5, "draws": 20}
    return dict.fromkeys(cards.EFFECT_COLUMNS[2:]) | row | values


def effect_rows(rows, scores=()):
    able = {("demo", "a"): True, ("demo", "b"): True, ("demo", "no"): False}
    return cards.effect_rows([(PAIR, rows)], able, dict(scores))


def test_only_a_loss_above_every_random_set_is_marked():
    rows = effect_rows(
        [effect(0, p=1 / 21), effect(1, p=2 / 21), effect(2, p=None, draws=0)]
        + [effect(3, p=1 / 4, draws=3)]
    )
    assert [row["above_all"] for row in rows] == [True, False, None, True]
    assert [row["part"] for row in rows] == ["m2.r0", "m2.r1", "m2.r2", "m2.r3"]


def test_rois_above_every_random_set_are_counted_beside_their_number_by_chance():
    rows = [effect(i, p=1 / 21 if i < 2 else 0.6, effect=i / 10, live=i + 2) for i in range(6)]
    rows += [effect(6, p=None, draws=0, effect=9.0)]
    rows += [effect(i, "b", p=1 / 21) for i in range(3)]
    rows += [effect(i, "no", p=1 / 21, effect=50.0) for i in range(3)]
    a, b, no, every = cards.test_rows(effect_rows(rows))
    assert (a["tested"], a["above_all"], a["rois"]) == (6, 2, 7)
    assert a["expected"] == pytest.approx(6 / 21, abs=1e-5)
    assert (a["part_max"], a["effect_max"]) == ("m2.r5", 0.5)
    sizes, effects = [2, 3, 4, 5, 6, 7, 4], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 9]
    assert a["rank_size_effect"] == pytest.approx(spearmanr(sizes, effects).statistic, abs=1e-5)
    assert (b["above_all"], no["above_all"], no["effect_max"]) == (3, None, None)
    assert every["task"] is None and (every["tested"], every["above_all"]) == (9, 5)


def test_rank_correlations_equal_scipy_and_leave_out_what_is_unknown():
    x, y = [3.0, 1, 4, 1, 5, None], [2.0, 7, 1, 8, 2, 8]
    expected = spearmanr(x[:5], y[:5]).statistic
    assert region_scores.rank_correlation(x, y) == pytest.approx(expected)
    assert region_scores.rank_correlation([1.0, 1, 1], [1.0, 2, 3]) is None
    assert region_scores.rank_correlation([1.0, 2], [1.0, 2]) is None


def test_attribution_of_a_roi_is_summed_and_averaged_over_members_and_over_active_ones():
    nodes = [{"partition": "rois", "method": "eap", "node": "m2.r1", "score": 6.0}]
    nodes += [
        {"partition": "features", "method": "eap", "node": f"m2.n{i}", "score": score}
        for i, score in enumerate([4.0, 0.0, 2.0, 9.0])
    ]
    nodes += [{**row, "method": "other", "score": 77.0} for row in nodes]
    members = [{"partition": "rois", "site": "mlp.2", "part": 1, "feature": i} for i in (0, 1, 2)]
    members += [{"partition": "rois", "site": "mlp.2", "part": 0, "feature": 3}]
    found = region_scores.attributions([(PAIR | {"task": "a"}, nodes)], [(PAIR, members)], "eap")
    assert found == {("demo", "neurons", "a", "rois", "m2.r1"): (6.0, 2.0, 3.0)}


def test_members_that_are_features_of_a_dictionary_are_found_under_their_own_names():
    """m2 is covered by the dictionary, a1 is native; error nodes and other modules are neither."""
    singles = {"m2.f0": 4.0, "m2.f1": 0.0, "m2.f2": 2.0, "a1.n0": 0.5, "a1.n1": 0.25}
    singles |= {"m2.error": 9.0, "m1.f1": 9.0, "input": 9.0, "m2.rest": 9.0}
    nodes = [
        {"partition": "features", "method": "eap", "node": node, "score": score}
        for node, score in singles.items()
    ]
    nodes += [
        {"partition": "rois", "method": "eap", "node": node, "score": score}
        for node, score in (("m2.r1", 6.0), ("a1.r0", 0.75), ("m2.error", 9.0))
    ]
    members = [{"partition": "rois", "site": "mlp.2", "part": 1, "feature": i} for i in (0, 1, 2)]
    members += [{"partition": "rois", "site": "attn.1", "part": 0, "feature": i} for i in (0, 1)]
    found = region_scores.attributions([(PAIR | {"task": "a"}, nodes)], [(PAIR, members)], "eap")
    assert found == {
        ("demo", "neurons", "a", "rois", "m2.r1"): (6.0, 2.0, 3.0),
        ("demo", "neurons", "a", "rois", "a1.r0"): (0.75, 0.375, 0.375),
    }


def test_rank_correlations_of_size_and_attribution_are_printed_in_all_three_normalisations():
    """Large regions with many idle members: first by the sum, last by the mean over members."""
    rows = [effect(i, live=live) for i, live in enumerate((2, 4, 6, 8))]
    totals, active = [2.0, 3.0, 4.0, 5.0], [1, 1, 2, 2]
    scores = {
        ("demo", "neurons", "a", "rois", f"m2.r{i}"): region_scores.Attribution(
            total, total / row["live"], total / n
        )
        for i, (total, row, n) in enumerate(zip(totals, rows, active, strict=True))
    }
    found, _ = cards.test_rows(effect_rows(rows, scores))
    assert found["rank_size_attribution"] == pytest.approx(1)
    assert found["rank_size_mean"] == pytest.approx(-1)
    expected = spearmanr([2, 4, 6, 8], [2, 3, 2, 2.5]).statistic
    assert found["rank_size_active"] == pytest.approx(expected, abs=1e-5)
    fragment = (ROOT / "workflow/report/sections/cards.html").read_text(encoding="utf-8")
    for name in ("attribution", "mean", "active"):
        assert f'line.n("rank_size_{name}", "share")' in fragment


def test_every_roi_of_several_has_a_card_with_all_tasks(table):
    found = {(r["model"], r["partition"], r["part"]) for r in own(table("cards"))}
    effects = own(table("effects"))
    assert len(found) * len(TASKS) == len(effects) and len(found) > 20
    assert {r["competent"] for r in effects if r["task"] == CANNOT} == {"false"}
    for row in table("tests"):
        if row["task"] == CANNOT:
            assert row["above_all"] == row["effect_max"] == ""
    for row in table("tokens"):
        assert isinstance(json.loads(row["text"]), str)
    assert any(json.loads(r["window"])[3] in NASTY for r in table("examples"))


def test_cards_show_their_roi_and_no_other(page, table):
    """In the page: the numbers of a card stand in rows of its own ROI."""
    lines = {name: table(name) for name in ("cards", "examples", "tokens", "logits", "effects")}
    deck = within(page, "hierarchy.demo.neurons.mlp.0")
    details = [e for e in deck if e["tag"] == "details"]
    assert len(details) == 12
    for card in details:
        name = next(e["text"] for e in deck if e["tag"] == "b" and card in e["above"])
        numbers = [e for e in deck if e["tag"] == "data" and card in e["above"]]
        assert len(numbers) > 40
        for number in numbers:
            source, at, _ = report_chain.place(number["attrs"])
            source = source.removeprefix("roi_").removesuffix(".csv")
            if source in lines:
                row = lines[source][at]
                assert (row["part"], row["site"], row["model"]) == (name, "mlp.0", "demo")


def test_hostile_windows_are_text_and_firing_tokens_are_marked(page):
    section_of = within(page, "cards")
    marked = [e for e in section_of if e["tag"] == "mark" and "fires" in e["attrs"]["class"]]
    shown = {e["text"] for e in marked}
    assert any("</script><!--<script>" in text for text in shown)
    assert '"><img src=x onerror=1>' in shown and "\\u{202e}abc" in shown
    assert any("(5000 characters)" in text for text in shown)
    assert not [e for e in section_of if e["tag"] in ("script", "img") and "src" not in e["attrs"]]


def test_shades_follow_the_profile_and_blanks_stay_outside_the_marks():
    fields = {
        "window": json.dumps(["<|s|>", " low", " half", " fires", " top", "\n", " "]),
        "scores": json.dumps([None, 0.9, 1.0, 2.0, 4.0, -9.0, 0.0]),
        "cut_left": "false",
        "cut_right": "true",
    }
    assert section.window(fields, limit=2.0, highest=4.0) == (
        '&lt;|s|&gt; low <mark class="s1">half</mark> <mark class="s2 fires">fires</mark>'
        ' <mark class="s3 fires">top</mark>\u23ce\u2423 \u2026'
    )
    assert marks.running(" <b>") == " &lt;b&gt;"


def test_bars_start_at_zero_and_end_at_the_effect():
    line = dict.fromkeys(("effect_lo", "effect_hi"), "0")
    line |= {"competent": "true", "effect": "0.5", "random_lo": "-0.1", "random_hi": "0.1"}
    assert section._bar(line, 1.0) == "--a:25.0%;--b:62.5%;--c:17.5%;--d:32.5%"
    assert section._bar(line | {"effect": "-0.2"}, 1.0).startswith("--a:10.0%;--b:25.0%")
    assert section._bar(line | {"competent": "false"}, 1.0) == ""


def test_levels_know_which_part_of_the_next_level_holds_them():
    fit = {"levels": [[0, 0, 1, 2, -1], [0, 0, 1, 0, -1], [0, 0, 0, 0, -1]]}
    found = {(r["level"], r["part"]): r["parent"] for r in sites.part_rows([({}, fit)])}
    assert found == {
        (0, -1): -1, (0, 0): 0, (0, 1): 1, (0, 2): 0,
        (1, -1): -1, (1, 0): 0, (1, 1): 0, (2, -1): None, (2, 0): None,
    }  # fmt: skip


def tree(blocks=None):
    fit = {"levels": [[0, 0, 1, 2, -1], [0, 0, 1, 0, -1], [0, 0, 0, 0, -1]]}
    names = PAIR | {"site": "mlp.2", "kind": "activation"}
    levels = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in sites.part_rows([(names, fit)])
    ]
    of_site = [names | {"status": "ok", "levels": "3 > 2 > 1"}]
    of_site += [names | {"kind": "attribution", "status": "refused", "levels": ""}]
    return hierarchy.select(of_site, levels, "demo", "neurons", "mlp.2", blocks)


def test_leaves_stand_in_the_order_of_the_tree_and_parents_amid_their_own():
    rows = {(r["level"], r["part"]): float(r["height"]) for r in tree() if r["height"]}
    assert rows["0", "0"] == 0 and rows["0", "2"] == 1 and rows["0", "1"] == 2
    assert rows["1", "0"] == 0.5 and rows["1", "1"] == 2 and rows["2", "0"] == 1.25
    assert rows["0", "-1"] == rows["2", "-1"] == 3
    names = [r["name"] for r in tree() if r["level"] == "0"]
    assert names == ["ungrouped", "m2.r0", "m2.r1", "m2.r2"]


def test_levels_finer_than_the_rois_are_not_drawn():
    assert {r["level"] for r in tree(blocks=2)} == {"1", "2", ""}
    figure = hierarchy.draw([{k: str(v) for k, v in r.items()} for r in tree()])
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    assert "m2.r2" in texts and "refused: no block model here" in texts
    assert len(figure.axes) == 2


def test_each_site_has_its_hierarchy_in_the_inputs_of_the_section():
    inputs = section.inputs(report_chain.PLAN)
    for site in SITES:
        assert f"figures/hierarchy.demo.neurons.{site}.svg" in inputs
    for site in SPARSE_SITES:
        assert f"figures/hierarchy.demo.sae.{site}.svg" in inputs
    assert len(set(inputs)) == len(inputs) == 7 + len(SITES) + len(SPARSE_SITES)


def test_rounding_in_the_tables_keeps_six_digits(table):
    values = [float(row["effect"]) for row in table("effects")]
    assert all(value == float(f"{value:.6g}") for value in values)
    path = report_chain.results() / "demo/neurons/rois/effects.parquet"
    exact = np.array(tables.read_table(path)["effect"].to_pylist())
    shown = [float(r["effect"]) for r in own(table("effects")) if r["model"] == "demo"]
    np.testing.assert_allclose(sorted(shown), sorted(exact), rtol=1e-5)
