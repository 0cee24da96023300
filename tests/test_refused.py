"""A task without prompts goes through every step: empty tables of the same columns, one reason."""

import json
import subprocess
import sys

import pytest

import built_tokenizers
from conftest import SCRIPTS
from connectome import arrays, circuits, evaluation, part_graphs, prompts, stability, tables
from connectome.plots import circuit, faithfulness
from connectome.tabulate import competence as tabulated
from tiny_models import part_graphs as graphs_of
from tiny_models import prompt_lists, tiny

SETTINGS = {
    "ablation": "counterfactual", "methods": ["eap"], "steps": 2, "batch_pairs": 4, "slots": [],
    "partitions": ["heads"], "exact": [], "exact_pairs": 2, "stability_draws": 3,
    "stability_sizes": [0.2],
}  # fmt: skip


def test_no_prompts_are_scored_to_empty_tables_with_the_columns_of_full_ones():
    _, model = tiny("gpt2")
    graphs = {"heads": graphs_of(model)["heads"]}
    tables_of = {}
    for name, count in (("full", 3), ("none", 0)):
        pairs = prompts.of_lists(*(column[:count] for column in prompt_lists(3)))
        assert len(pairs) == count
        known, found, _ = circuits.score(model, pairs, graphs, SETTINGS, "logit_difference")
        tables_of[name] = (
            part_graphs.node_table(found, known, "counterfactual"),
            part_graphs.edge_table(found, known, "counterfactual"),
            stability.table(found, known, pairs.groups, SETTINGS, 1),
        )
    for full, none in zip(tables_of["full"], tables_of["none"], strict=True):
        assert len(full) > 0 and len(none) == 0
        assert none.schema == full.schema
    rows, summaries = evaluation.tables([])
    assert rows.schema == evaluation.SCHEMA and len(rows) == len(summaries) == 0


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Task and competence of a model whose tokenizer has no words: {task: record}."""
    folder = tmp_path_factory.mktemp("refused")
    built_tokenizers.save(built_tokenizers.gpt2(260), None, folder / "model")
    source, model = tiny("llama")
    for path in source.iterdir():
        (folder / "model" / path.name).write_bytes(path.read_bytes())
    record = {"directory": "model", "context": 24, "layers": 2}
    arrays.write_json(folder / "model.json", record, {})
    steps = {
        "make_task": ({"name": "later_year", "task": {"generator": "starter_later_year"},
                       "pairs": {"discovery": 20, "heldout": 20, "heldout_share": 0.4}, "seed": 1},
                      ["--output", "later_year.parquet"]),
        "measure_competence": ({"metric": "probability_difference", "seed": 1,
                                "model_dtype": "float32", "competence": {"draws": 10}},
                               ["--prompts", "later_year.parquet", "--output", "record.json"]),
    }  # fmt: skip
    for script, (cfg, names) in steps.items():
        words = [sys.executable, str(SCRIPTS / f"{script}.py"), "--model", "model.json", *names]
        done = subprocess.run(
            [*words, "--cfg", json.dumps(cfg), "--code", "{}"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return folder


def test_a_refused_task_is_written_with_its_reason_and_its_counts(refused):
    about = tables.read_meta(refused / "later_year.parquet")
    assert len(tables.read_table(refused / "later_year.parquet")) == 0
    assert about["status"] == "refused"
    assert about["words"]["years"]["listed"] == 800
    record = arrays.read_json(refused / "record.json")
    assert record["competent"] is False and record["reason"] == about["reason"]
    assert record["splits"]["heldout"]["pairs"] == 0


def test_the_tables_and_drawings_say_why(refused):
    record = arrays.read_json(refused / "record.json")
    rows = tabulated.rows([({"model": "m", "task": "later_year"}, record)])
    assert [row["split"] for row in rows] == ["discovery", "heldout"]
    assert rows[1]["gap"] is None and rows[1]["accuracy_clean_lo"] is None
    assert rows[1]["words"].startswith("years 0 of 800 (dropped: 800 ")
    texts = [text.get_text() for axes in faithfulness.draw([]).axes for text in axes.texts]
    assert any("the task is refused" in text for text in texts)
    drawn = circuit.select([], [], {"cannot": record["reason"]})
    written = [{k: "" if v is None else str(v) for k, v in row.items()} for row in drawn]
    texts = [text.get_text() for axes in circuit.draw(written).axes for text in axes.texts]
    assert any("no edge is left" in text for text in texts)
