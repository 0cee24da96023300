"""One layer, one document, ten prompts, tokens that look like markup: through to the page."""

import json
import subprocess

import pytest

import stranger_model
from conftest import ROOT, quick_command
from connectome import configuration


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Results of the smallest run there is."""
    folder = tmp_path_factory.mktemp("small")
    stranger_model.write_model(folder / "model")
    (folder / "text.txt").write_text(stranger_model.document(), encoding="utf-8")
    rows = stranger_model.pairs()
    (folder / "ten.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    quick = configuration.read_yaml(ROOT / "tests/config/quick.yaml")
    config = {
        name: quick[name] for name in ("competence", "circuits", "evaluation", "graph", "sbm")
    }
    config |= {
        "models": {"one": {"path": "model"}},
        "corpus": {"file": "text.txt", "documents": 1, "tokens": 1000},
        "tasks": {"ten": {"file": "ten.jsonl"}},
        "figures": {"dpi": 50, "bins": 16},
    }
    (folder / "small.json").write_text(json.dumps(config))
    command = quick_command(folder, config=str(folder / "small.json"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return folder / "results"


def test_x(small):
    print(small)
