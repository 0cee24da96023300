"""Each model does the tasks whose words it has; what does not fit is named before any job."""

import collections
import json
import re
import subprocess

import pytest
import yaml

from conftest import ROOT, quick_command
from connectome import configuration, model_tasks
from connectome.errors import ConfigError
from toy_workflow import jobs

DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
SCHEMA = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
MIXED = {
    "models": {"demo": {"train": {}}, "copier": {"build": "induction"}},
    "tasks": {
        "ioi": {"generator": "ioi"},
        "facts": {"generator": "facts"},
        "copying": {"generator": "known_induction"},
    },
}


def completed(**changes):
    return configuration.complete(MIXED | changes, DEFAULTS)


def refused(**changes):
    config = completed(**changes)
    with pytest.raises(ConfigError) as caught:
        configuration.validate(config, SCHEMA)
        configuration.check(config)
    return str(caught.value)


def test_a_built_model_does_its_own_task_and_all_others_the_rest():
    config = completed()
    configuration.validate(config, SCHEMA)
    configuration.check(config)
    assert model_tasks.tasks_of(config, "demo") == ["ioi", "facts"]
    assert model_tasks.tasks_of(config, "copier") == ["copying"]
    assert model_tasks.known_tasks_of(config, "copier") == ["copying"]
    assert model_tasks.known_tasks_of(config, "demo") == []
    assert configuration.layers_of(config, "copier") == 2


def test_a_list_of_tasks_is_taken_as_it_stands_and_the_mixture_keeps_to_it():
    models = {**MIXED["models"], "demo": {"train": {}, "tasks": ["facts"]}}
    models["other"] = {"train": {}}
    config = completed(models=models, attributions={"tasks": ["copying", "facts"]})
    configuration.validate(config, SCHEMA)
    configuration.check(config)
    assert model_tasks.tasks_of(config, "demo") == ["facts"]
    assert model_tasks.mixture_of(config, "other") == ["facts"]
    assert model_tasks.mixture_of(config, "copier") == ["copying"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": {"a": {"build": "chess"}}}, "models.a: there is no built model 'chess'; known"),
        ({"models": {"a": {"build": "induction", "train": {}}}}, "models.a: .* exactly one of"),
        (
            {"models": {"demo": {"train": {}, "tasks": ["oi"]}}},
            "models.demo.tasks: 'oi' is no task; did you mean 'ioi'?",
        ),
        (
            {"models": {"demo": {"train": {}, "tasks": ["copying"]}}},
            "models.demo.tasks: 'copying' is in the words of another model .*micro-language",
        ),
        (
            {"models": {"a": {"build": "induction", "tasks": ["ioi"]}}},
            "models.a.tasks: 'ioi' is in the words of another model .*'known_induction'",
        ),
        ({"models": {"demo": {"train": {}}}}, "tasks.copying: no model does it; add a model {bu"),
        ({"models": {"a": {"build": "indirect_object"}}}, "models.a: it has no task; give it one"),
        (
            {"models": {"demo": {"train": {}, "tasks": ["ioi"]}, "a": {"build": "induction"}}},
            "tasks.facts: no model does it; list it in the `tasks` of a model",
        ),
        ({"attributions": {"tasks": ["ioi"]}}, "attributions.tasks: none of them .* 'copier'"),
        ({"tasks": {"a": {"generator": "known_inducton"}}}, "did you mean 'known_induction'"),
    ],
)
def test_tasks_that_do_not_fit_a_model_are_named_with_the_remedy(changes, said):
    assert re.search(said, refused(**changes)), refused(**changes)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Jobs of a dry run with a trained and a built model: [(rule, its wildcards)]."""
    folder = tmp_path_factory.mktemp("mixed")
    config = folder / "mixed.yaml"
    sites = {"sites": ["attn.0", "attn.1"]}
    config.write_text(yaml.safe_dump(MIXED | {"activations": sites}))
    command = [*quick_command(folder, config=str(config)), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = []
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", done.stdout):
        (name, *_) = jobs(block) or [None]
        wildcards = re.search(r"^    wildcards: (.*)$", block, re.M)
        inputs = re.search(r"^    input: (.*)$", block, re.M)
        listed = wildcards[1].split(", ") if wildcards else []
        found.append((name, dict(item.split("=") for item in listed), inputs[1] if inputs else ""))
    return found


def of_rule(planned, rule):
    return sorted(
        (wildcards["model"], wildcards.get("task"))
        for name, wildcards, _ in planned
        if name == rule
    )


def test_a_trained_and_a_built_model_each_get_their_jobs_and_no_others(planned):
    assert of_rule(planned, "train_model") == [("demo", None)]
    assert of_rule(planned, "build_model") == [("copier", None)]
    assert of_rule(planned, "describe_model") == [("copier", None), ("demo", None)]
    pairs = [("copier", "copying"), ("demo", "facts"), ("demo", "ioi")]
    for rule in ("make_task", "measure_competence", "attribute_circuit", "evaluate_circuit"):
        assert of_rule(planned, rule) == pairs
    assert of_rule(planned, "plot_circuit") == of_rule(planned, "plot_faithfulness") == pairs
    assert of_rule(planned, "check_known") == [("copier", "copying")]
    counts = collections.Counter(name for name, _, _ in planned)
    assert counts["compute_covariance"] == 2 * 2 * 2  # models, sites, kinds
    assert counts["tabulate_truth"] == counts["build_report"] == 1


def test_attributions_of_each_model_are_over_its_own_tasks(planned):
    inputs = {w["model"]: listed for name, w, listed in planned if name == "record_attributions"}
    assert "copier/tasks/copying.parquet" in inputs["copier"] and "ioi" not in inputs["copier"]
    assert "demo/tasks/ioi.parquet" in inputs["demo"] and "copying" not in inputs["demo"]


def test_the_page_plans_no_truth_where_no_model_is_built():
    config = configuration.complete({}, DEFAULTS)
    assert all(model_tasks.known_tasks_of(config, model) == [] for model in config["models"])
    assert json.dumps(model_tasks.tasks_of(config, "demo")) == json.dumps(list(config["tasks"]))
