"""A model of another architecture from a local directory, through to the page."""

import re

import pytest

import stranger_model
from connectome import arrays, tables


@pytest.mark.slow
@pytest.mark.parametrize("kind", [stranger_model.gpt_neox, stranger_model.gemma2])
def test_another_architecture_is_mapped_to_the_page(tmp_path, kind):
    """Its edges, what it was taught, scores that agree with exact ablation, and its name."""
    results = stranger_model.run(tmp_path, kind=kind)
    record = arrays.read_json(results / "one/model.json")
    assert record["architecture"] == kind.__name__
    edges = tables.read_table(results / "one/neurons/circuits/ten.edges.parquet").to_pylist()
    names = {(row["src"], row["dst"]) for row in edges if row["partition"] == "modules"}
    assert (("a0", "m0") in names) == (kind.__name__ == "gemma2")
    assert {("input", "a0"), ("input", "m0"), ("m0", "logits")} <= names
    exact = tables.read_csv(results / "tables/agreement.csv")
    assert all(float(row["spearman_abs"]) > 0.5 for row in exact)
    [heldout] = [
        row
        for row in tables.read_csv(results / "tables/competence.csv")
        if row["split"] == "heldout"
    ]
    assert heldout["accuracy_clean"] == heldout["accuracy_corrupted"] == "1.0"
    page = (results / "report.html").read_text(encoding="utf-8")
    assert kind.__name__ in page and not re.search(r"\bTraceback\b", page)
