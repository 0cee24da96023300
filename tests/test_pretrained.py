"""A model and a text that nobody here made go through the whole workflow, with prompt files.

The model is a Llama of 260k weights trained on children's stories; it is not part of this
repository. Set LM_CONNECTOME_SHARED to the folder whose `data` holds it.
"""

import os
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT, quick_command
from connectome import arrays, tables
from toy_workflow import jobs

pytestmark = pytest.mark.slow

STORIES = ROOT / "tests/stories"
TASKS = {"pronoun": "jsonl", "possessive": "csv", "name": "jsonl"}


@pytest.fixture(scope="session")
def stories_results(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories")
    shutil.copytree(shared_data / "stories260k", folder / "model")
    (folder / "model/README.md").write_text("about the model\n")
    with open(folder / "mine.csv", "w") as file:
        file.write("site,feature,part\n")
        for site, features in (("attn.1", 64), ("mlp.1", 172), ("attn.3", 64), ("mlp.3", 172)):
            file.writelines(f"{site},{i},{i % 3}\n" for i in range(features))
    quick = yaml.safe_load((ROOT / "tests/config/quick.yaml").read_text())
    config = {
        name: quick[name] for name in ("circuits", "evaluation", "graph", "sbm", "partitions")
    }
    config |= {
        "models": {"stories": {"path": "model"}},
        "corpus": {
            "file": str(shared_data / "tinystories.txt"), "documents": 400, "tokens": 12000,
        },
        "tasks": {
            name: {"file": str(STORIES / f"{name}.{kind}")} for name, kind in TASKS.items()
        },
        "activations": {"sites": ["attn.1", "mlp.1", "attn.3", "mlp.3"], "shards": 2},
        "pairs": {"discovery": 40, "heldout": 40},
    }  # fmt: skip
    config["partitions"] = {**quick["partitions"], "files": {"mine": "mine.csv"}}
    names = ["modules", "heads", "rois", "rois_attribution", "kmeans", "leiden", "random", "mine"]
    for section in ("circuits", "evaluation"):
        config[section] = {**quick[section], "partitions": names}
    config["circuits"]["exact"] = ["heads", "modules"]
    (folder / "stories.yaml").write_text(yaml.safe_dump(config))
    command = quick_command(folder, config=str(folder / "stories.yaml"))
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return folder / "results"


@pytest.mark.parametrize("task", TASKS)
def test_the_model_can_do_the_tasks_written_for_it(stories_results, task):
    record = arrays.read_json(stories_results / f"stories/tasks/{task}.competence.json")
    assert record["competent"], record["reason"]
    assert record["splits"]["heldout"]["accuracy_clean"]["value"] >= 0.8


@pytest.mark.parametrize("task", TASKS)
def test_circuits_of_every_partition_end_at_the_intact_model(stories_results, task):
    rows = tables.read_table(stories_results / f"stories/neurons/evaluation/{task}.parquet")
    whole = [
        row
        for row in rows.to_pylist()
        if row["mode"] == "circuit" and row["intervention"] == "edge" and row["k"] == 1.0
    ]
    assert {row["partition"] for row in whole} >= {
        "heads",
        "modules",
        "rois",
        "kmeans",
        "leiden",
        "random",
        "mine",
    }
    for row in whole:
        assert row["f_ratio"] == pytest.approx(1.0, abs=1e-3)


def test_two_shards_hold_the_whole_corpus_once(stories_results):
    parts = sorted((stories_results / "stories/activations.parquet").iterdir())
    assert [path.name for path in parts] == ["part-0-of-2.parquet", "part-1-of-2.parquet"]
    documents = [
        set(tables.read_table(path, ["document"])["document"].to_pylist()) for path in parts
    ]
    assert not documents[0] & documents[1]
    corpus = tables.read_table(stories_results / "stories/corpus.parquet")
    assert documents[0] | documents[1] == set(corpus["document"].to_pylist())


def test_the_report_shows_the_model(stories_results):
    page = (stories_results / "report.html").read_text(encoding="utf-8")
    assert "stories" in page and "possessive" in page


def dry_run(folder):
    command = [*quick_command(folder, config=str(folder / "stories.yaml")), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return jobs(done.stdout)


def test_new_weights_of_the_same_size_make_everything_stale_and_a_readme_nothing(stories_results):
    folder = stories_results.parent
    weights = folder / "model/model.safetensors"
    before = weights.read_bytes()
    (folder / "model/README.md").write_text("something else\n")
    weights.touch()
    assert dry_run(folder) == []
    try:
        weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        assert {"describe_model", "make_corpus", "make_task", "record_activations"} <= set(
            dry_run(folder)
        )
    finally:
        weights.write_bytes(before)
    assert dry_run(folder) == []
