"""Change X, and exactly the rules that depend on X run again."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

import toy_workflow

ALL = ["draw_numbers", "add_numbers", "write_page"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A toy checkout whose run is complete."""
    folder = toy_workflow.make(tmp_path_factory.mktemp("toy") / "checkout")
    set_config(folder)
    assert toy_workflow.jobs(toy_workflow.run(folder)) == ALL
    return folder


@pytest.fixture
def checkout(finished, tmp_path):
    """A copy of the finished checkout, metadata and time stamps included."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def set_config(folder, **changes):
    config = yaml.safe_load((folder / "config/config.yaml").read_text())
    config["pairs"] = {"discovery": 5, "heldout": 7, "heldout_share": 0.4}
    for key, value in changes.items():
        section, name = key.split("__")
        config[section][name] = value
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config))


def edit(folder, name, old, new):
    path = folder / "workflow/scripts" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def touch_all(folder):
    for path in folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            path.touch()


CHANGES = {
    "nothing": (lambda f: None, []),
    "a helper of the first script": (
        lambda f: edit(f, "connectome/toy_numbers.py", "7919", "7907"),
        ALL,
    ),
    "a helper's helper": (
        lambda f: edit(f, "connectome/toy_plus.py", "a + b\n", "b + a\n"),
        ["add_numbers", "write_page"],
    ),
    "the last script": (
        lambda f: edit(f, "write_page.py", "the sum is", "sum:"),
        ["write_page"],
    ),
    "a comment": (
        lambda f: edit(f, "connectome/toy_numbers.py", "# any fixed rule", "# some rule"),
        [],
    ),
    "a docstring": (
        lambda f: edit(f, "connectome/toy_plus.py", '"""a + b."""', '"""Sum of two."""'),
        [],
    ),
    "the layout": (
        lambda f: edit(f, "connectome/toy_plus.py", "    return a + b", "\n    return (a + b)"),
        [],
    ),
    "plumbing that all scripts import": (
        lambda f: edit(f, "connectome/command.py", "sort_keys=True", "sort_keys=bool(1)"),
        ALL,
    ),
    "two values swapped": (
        lambda f: set_config(f, pairs__discovery=7, pairs__heldout=5),
        ALL,
    ),
    "a key of the second rule": (
        lambda f: set_config(f, competence__draws=99),
        ["add_numbers", "write_page"],
    ),
    "a key that no rule uses": (lambda f: set_config(f, training__steps=2901), []),
    "the threads of a rule": (
        lambda f: (f / "Snakefile").write_text(
            (f / "Snakefile").read_text().replace("threads: 1", "threads: 2")
        ),
        [],
    ),
    "every file touched": (touch_all, []),
    "a result deleted": (lambda f: (f / "results/page.txt").unlink(), ["write_page"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_exactly_the_dependent_rules_run(checkout, change):
    make_change, expected = CHANGES[change]
    make_change(checkout)
    assert toy_workflow.jobs(toy_workflow.run(checkout, "--dry-run")) == expected


def test_each_file_tells_what_made_it(finished):
    made_by = json.loads((finished / "results/numbers.json").read_text())["made_by"]
    assert json.loads(made_by["cfg"]) == {
        "pairs": {"discovery": 5, "heldout": 7, "heldout_share": 0.4},
        "seed": 1,
    }
    assert {"draw_numbers.py", "connectome/toy_numbers.py"} < json.loads(made_by["code"]).keys()


def test_another_results_root_by_configuration(checkout, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        yaml.safe_dump(
            {
                "models": {"demo": {"train": {}}},
                "pathvars": {"results": str(tmp_path / "elsewhere")},
            }
        )
    )
    toy_workflow.run(checkout, "--configfile", str(mine), "--config", "seed=3")
    record = json.loads((tmp_path / "elsewhere/numbers.json").read_text())
    assert json.loads(record["made_by"]["cfg"])["seed"] == 3
