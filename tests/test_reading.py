"""Reading finished results in Python: tables, circuits, masks, runs of one's own prompts."""

import json
import math

import numpy as np
import pytest

import connectome
from conftest import ROOT
from connectome import tables
from connectome.errors import DataError


@pytest.fixture(scope="module")
def model(quick_results):
    return connectome.open(quick_results).model("demo")


@pytest.fixture(scope="module")
def circuit(model):
    return model.circuit("sva_rc", partition="rois_attribution")


def test_a_frame_has_every_cell_of_its_table(quick_results):
    results = connectome.open(quick_results)
    for name in results.tables:
        frame, rows = results.table(name), tables.read_csv(quick_results / f"tables/{name}.csv")
        assert len(frame) == len(rows)
        for column in frame:
            for value, row in zip(frame[column], rows, strict=True):
                text = row[column]
                if isinstance(value, (bool, np.bool_)):
                    assert str(value).lower() == text
                elif isinstance(value, str):
                    assert value == text
                else:
                    assert float(text) == value if text else math.isnan(value)


def test_words_that_look_like_missing_values_stay_words(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/model.json").write_text("{}")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/words.csv").write_text("word,score\nNA,1\nnull,\nNone,2\n")
    frame = connectome.open(tmp_path).table("words")
    assert frame["word"].tolist() == ["NA", "null", "None"]
    assert frame["score"].isna().tolist() == [False, True, False]


def test_a_mask_has_the_size_that_was_evaluated(circuit):
    curve = circuit.curves.query("intervention == 'edge' and mode == 'circuit'")
    for row in curve.itertuples():
        assert circuit.mask(edges=row.requested).sum() == row.edges


def test_masks_and_scores_have_the_same_axes(circuit):
    mask = circuit.mask(edges=5)
    by_name = {
        f"{row.src}->{row.dst}{f'<{row.slot}>' if row.slot else ''}": row.score
        for row in circuit.edges.itertuples()
    }
    assert len(by_name) == circuit.graph.edge_count
    named = circuit.names(mask)
    assert [by_name[name] for name in named] == circuit.scores[mask].tolist()


def test_the_full_mask_is_the_model_and_the_empty_one_the_corrupted_prompt(model, circuit):
    pair = model.prompts("sva_rc").iloc[0]
    everything = circuit.run(circuit.graph.exists, pair["clean"], pair["corrupted"])
    np.testing.assert_allclose(everything["logit_circuit"], everything["logit_model"], rtol=1e-5)
    nothing = circuit.run(0 * circuit.graph.exists, pair["clean"], pair["corrupted"], top=3)
    swapped = circuit.run(circuit.graph.exists, pair["corrupted"], top=3)
    found = dict(zip(nothing["token"], nothing["logit_circuit"], strict=True))
    expected = dict(zip(swapped["token"], swapped["logit_model"], strict=True))
    shared = found.keys() & expected.keys()
    assert len(shared) >= 3
    for token in shared:
        assert found[token] == pytest.approx(expected[token], rel=1e-4)


@pytest.mark.parametrize("dictionary", ["neurons", "sae"])
def test_a_run_repeats_what_the_evaluation_found(quick_results, dictionary):
    """The metric of the circuit on the held-out pairs, from the logits of one run each."""
    model = connectome.open(quick_results).model("demo", dictionary)
    circuit = model.circuit("sva_rc", partition="rois_attribution")
    pairs = model.prompts("sva_rc").query("split == 'heldout'")
    curve = circuit.curves.query("intervention == 'edge' and mode == 'circuit'")
    row = curve[curve["error"].isin(["", "in-graph"])].iloc[1]
    mask, found = circuit.mask(edges=int(row["requested"])), []
    for pair in pairs.itertuples():
        ran = circuit.run(mask, pair.clean, pair.corrupted, top=model.handle.record["vocabulary"])
        logits = dict(zip(ran["token"], ran["logit_circuit"], strict=True))
        right = np.mean([logits[word] for word in json.loads(pair.answer_text)])
        wrong = np.mean([logits[word] for word in json.loads(pair.wrong_text)])
        found.append(right - wrong)
    assert np.mean(found) == pytest.approx(row["m_circuit"], rel=1e-4)


def test_what_is_not_there_is_refused_beside_what_is(quick_results, model, tmp_path):
    results = connectome.open(quick_results)
    with pytest.raises(DataError, match="model 'dmo' .* did you mean 'demo'"):
        results.model("dmo")
    with pytest.raises(DataError, match="table 'facts' is not"):
        results.table("facts")
    with pytest.raises(DataError, match="dictionary of model 'demo' 'neuron' .*'neurons'"):
        results.model("demo", "neuron")
    with pytest.raises(DataError, match="task 'sva_cr' .*'sva_rc'"):
        model.circuit("sva_cr")
    with pytest.raises(DataError, match="partition 'head' .*'heads'"):
        model.circuit("sva_rc", "head")
    with pytest.raises(DataError, match="method 'eapp' .*'eap'"):
        model.circuit("sva_rc", "heads", "eapp")
    with pytest.raises(DataError, match="no results here"):
        connectome.open(tmp_path)
    with pytest.raises(DataError, match="by `edges` or by `share`"):
        model.circuit("sva_rc").mask()


def test_the_notebook_runs_from_top_to_bottom(quick_results, monkeypatch):
    notebook = json.loads((ROOT / "docs/reading.ipynb").read_text())
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RESULTS", str(quick_results))
    names: dict = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec("".join(cell["source"]), names)
    assert names["mask"].any()
