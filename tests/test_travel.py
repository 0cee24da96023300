"""Results that travel: configurations side by side, folders that move, the workflow as a module."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import tokenizers
import yaml

import tiny_models
import toy_workflow
from conftest import ROOT, quick_command
from connectome import folders, models
from connectome.errors import ConfigError, ModelError
from test_staleness import ALL, edit, set_config
from test_trust import ask, quick_arguments

BUILT = {
    "models": {"heads": {"build": "induction"}},
    "tasks": {"known_induction": {"generator": "known_induction"}},
}


def clone(place: Path) -> Path:
    """What a clone of this checkout holds of the workflow, at another place."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("rules", "workflow", "config", "profiles", "envs"):
        shutil.copytree(ROOT / name, place / name, ignore=ignore)
    shutil.copy(ROOT / "Snakefile", place)
    return place


def copy_without_times(source: Path, target: Path, leave_out: str = "") -> Path:
    """A copy as `cp -r` makes it, and the worst one: the youngest files are written first."""
    files = [p for p in source.rglob("*") if p.is_file() and leave_out not in p.parts]
    for path in sorted(files, key=lambda p: -p.stat().st_mtime_ns):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        time.sleep(0.002)  # time stamps of some disks are coarse
    return target


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A toy checkout whose run is complete. Not to be changed."""
    folder = toy_workflow.make(tmp_path_factory.mktemp("travel") / "checkout")
    set_config(folder)
    toy_workflow.run(folder)
    return folder


# ------------------------------------------------------------------- configurations side by side


def test_configurations_with_a_root_each_do_not_disturb_one_another(finished, tmp_path):
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))

    def write(name, draws):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({
            "pathvars": {"results": f"results/{name}"}, "models": {"demo": {"train": {}}},
            "pairs": {"discovery": 5, "heldout": 7}, "competence": {"draws": draws},
        }))  # fmt: skip

    def stale(name):
        return toy_workflow.jobs(
            toy_workflow.run(folder, "--dry-run", "--configfile", f"{name}.yaml")
        )

    write("one", 10)
    write("two", 20)
    # at the same time, beside each other and below the results of the default
    runs = [
        subprocess.Popen(
            toy_workflow.command("--configfile", f"{name}.yaml"),
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for run in runs:
        said, _ = run.communicate()
        assert run.returncode == 0, said
        assert toy_workflow.jobs(said) == ALL
    write("two", 30)
    assert (stale("one"), stale("two")) == ([], ["add_numbers", "write_page"])
    assert toy_workflow.jobs(toy_workflow.run(folder, "--dry-run")) == []
    draws = [
        json.loads(json.loads((folder / f"results/{name}/sum.json").read_text())["made_by"]["cfg"])
        for name in ("one", "two")
    ]
    assert [cfg["draws"] for cfg in draws] == [10, 20]


# ----------------------------------------------------------------------------- folders that move


def test_the_whole_results_are_fresh_elsewhere_with_another_checkout(quick_results, tmp_path):
    """Working folder and checkout both lie elsewhere, and the copy kept no time stamp."""
    checkout = clone(tmp_path / "their checkout")
    work = copy_without_times(quick_results.parent, tmp_path / "their folder")
    words = quick_command(work, config="tests/config/quick.yaml")
    for name in ("Snakefile", "profiles/default"):
        words[words.index(str(ROOT / name))] = str(checkout / name)
    words.append("--dry-run")
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_without_records_time_stamps_tell_and_verify_knows(finished, tmp_path):
    """The copy of results alone: `.snakemake` stayed behind."""
    kept = shutil.copytree(finished, tmp_path / "kept", ignore=shutil.ignore_patterns(".snakemake"))
    assert toy_workflow.jobs(toy_workflow.run(kept, "--dry-run")) == []
    lost = copy_without_times(finished, tmp_path / "lost", ".snakemake")
    assert toy_workflow.jobs(toy_workflow.run(lost, "--dry-run")) == ["add_numbers", "write_page"]
    assert "2 files carry today's configuration and code" in ask("verify", lost)
    toy_workflow.run(lost, "--touch")
    assert toy_workflow.jobs(toy_workflow.run(lost, "--dry-run")) == []
    # and what changes from here on is seen again: the records are back
    set_config(lost, competence__draws=99)
    assert toy_workflow.jobs(toy_workflow.run(lost, "--dry-run")) == ["add_numbers", "write_page"]
    # which they are not in the copy that kept its times: there only `make verify` tells
    set_config(kept, competence__draws=99)
    assert toy_workflow.jobs(toy_workflow.run(kept, "--dry-run")) == []
    assert "results/sum.json: draws was 2000, is 99" in ask("verify", kept, code=1)


def test_the_results_without_records_pass_verify_elsewhere(quick_results, tmp_path):
    checkout = clone(tmp_path / "checkout")
    shutil.copytree(quick_results, tmp_path / "work/results")
    found = ask("verify", tmp_path / "work", *quick_arguments(), checkout=checkout)
    assert "carry today's configuration and code" in found


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """A folder with a model of one's own, described in the results beside it. Not to be changed."""
    folder = tmp_path_factory.mktemp("described") / "here"
    tiny_models.gpt2(folder / "mine")
    words = {"<s>": 0, **{f"w{i}": i for i in range(1, tiny_models.VOCABULARY)}}
    model = tokenizers.models.WordLevel(words, unk_token="<s>")
    tokenizers.Tokenizer(model).save(str(folder / "mine/tokenizer.json"))
    config = {"models": {"mine": {"path": "mine"}}, "tasks": {"ioi": {"generator": "ioi"}}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    subprocess.run(describe(folder), check=True, capture_output=True)
    return folder


def describe(folder, *arguments):
    command = quick_command(folder, config=str(folder / "mine.yaml"))
    return [*command, *arguments, "--", "results/mine/model.json"]


def test_a_model_beside_the_results_is_found_where_the_folder_moved(described, tmp_path):
    handle = models.open_handle(described / "results/mine/model.json")
    assert handle.directory == (described / "mine").resolve()
    moved = Path(shutil.copytree(described, tmp_path / "there"))
    done = subprocess.run(describe(moved, "--dry-run"), capture_output=True, text=True, check=True)
    assert toy_workflow.jobs(done.stdout) == []
    assert "Nothing to be done" in done.stdout + done.stderr
    handle = models.open_handle(moved / "results/mine/model.json")
    assert handle.directory == (moved / "mine").resolve()


def test_a_model_that_stayed_behind_is_named_with_what_to_do(described, tmp_path):
    moved = tmp_path / "there/results"
    shutil.copytree(described / "results", moved)
    place = re.escape(str((tmp_path / "there/mine").resolve()))
    with pytest.raises(ModelError, match=f"the model lies in {place}, and no folder is there"):
        models.open_handle(moved / "mine/model.json")


def test_a_handle_names_a_model_elsewhere_as_the_configuration_does(tmp_path, monkeypatch):
    tiny_models.gpt2(tmp_path / "data/mine")
    (tmp_path / "work/results/mine").mkdir(parents=True)
    (tmp_path / "work/link").symlink_to(tmp_path / "data/mine")
    monkeypatch.chdir(tmp_path / "work")

    def stored(directory, handle="results/mine/model.json"):
        return models._stored_directory(Path(directory), Path(handle))

    assert stored("../data/mine") == "../../../data/mine"
    assert stored("link") == "../../link"  # on another machine the link may lead elsewhere
    assert stored(tmp_path / "data/mine") == str(tmp_path / "data/mine")
    assert stored("../data/mine", tmp_path / "far/model.json") == str(tmp_path / "data/mine")
    assert stored("results/mine/model") == "model"


# ------------------------------------------------------------------- a module of another workflow


def importing(folder: Path, snakefile: Path, config: dict, more: str = "") -> Path:
    """Another workflow in `folder`: this one under `maps/`, and a rule that uses its results."""
    folder.mkdir(exist_ok=True)
    text = f"""
THEIRS = {config!r}
GIVEN = repr(THEIRS)

module connectome:
    snakefile: {str(snakefile)!r}
    config: THEIRS
    prefix: "maps"

use rule * from connectome as connectome_*
{more}
rule read_handle:
    default_target: True
    input:
        "maps/results/heads/model.json",
    output:
        "layers.txt",
    params:
        same=GIVEN == repr(THEIRS),
    shell:
        "(grep -o 'layers.: [0-9]*' {{input:q}}; echo {{params.same}}) > {{output:q}}"
"""
    (folder / "Snakefile").write_text(text)
    return folder


def test_another_workflow_imports_a_clone_with_its_own_config_and_prefix(tmp_path):
    clone(tmp_path / "clone")
    folder = importing(tmp_path / "theirs", Path("../clone/Snakefile"), BUILT)
    output = toy_workflow.run(folder)
    assert toy_workflow.jobs(output) == [
        "connectome_build_model",
        "connectome_describe_model",
        "read_handle",
    ]
    assert f"scripts={tmp_path}/clone/workflow/scripts" in output
    # made under the prefix alone, by an outer rule that read it; the dict of the caller untouched
    assert (folder / "layers.txt").read_text() == 'layers": 2\nTrue\n'
    assert {path.name for path in folder.iterdir()} == {
        *("Snakefile", "maps", "layers.txt", ".snakemake")
    }
    assert "Nothing to be done" in toy_workflow.run(folder, "--dry-run")
    # what the clone's code makes is stale by the clone's code, as at home
    edit(tmp_path / "clone", "connectome/checkpoint.py", "indent=2", "indent=1")
    assert toy_workflow.jobs(toy_workflow.run(folder, "--dry-run"))[0] == "connectome_build_model"


def test_a_module_s_configuration_is_validated_and_the_key_named(tmp_path):
    folder = importing(tmp_path / "theirs", ROOT / "Snakefile", {**BUILT, "pares": {}})
    said = toy_workflow.run(folder, "--dry-run", ok=False)
    assert "pares: unknown key; did you mean 'pairs'" in said


def test_a_module_reads_the_user_s_files_where_the_run_works(tmp_path):
    folder = tmp_path / "theirs"
    tiny_models.gpt2(folder / "mine")
    (folder / "text.txt").write_text("w1 w2\n\nw3\n")
    (folder / "pairs.csv").write_text("clean,corrupted,answers,wrong\nw1,w2, w3, w4\n")
    config = {
        "models": {"heads": {"path": "mine"}},
        "tasks": {"t": {"file": "pairs.csv"}},
        "corpus": {"file": "text.txt", "documents": 9, "tokens": 99},
    }
    importing(folder, ROOT / "Snakefile", config)
    plan = toy_workflow.run(folder, "--dry-run", "connectome_circuits")
    inputs = re.findall(r"^    input: (.*)$", plan, re.M)
    named = {path for line in inputs for path in line.split(", ") if "maps/" not in path}
    model = {"mine/config.json", "mine/generation_config.json", "mine/model.safetensors"}
    assert named == model | {"text.txt", "pairs.csv"}
    assert "connectome_fit_sbm" in plan  # what the defaults say, the caller said nothing of it


@pytest.mark.slow
def test_two_modules_of_one_clone_have_a_configuration_each(tmp_path):
    config = {
        "models": {"object": {"build": "indirect_object"}},
        "tasks": {"known": {"generator": "known_indirect_object"}},
    }
    second = importing(tmp_path / "theirs", ROOT / "Snakefile", config).joinpath("Snakefile")
    imported = second.read_text().split("rule read_handle")[0]
    for old, new in (("connectome", "other"), ("maps", "others"), ("THEIRS", "SECOND")):
        imported = imported.replace(old, new)
    folder = importing(tmp_path / "theirs", ROOT / "Snakefile", BUILT, imported)
    targets = ["others/results/object/model.json", "maps/results/heads/model.json"]
    jobs = toy_workflow.jobs(toy_workflow.run(folder, "--dry-run", *targets))
    assert sorted(jobs) == sorted(
        f"{name}_{rule}"
        for name in ("connectome", "other")
        for rule in ("build_model", "describe_model")
    )
    crossed = "maps/results/object/model.json"
    assert "MissingRuleException" in toy_workflow.run(folder, "--dry-run", crossed, ok=False)


def test_a_prefix_before_an_absolute_root_is_refused():
    config = {"pathvars": {"results": "/data/results"}}
    folders.check_prefix(config, "<results>")
    with pytest.raises(ConfigError, match="pathvars.results: '/data/results' cannot be used"):
        folders.check_prefix(config, "maps/<results>")
    folders.check_prefix({"pathvars": {"results": "results"}}, "maps/<results>")
