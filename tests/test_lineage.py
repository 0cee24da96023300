"""Checkpoints of a training as models: refused in words where wrong, one training for all."""

import json
import re
import subprocess

import pytest
import yaml

import built_chain
from conftest import ROOT, quick_command
from connectome import configuration, lineage, model_tasks, models
from connectome.errors import ConfigError
from toy_workflow import jobs

DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
SCHEMA = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
EXAMPLE = ROOT / "config/examples/training.yaml"


def completed(models, **changes):
    config = configuration.complete({"models": models} | changes, DEFAULTS)
    configuration.validate(config, SCHEMA)
    configuration.check(config)
    return config


def early(of="demo", step=500, **more):
    return {"checkpoint": {"of": of, "step": step}, **more}


def test_a_checkpoint_has_the_layers_and_the_tasks_of_its_model():
    models = {"a": early(), "demo": {"train": {"layers": 2}, "tasks": ["ioi", "facts"]}}
    tasks = {"ioi": {"generator": "ioi"}, "facts": {"generator": "facts"}}
    config = completed(models | {"b": early(step=1000, tasks=["facts"])}, tasks=tasks)
    assert configuration.layers_of(config, "a") == 2
    assert model_tasks.tasks_of(config, "a") == ["ioi", "facts"]
    assert model_tasks.tasks_of(config, "b") == ["facts"]
    assert [lineage.step_of(config, name) for name in ("a", "b", "demo")] == [500, 1000, 2200]
    assert lineage.taken_models(config) == ["a", "b"]


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (
            {"demo": {"train": {}}, "a": early(of="dmo")},
            "models.a.checkpoint.of: 'dmo' is no model trained here; did you mean 'demo'",
        ),
        (
            {"demo": {"train": {}}, "b": early(), "a": early(of="b")},
            "models.a.checkpoint.of: 'b' is no model trained here; known: demo",
        ),
        ({"a": early(of="a")}, "'a' is no model trained here; this configuration trains none"),
        (
            {"demo": {"train": {}}, "a": early(step=501)},
            "models.a.checkpoint.step: no weights of 'demo' are kept at step 501; "
            "training.checkpoints keeps 500, 1000, 1500; add the step there",
        ),
        (
            {"demo": {"train": {}}, "a": early(step=2200)},
            "at step 2200; those are the final weights: name 'demo' itself",
        ),
        ({"demo": {"train": {}}, "a": {"checkpoint": {"of": "demo"}}}, "models.a.checkpoint: "),
        ({"demo": {"train": {}}, "a": early(train={})}, "models.a: .* exactly one of train, "),
        ({"demo": {"train": {}}, "a": early(step=0)}, "models.a.checkpoint.step: 0 cannot be used"),
    ],
)
def test_a_checkpoint_that_does_not_exist_is_named_with_the_remedy(models, said):
    with pytest.raises(ConfigError, match=said):
        completed(models)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"sizes": [1.0]}, "comparison.sizes.0: 1.0 cannot be used"),
        ({"partitions": ["kmeans"]}, "it is rois or rois_attribution"),
        ({"tokens": 5}, "comparison.tokens: 5 cannot be used; a whole number of at least 20"),
        ({"draw": 5}, "comparison.draw: unknown key; did you mean 'draws'"),
    ],
)
def test_a_wrong_value_of_the_comparison_is_named(section, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        completed({"demo": {"train": {}}}, comparison=section)


def test_a_checkpoint_is_described_like_any_other_model(tmp_path):
    whole = built_chain.build(tmp_path, "copier")
    files = sorted((tmp_path / "copier/model").iterdir())
    built_chain.call(
        "take_checkpoint", {"of": "copier", "step": 5}, files=files, model_dir=tmp_path / "s5/model"
    )
    built_chain.call(
        "describe_model",
        {"name": "s5", "source": {"checkpoint": {"of": "copier", "step": 5}}},
        files=[tmp_path / "s5/model/config.json"],
        output=tmp_path / "s5/model.json",
    )
    record, other = (json.loads(path.read_text()) for path in (tmp_path / "s5/model.json", whole))
    assert record["source"] == "checkpoint" and record["directory"] == "model"
    same = record.keys() - {"name", "source", "made_by"}
    assert {key: record[key] for key in same} == {key: other[key] for key in same}
    assert models.open_handle(tmp_path / "s5/model.json").layers == 2


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Text of a dry run of the example, by rule: [(rule, text)]."""
    folder = tmp_path_factory.mktemp("training")
    command = [*quick_command(folder, config=str(EXAMPLE)), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    blocks = re.split(r"\n(?=(?:local)?rule \w+:)", done.stdout)
    return [((jobs(block) or [""])[0], block) for block in blocks]


def test_the_example_trains_once_and_compares_each_two_of_four_models(planned):
    rules = [rule for rule, _ in planned]
    assert rules.count("train_model") == 1 and rules.count("take_checkpoint") == 3
    assert rules.count("describe_model") == 4 and rules.count("match_rois") == 6
    assert rules.count("tabulate_comparison") == rules.count("plot_comparison") == 1
    text = next(block for rule, block in planned if rule == "take_checkpoint")
    assert "demo/checkpoints/" in text and "demo/model/tokenizer.json" in text


def test_one_model_alone_is_compared_with_nothing(tmp_path):
    done = subprocess.run(
        [*quick_command(tmp_path), "--dry-run"], capture_output=True, text=True, check=True
    )
    assert "rule match_rois" not in done.stdout
    assert "tables/comparison.csv" not in done.stdout


def test_models_without_a_common_task_are_not_compared():
    models = {"demo": {"train": {}}, "copier": {"build": "induction"}}
    tasks = {"ioi": {"generator": "ioi"}, "copying": {"generator": "known_induction"}}
    config = completed(models, tasks=tasks, attributions={"tasks": ["ioi", "copying"]})
    assert lineage.series(config, {m: model_tasks.tasks_of(config, m) for m in models}) == []
    assert yaml.safe_load(EXAMPLE.read_text())["models"]["step500"] == early()
