"""One layer, one document, ten prompts, tokens that look like markup: through to the page."""

import csv
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from connectome import arrays, tables
from connectome.plots.literal import visible
from stranger_model import HOSTILE


class Text(HTMLParser):
    """Text of a page as a reader sees it, and the names of its elements and attributes."""

    def __init__(self, markup):
        super().__init__(convert_charrefs=True)
        self.text, self.names, self.silent = "", set(), 0
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.names |= {tag, *(name for name, _ in attrs)}
        self.silent += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style")

    def handle_data(self, data):
        self.text += "" if self.silent else data


@pytest.fixture(scope="module")
def page(small):
    return Text((small / "report.html").read_text(encoding="utf-8"))


def test_ten_prompts_one_document_and_one_layer_are_said_on_the_page(small, page):
    words = re.sub(r"\s+", " ", page.text)
    assert "10 distinct prompts" in words
    assert re.search(r"\b1 layer of 2 heads", words)
    assert len(tables.read_table(small / "one/corpus.parquet")) == 1
    assert arrays.read_json(small / "one/model.json")["layers"] == 1
    assert not re.search(r"\b(nan|NaN|inf|None|Traceback)\b", words)


def test_ten_prompts_have_wide_intervals(small):
    [heldout] = [
        row for row in tables.read_csv(small / "tables/competence.csv") if row["split"] == "heldout"
    ]
    assert heldout["distinct"] == "10" and heldout["accuracy_clean"] == "1.0"
    z2 = 1.959963984540054**2
    assert float(heldout["accuracy_clean_lo"]) == pytest.approx(10 / (10 + z2))  # Wilson, 10 of 10
    assert float(heldout["gap_lo"]) < float(heldout["gap"]) < float(heldout["gap_hi"])


def test_what_so_few_data_do_not_give_is_refused_with_a_reason(small, page):
    sites = tables.read_csv(small / "tables/sites.csv")
    assert sites
    for row in sites:
        assert row["status"] in ("ok", "refused")
        assert (row["status"] == "refused") == bool(row["reason"])
        if row["reason"]:
            assert row["reason"] in page.text


def test_no_table_or_figure_holds_a_number_that_is_none(small):
    paths = [*small.glob("tables/*.csv"), *small.glob("figures/*.csv")]
    assert len(paths) > 15
    for path in paths:
        for row in tables.read_csv(path):
            for column, field in row.items():
                try:
                    number = float(field)
                except ValueError:
                    continue
                assert math.isfinite(number), (path.name, column)


def test_hostile_tokens_are_the_same_text_in_every_table_of_prompts(small):
    prompts = tables.read_table(small / "one/tasks/ten.parquet").to_pylist()
    assert {json.loads(row["answer_text"])[0].strip(" ") for row in prompts} == set(HOSTILE)
    with open(small / "tables/prompts.csv", encoding="utf-8", newline="") as file:
        shown = list(csv.DictReader(file))  # as another program reads it
    by_pair = {str(row["pair"]): row for row in prompts}
    assert shown
    for row in shown:
        made = by_pair[row["pair"]]
        assert json.loads(row["clean"]) == made["clean"]
        assert json.loads(row["answers"]) == json.loads(made["answer_text"])


def test_hostile_tokens_are_text_on_the_page_and_nothing_else(small, page):
    shown = tables.read_csv(small / "tables/prompts.csv")
    for row in shown:
        assert visible(json.loads(row["clean"])) in page.text
    assert page.names.isdisjoint({"onerror", "img/src"}) and "{{model}}" in page.text
    raw = (small / "report.html").read_text(encoding="utf-8")
    assert raw.count("</script>") == raw.count("<script") and raw.count("<script>") == 1
    assert "alert(1)</script>" not in raw and "\u2028" not in raw and "\u202e" not in raw


def test_figures_of_hostile_tokens_are_drawings_and_hold_the_tokens_as_text(small):
    drawings = sorted(small.glob("figures/*.svg"))
    assert len(drawings) > 5
    for path in drawings:
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        names = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert names.isdisjoint({"script", "img", "foreignObject"}), path.name
        assert "\u2028" not in text and "\u202e" not in text, path.name
    [circuit] = small.glob("figures/circuit.one.neurons.ten.heads.svg")
    written = "".join(ElementTree.fromstring(circuit.read_text(encoding="utf-8")).itertext())
    first = json.loads(tables.read_csv(small / "tables/prompts.csv")[0]["clean"])
    assert visible(first) in re.sub(r"\s*\n\s*", " ", written)


def test_one_prompt_is_no_interval_and_no_stability():
    import numpy as np

    from connectome import competence, faithfulness, stability, statistics

    one = np.zeros(3, dtype=int)  # three pairs that share their clean prompt
    weights = statistics.bootstrap_weights(one, 50, seed=1)
    assert statistics.mean_interval(np.array([1.0, 2.0, 6.0]), weights) == {
        "value": 3.0, "lo": None, "hi": None,
    }  # fmt: skip
    reference = faithfulness.Reference(np.array([2.0, 3.0, 4.0]), np.zeros(3))
    found = faithfulness.measure(np.array([1.0, 1.5, 2.0]), reference, weights)
    assert (found["f_ratio"], found["f_lo"], found["f_hi"]) == (0.5, None, None)
    able = {"value": 1.0, "lo": 0.6, "hi": 1.0}
    record = {f"accuracy_{side}": able for side in ("clean", "corrupted")}
    record |= {f"chance_{side}": 0.1 for side in ("clean", "corrupted")}
    record["gap"] = {"value": 3.0, "lo": None, "hi": None}
    assert "no interval" in competence.verdict(record)
    assert stability._UNDEFINED == {"jaccard": None, "lo": None, "hi": None}
