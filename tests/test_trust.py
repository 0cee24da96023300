"""Trust over time: why a job is stale, what made each result, what it cost, what a model is."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import tiny_models
import toy_workflow
from conftest import ROOT, quick_command
from connectome import stamps
from test_staleness import edit, set_config


def ask(question, folder, *arguments, checkout=None, code=0):
    """Text that `workflow/{question}.py` prints in `folder`."""
    script = (checkout or folder) / f"workflow/{question}.py"
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def everything(folder):
    """{path: (content, time)} of all files but Snakemake's own cache of what it looked at."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "iocache" not in path.parts
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = toy_workflow.make(tmp_path_factory.mktemp("trust") / "checkout")
    set_config(folder)
    toy_workflow.run(folder)
    return folder


@pytest.fixture
def checkout(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "copy"))


WHY = {
    "a key": (
        lambda f: set_config(f, competence__draws=99),
        "add_numbers: draws was 2000, is 99",
    ),
    "a key that two rules use": (
        lambda f: set_config(f, pairs__discovery=6),
        "draw_numbers: pairs.discovery was 5, is 6",
    ),
    "two values swapped": (
        lambda f: set_config(f, pairs__discovery=7, pairs__heldout=5),
        "draw_numbers: pairs.discovery was 5, is 7; pairs.heldout was 7, is 5",
    ),
    "a helper's helper": (
        lambda f: edit(f, "connectome/toy_plus.py", "a + b\n", "b + a\n"),
        "add_numbers: connectome/toy_plus.py changed",
    ),
    "a script": (
        lambda f: edit(f, "write_page.py", "the sum is", "sum:"),
        "write_page: write_page.py changed",
    ),
    "an import that is new": (
        lambda f: edit(f, "write_page.py", "import arrays", "import agreement, arrays"),
        "connectome/agreement.py is new",
    ),
    "a result edited": (
        lambda f: (f / "results/sum.json").write_text('{"sum": 1}\n'),
        "write_page: input changed: results/sum.json",
    ),
    "a result deleted": (
        lambda f: (f / "results/page.txt").unlink(),
        "write_page: not made yet",
    ),
}


@pytest.mark.parametrize("change", WHY)
def test_why_names_the_key_the_module_or_the_file(checkout, change):
    make_change, sentence = WHY[change]
    make_change(checkout)
    assert sentence in ask("why", checkout)


def test_why_tells_causes_from_what_follows(checkout):
    set_config(checkout, competence__draws=99)
    assert ask("why", checkout).splitlines() == [
        "2 of 3 jobs would run:",
        "  add_numbers: draws was 2000, is 99",
        "  and what is made from these: write_page",
    ]


def test_why_says_when_nothing_is_stale(finished):
    assert ask("why", finished) == "Nothing is stale.\n"


def test_a_wrong_configuration_is_refused_in_words(checkout):
    set_config(checkout, competence__draws="many")
    assert 'competence.draws: "many" cannot be used' in ask("why", checkout, code=1)


def test_verify_needs_no_records_of_snakemake(checkout):
    shutil.rmtree(checkout / ".snakemake")
    assert "2 files carry today's configuration and code" in ask("verify", checkout)
    set_config(checkout, competence__draws=99)
    edit(checkout, "connectome/toy_numbers.py", "7919", "7907")
    found = ask("verify", checkout, code=1)
    assert "results/sum.json: draws was 2000, is 99" in found
    assert "results/numbers.json: connectome/toy_numbers.py changed" in found


def test_verify_names_missing_and_damaged_files(checkout):
    (checkout / "results/page.txt").unlink()
    (checkout / "results/numbers.json").write_text('{"numb')
    found = ask("verify", checkout, code=1)
    assert "results/page.txt: missing" in found
    assert "results/numbers.json: not a readable JSON file" in found


def test_questions_and_dry_runs_write_nothing(checkout):
    before = everything(checkout)
    for question in ("why", "verify", "cost"):
        ask(question, checkout)
    toy_workflow.run(checkout, "--dry-run")
    assert everything(checkout) == before


def test_every_result_of_a_whole_run_carries_what_made_it(quick_results):
    text = ask("verify", quick_results.parent, *quick_arguments(), checkout=ROOT)
    stamped = [
        path
        for path in quick_results.rglob("*")
        if path.suffix in (".parquet", ".npz", ".json") and path.is_file()
        if "log" not in path.parts and not {"model", "checkpoints"} & set(path.parts)
    ]
    assert f"{len(stamped)} files carry today's configuration and code" in text
    assert "libraries changed" not in text
    assert all(set(stamps.stamp_of(path)) == {"cfg", "code"} for path in stamped)


def quick_arguments():
    return ["--configfile", str(ROOT / "tests/config/quick.yaml")]


def test_verify_reports_an_upgraded_library(quick_results, tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(quick_results, copy)
    record = json.loads((copy / "provenance.json").read_text())
    record["packages"]["torch"] = "1.0"
    (copy / "provenance.json").write_text(json.dumps(record))
    text = ask("verify", tmp_path, *quick_arguments(), checkout=ROOT)
    assert "libraries changed since provenance.json: torch was 1.0, is " in text


def test_cost_adds_up_the_benchmark_files(quick_results):
    lines = ask("cost", quick_results.parent, *quick_arguments(), checkout=ROOT).splitlines()
    found = {line.split()[0]: line.split()[1:] for line in lines}
    seconds = 0.0
    files = sorted((quick_results / "benchmark").rglob("*.tsv"))
    for path in files:
        with open(path, newline="") as file:
            seconds += float(next(csv.DictReader(file, delimiter="\t"))["s"])
    assert int(found["all"][0]) == len(files)
    assert float(found["all"][1]) == pytest.approx(seconds, abs=0.1)
    assert found["attribute_circuit"][0] == "3"  # two tasks on neurons, one on the dictionary


@pytest.fixture
def described(tmp_path):
    """A folder in which a model of one's own was described, and its configuration."""
    tiny_models.gpt2(tmp_path / "mine")
    (tmp_path / "mine/README.md").write_text("about it\n")
    config = {"models": {"mine": {"path": "mine"}}, "tasks": {"ioi": {"generator": "ioi"}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_a_model_changed_in_place_is_seen_and_its_readme_is_not(described):
    import tokenizers

    words = {"<s>": 0, **{f"w{i}": i for i in range(1, tiny_models.VOCABULARY)}}
    model = tokenizers.models.WordLevel(words, unk_token="<s>")
    tokenizers.Tokenizer(model).save(str(described / "mine/tokenizer.json"))
    command = quick_command(described, config=str(described / "mine.yaml"))
    command = [*command, "--allowed-rules", "describe_model", "--", "results/mine/model.json"]
    subprocess.run(command, check=True, capture_output=True)

    def stale():
        done = subprocess.run(
            [*command[: command.index("--")], "--dry-run", "--", "results/mine/model.json"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return toy_workflow.jobs(done.stdout)

    assert stale() == []
    (described / "mine/README.md").write_text("more about it\n")
    assert stale() == []
    weights = described / "mine/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-8:] = bytes(8)  # the last weight becomes 0; the size stays
    weights.write_bytes(content)
    assert stale() == ["describe_model"]
