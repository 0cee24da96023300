"""A wrong configuration is refused before any job, by one message with key, value and remedy."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectome import configuration
from connectome.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
SCHEMA = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")


def refused(changes):
    """Message for the default configuration with {"a.b": value} changed."""
    config = copy.deepcopy(DEFAULTS)
    for key, value in changes.items():
        *path, last = key.split(".")
        place = config
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    with pytest.raises(ConfigError) as caught:
        configuration.validate(config, SCHEMA)
        configuration.check(config)
    return str(caught.value)


def test_the_default_and_the_quick_configuration_are_right():
    for path in (ROOT / "config/config.yaml", ROOT / "tests/config/quick.yaml"):
        config = configuration.complete(configuration.read_yaml(path), DEFAULTS)
        configuration.validate(config, SCHEMA)
        configuration.check(config)


def test_every_section_of_the_default_has_a_schema_and_every_key_is_explained():
    assert set(DEFAULTS) == set(SCHEMA["properties"])
    text = (ROOT / "config/config.yaml").read_text()
    for line in text.splitlines():
        if ":" in line and not line.lstrip().startswith(("#", "{")) and line.strip():
            name = line.split(":")[0].strip()
            in_tasks = name in DEFAULTS["tasks"] or name in ("demo",)
            assert in_tasks or "#" in line, f"no comment: {line}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trainign": {}}, "trainign: unknown key; did you mean 'training'?"),
        ({"training.layer": 3}, "training.layer: unknown key; did you mean 'layers'?"),
        ({"training.steps": 0}, "training.steps: 0 cannot be used; a whole number of at least 1"),
        ({"training.steps": "many"}, 'training.steps: "many" cannot be used'),
        ({"models.demo": {"train": {}, "path": "x"}}, "models.demo: .* exactly one of train, "),
        ({"models": {"a/b": {"train": {}}}}, "a/b.*only letters, digits"),
        ({"models": {}}, "models: {} cannot be used; .* at least one"),
        ({"activations.sites": ["attn.3"]}, "'attn.3' does not exist: model 'demo' has 3 layers"),
        ({"activations.outputs": ["resid.7"]}, "activations.outputs: 'resid.7' does not exist"),
        ({"activations.sites": ["attn"]}, "activations.sites: .* a list of sites such as"),
        ({"tasks.ioi.generator": "oi"}, "'oi' is no generator; did you mean 'ioi'"),
        ({"tasks.mine": {"file": "no/such.csv"}}, "tasks.mine.file: 'no/such.csv' is missing"),
        ({"corpus": {"file": "no.txt", "documents": 1, "tokens": 1}}, "corpus.file: 'no.txt'"),
        ({"attributions.tasks": ["ioi", "xyz"]}, "attributions.tasks: 'xyz' is no task; known: "),
        ({"models.demo.train": {"width": 63}}, "width 63 is not a multiple of 4 heads"),
        ({"training.checkpoints": [99999]}, "step 99999 is not below the"),
        ({"interpreters.graph_tool": "/no/python"}, "interpreters.graph_tool: '/no/python'"),
        ({"models.x": {"path": "/no/model"}}, "models.x: .*no/model"),
        ({"partitions.files": {"mine": "no.csv"}}, "partitions.files.mine: 'no.csv' is missing"),
        ({"seed": 0}, "seed: 0 cannot be used; the seed is a whole number of at least 1"),
        ({"circuits.partitions": ["roys"]}, "circuits.partitions: 'roys' .*did you mean 'rois'"),
        ({"sbm.classical_features": 301}, "sbm.classical_features: 301 .* from 0 to 300"),
        ({"circuits.partitions": ["heads", "classical"]}, "'classical' is not made while sbm"),
        ({"circuits.exact": ["top_features"]}, "'top_features' with .* too many edges to run"),
        ({"circuits.partitions": ["top_features"]}, "chosen by the scores of 'features'"),
        ({"evaluation.random_sizes": [0.07]}, "evaluation.random_sizes: 0.07 .*sizes"),
        ({"specificity.partitions": ["roi"]}, "specificity.partitions: 'roi' .*mean 'rois'"),
        (
            {"circuits.partitions": ["features", "top_features", "heads", "rois_attribution"],
             "specificity.partitions": ["top_features"]},
            "specificity.partitions: 'top_features' are other parts in every task",
        ),
        ({"specificity.method": "exact"}, "specificity.method: 'exact' cannot be used here"),
        ({"circuits.stability_draws": 1}, "stability_draws: 1 cannot be used; .* at least 2"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_remedy(changes, said):
    import re

    assert re.search(said, refused(changes)), refused(changes)


def test_every_control_may_be_scored_and_evaluated():
    config = copy.deepcopy(DEFAULTS)
    config["sbm"]["classical_features"] = 300
    for section in ("circuits", "evaluation"):
        config[section]["partitions"] = list(configuration.PARTITIONS)
    configuration.validate(config, SCHEMA)
    configuration.check(config)


def test_all_faults_come_in_one_message():
    message = refused({"training.steps": 0, "pears": 1})
    assert message.count("\n  - ") == 2


def test_models_and_tasks_are_replaced_not_mixed():
    mine = {"models": {"m": {"train": {}}}, "tasks": {"t": {"generator": "ioi"}}}
    config = configuration.complete(mine, DEFAULTS)
    assert list(config["models"]) == ["m"]
    assert list(config["tasks"]) == ["t"]
    assert config["attributions"]["tasks"] == ["t"]
    assert config["training"] == DEFAULTS["training"]
    assert config["report"]["name"] == "m"


def test_the_workflow_stops_before_any_job(tmp_path):
    """The same through Snakemake itself: one message, nothing written."""
    (tmp_path / "bad.yaml").write_text(json.dumps({"models": {"demo": {"train": {}}}, "sead": 2}))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", str(ROOT / "Snakefile"),
         "--directory", str(tmp_path / "run"), "--configfile", str(tmp_path / "bad.yaml")],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode != 0
    assert "sead: unknown key; did you mean 'seed'?" in done.stderr
    assert not (tmp_path / "run/results").exists()


def test_the_names_that_a_configuration_may_use_are_those_of_the_code():
    """Listed apart, because the modules that own them import torch and pyarrow."""
    from connectome import attribution, part_graphs, partitions

    with pytest.raises(ConfigError) as caught:
        attribution.method("no such method")
    known = str(caught.value).split("; known: ")[1].split(", ")
    assert sorted(configuration.METHODS) == sorted(known)
    made = {*partitions.MADE_HERE, "random", part_graphs.FEATURES, part_graphs.TOP_FEATURES}
    assert set(configuration.PARTITIONS) == made
