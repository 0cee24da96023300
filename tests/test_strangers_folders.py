"""Folders of any name, on any disk: the workflow works there, or says which character it cannot."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import toy_workflow
from conftest import ROOT
from connectome import configuration, folders
from connectome.errors import ConfigError
from strangers import ODD, PLAIN, disk, read_only, stand_in_environment

PAGE = "the sum is"


def write_config(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**PLAIN, **changes}))
    return str(path)


def test_checkout_working_folder_results_and_configuration_may_have_any_name(tmp_path):
    checkout = toy_workflow.make(tmp_path / ODD / "checkout")
    work, results = tmp_path / f"work {ODD}", tmp_path / f"results {ODD}"
    config = write_config(tmp_path / f"c {ODD}.json", pathvars={"results": str(results)})
    arguments = ["--directory", str(work), "--snakefile", str(checkout / "Snakefile")]
    toy_workflow.run(tmp_path, *arguments, "--configfile", config)
    assert (results / "page.txt").read_text().startswith(PAGE)
    assert not list(checkout.rglob("page.txt"))
    again = toy_workflow.run(tmp_path, *arguments, "--configfile", config, "--dry-run")
    assert "Nothing to be done" in again


def test_make_report_runs_in_a_folder_of_any_name(tmp_path):
    checkout = toy_workflow.make(tmp_path / ODD)
    (checkout / "envs").mkdir()
    for name in ("Makefile", "envs/setup.sh", "requirements.lock", "workflow/unlock.py"):
        shutil.copy(ROOT / name, checkout / name)
    stand_in_environment(checkout, ROOT / "requirements.lock")
    config = Path(write_config(checkout / "my 'own' \"x\".json")).name
    locks = checkout / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/page.txt\n")  # of a run that was killed

    def make(*arguments):
        words = ["make", "report", "SYSTEM_PACKAGES=no", "CORES=1", *arguments]
        return subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False)

    done = make(f"CONFIG={config}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "took away the lock" in done.stdout
    assert (checkout / "results/page.txt").read_text().startswith(PAGE)
    refused = make("CONFIG=no such.json")
    assert refused.returncode
    assert f"CONFIG: no file no such.json in {checkout}" in refused.stderr


def test_every_command_quotes_what_it_is_given():
    """So what the toy shows of three rules holds for all."""
    commands = [
        block
        for path in sorted((ROOT / "rules").glob("*.smk"))
        for block in re.findall(r"^    shell:\n((?: {8}.*\n)+)", path.read_text(), re.M)
    ]
    assert len(commands) > 25
    for command in commands:
        for name in re.findall(r"{([^}]+)}", command):
            assert name.startswith("wildcards.") or name.endswith(":q"), command
        assert set(re.findall(r"(.)\$\w", command)) <= {'"'}, command
        assert set(re.findall(r"(.)\$\(", command)) <= {'"', "="}, command


@pytest.mark.parametrize("character", ["{", "}", "<", ">", "\n"])
def test_a_checkout_of_a_name_that_snakemake_takes_for_syntax_is_refused(tmp_path, character):
    with pytest.raises(ConfigError) as caught:
        folders.check(tmp_path / f"a{character}b", tmp_path)
    assert f"the character {character!r} is not allowed there" in str(caught.value)


def test_the_first_line_says_which_character_is_not_allowed_and_where(tmp_path):
    checkout = toy_workflow.make(tmp_path / "a{model}b")
    output = toy_workflow.run(checkout, ok=False)
    said = [line for line in output.splitlines() if line and "profile" not in line]
    assert said[0].startswith("WorkflowError in file")
    assert said[1].startswith(f"the checkout lies in {str(checkout)!r}: the character '{{'")
    assert "Traceback" not in output and not (checkout / "results").exists()


@pytest.mark.parametrize(
    ("key", "path", "said"),
    [
        ("pathvars.results", "a{b", "the character '{' is not allowed"),
        ("pathvars.results", "a<logs>", "the character '<' is not allowed"),
        ("pathvars.results", "", "starts with neither - nor ~"),
        ("pathvars.results", "~/mine", "starts with neither - nor ~"),
        ("pathvars.results", "-r", "starts with neither - nor ~"),
        ("pathvars.results", "/dev/null/x", "'/dev/null' is a file, not a folder"),
        ("corpus.file", "{x}.txt", "the character '{' is not allowed"),
        ("tasks.t.file", "a\nb.csv", r"the character '\\n' is not allowed"),
        ("models.m.path", "<m>", "the character '<' is not allowed"),
        ("partitions.files.p", "}", "the character '}' is not allowed"),
    ],
)
def test_a_path_that_cannot_be_used_is_named_with_its_key(key, path, said):
    defaults = configuration.read_yaml(ROOT / "config/config.yaml")
    config = {
        "models": {"m": {"train": {}}},
        "tasks": {"t": {"generator": "ioi"}},
        "corpus": {"documents": 1, "tokens": 1},
    }
    place = config
    *above, last = key.split(".")
    for name in above:
        place = place.setdefault(name, {})
    place[last] = path
    with pytest.raises(ConfigError, match=re.escape(f"{key}: {path!r} cannot be used; ")) as caught:
        configuration.check(configuration.complete(config, defaults))
    assert re.search(said, str(caught.value))


@pytest.mark.parametrize("root", ["absolute", "relative"])
def test_results_may_lie_on_another_disk(tmp_path, root):
    checkout = toy_workflow.make(tmp_path / "checkout")
    with disk(tmp_path / "disk", "8m") as other:
        place = other / "r" if root == "absolute" else Path("../disk/r/")
        toy_workflow.run(
            checkout, "--configfile",
            write_config(tmp_path / "c.json", pathvars={"results": str(place)}),
        )  # fmt: skip
        assert (other / "r/page.txt").read_text().startswith(PAGE)
        assert not (checkout / "results").exists()


def test_a_read_only_checkout_works_from_a_folder_of_ones_own(tmp_path):
    checkout = toy_workflow.make(tmp_path / "checkout")
    with read_only(checkout):
        toy_workflow.run(
            tmp_path, "--directory", str(tmp_path / "mine"),
            "--snakefile", str(checkout / "Snakefile"),
            "--configfile", write_config(tmp_path / "c.json"),
        )  # fmt: skip
        assert (tmp_path / "mine/results/page.txt").read_text().startswith(PAGE)


def test_a_run_inside_a_read_only_checkout_is_told_to_go_elsewhere(tmp_path):
    checkout = toy_workflow.make(tmp_path / "checkout")
    with read_only(checkout):
        output = toy_workflow.run(checkout, ok=False)
    assert f"{str(checkout)!r} cannot be written to" in output
    assert "--directory FOLDER" in output and "Traceback" not in output


def test_a_set_up_in_a_read_only_checkout_says_what_it_lacks(tmp_path):
    (tmp_path / "checkout/envs").mkdir(parents=True)
    for name in ("envs/setup.sh", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / "checkout" / name)
    with read_only(tmp_path / "checkout") as checkout:
        done = subprocess.run(
            ["bash", "envs/setup.sh"], cwd=checkout, capture_output=True, text=True, check=False,
            env={"PATH": "/usr/bin:/bin", "SYSTEM_PACKAGES": "no"},
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"{checkout} cannot be written to")
