"""A model and a checkpoint of its training through the rules, to the tables of their comparison."""

import subprocess

import pytest
import yaml

from conftest import ROOT, quick_command
from connectome import arrays, tables

pytestmark = pytest.mark.slow

TARGETS = ["results/tables/comparison.csv", "results/figures/comparison.neurons.svg"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The quick configuration with one checkpoint beside its model, at two sites."""
    folder = tmp_path_factory.mktemp("compared")
    config = yaml.safe_load((ROOT / "tests/config/quick.yaml").read_text())
    config["models"]["early"] = {"checkpoint": {"of": "demo", "step": 300}}
    config["activations"] = {"sites": ["mlp.0", "attn.1"]}
    for section in ("circuits", "evaluation"):
        config[section]["partitions"] = ["modules", "heads", "rois"]
    config["circuits"]["exact"] = []
    config["partitions"]["controls_match"] = "rois"
    config["specificity"]["partitions"] = ["heads"]
    config["report"] = {"circuits": ["heads"]}
    config["comparison"] = {"tokens": 2000, "draws": 20}
    (folder / "compared.yaml").write_text(yaml.safe_dump(config))
    return folder


def run(folder, *options):
    command = [*quick_command(folder, str(folder / "compared.yaml")), *options, "--", *TARGETS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_a_checkpoint_is_compared_with_the_model_it_became(folder):
    run(folder)
    record = arrays.read_json(folder / "results/early/model.json")
    assert record["source"] == "checkpoint"
    weights = [
        folder / "results/demo/checkpoints/300/model.safetensors",
        folder / "results/early/model/model.safetensors",
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    rows = tables.read_csv(folder / "results/tables/comparison.csv")
    assert {(row["left"], row["right"], row["same_run"]) for row in rows} == {
        ("early", "demo", "true")
    }
    assert {row["measure"] for row in rows} == {"features", "profiles", "circuits"}
    growth = tables.read_csv(folder / "results/tables/growth.csv")
    steps = {row["model"]: row["step"] for row in growth}
    assert steps == {"early": "300", "demo": "700"}
    matching = tables.read_csv(folder / "results/tables/matching.csv")
    assert all("same tokens" not in row["reason"] for row in matching)
    assert "Nothing to be done" in run(folder, "--dry-run")
