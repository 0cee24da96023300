"""The whole workflow on the quick configuration: complete, repeatable, resumable."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import toy_workflow
from conftest import ROOT, heed_interrupts, quick_command

NOT_RESULTS = ("log", "benchmark", "provenance.json", ".snakemake")
SMK_FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]


def digests(results):
    """{path: digest} of every result, logs and costs left out."""
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.relative_to(results).parts[0] not in NOT_RESULTS
    }


def test_a_second_run_does_nothing(quick_results):
    done = subprocess.run(
        [*quick_command(quick_results.parent), "--dry-run"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Nothing to be done" in done.stdout + done.stderr


def test_every_rule_that_works_has_log_benchmark_threads_resources_and_both_params():
    for path in SMK_FILES:
        for body in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            name = body.split(":")[0]
            if "shell:" not in body:
                continue
            for directive in ("log:", "benchmark:", "threads:", "mem_mb=", "runtime=", "conda:"):
                assert directive in body, f"{path.name}: rule {name} has no {directive}"
            params = body.split("params:")[1].split("shell:")[0]
            assert re.findall(r"^        (\w+)=", params, re.M) == ["cfg", "code"], name


SHARED = {"compute_moments": "compute_covariance"}  # what it makes of one part, that one merges


def test_each_rule_shares_its_stem_with_its_script():
    for path in SMK_FILES:
        for body in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            name = body.split(":")[0]
            if "shell:" in body:
                script = SHARED.get(name, name)
                assert f"/{script}.py" in body, name
                assert (ROOT / f"workflow/scripts/{script}.py").is_file()
                assert f'code_of("{script}")' in body


def test_no_temporary_or_resume_file_is_left(quick_results):
    left = [path for path in quick_results.rglob(".*") if path.name != ".snakemake"]
    assert left == []


def run_until(command, folder, reached, stop_signal):
    """Start a run, send a signal to its whole process group as soon as `reached()`."""
    with open(folder / f"{stop_signal}.log", "w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, preexec_fn=heed_interrupts
        )
    deadline = time.monotonic() + 300
    while not reached() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, "the run ended before it could be disturbed"
    os.killpg(process.pid, stop_signal)
    process.wait(60)


@pytest.mark.parametrize(
    "target", ["results/tables/circuits.csv", pytest.param("all", marks=pytest.mark.slow)]
)
def test_a_run_that_was_killed_and_interrupted_ends_with_the_same_bytes(
    quick_results, tmp_path, target
):
    """SIGKILL while the model trains, SIGINT while circuits are scored; then the same command."""
    command, results = [*quick_command(tmp_path), "--", target], tmp_path / "results"
    unlock = [sys.executable, str(ROOT / "workflow/unlock.py")]
    run_until(command, tmp_path, lambda: (results / "demo/.training").exists(), signal.SIGKILL)
    subprocess.run(unlock, cwd=tmp_path, check=True)
    circuits = results / "log/score_prompts"
    run_until(command, tmp_path, lambda: list(circuits.glob("*")) != [], signal.SIGINT)
    subprocess.run(unlock, cwd=tmp_path, check=True)
    subprocess.run(command, check=True, capture_output=True)
    made, expected = digests(results), digests(quick_results)
    if target != "all":  # what the target does not need was not made
        assert target.removeprefix("results/") in made
        expected = {path: expected.get(path) for path in made}
    assert made == expected


def test_unlock_leaves_the_lock_of_a_live_run_alone(tmp_path):
    folder = toy_workflow.make(tmp_path / "toy")
    config = tmp_path / "slow.yaml"
    config.write_text("{models: {demo: {train: {}}}, pairs: {discovery: 5, heldout: 9000}}")
    process = subprocess.Popen(
        toy_workflow.command("--configfile", str(config)),
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    locks = folder / ".snakemake/locks"
    while not (locks.is_dir() and any(locks.iterdir())):
        assert process.poll() is None
        time.sleep(0.05)
    unlock = [sys.executable, str(ROOT / "workflow/unlock.py")]
    refused = subprocess.run(unlock, cwd=folder, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "another run is working in this folder" in refused.stderr
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(unlock, cwd=folder, check=True)
    toy_workflow.run(folder)


@pytest.mark.parametrize("name", ["gemma", "gpt2", "local", "pythia", "qwen", "training", "truth"])
def test_example_configurations_pass_the_schema(name):
    from connectome import configuration

    defaults = configuration.read_yaml(ROOT / "config/config.yaml")
    schema = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    example = configuration.read_yaml(ROOT / f"config/examples/{name}.yaml")
    configuration.validate(configuration.complete(example, defaults), schema)


def test_scripts_explain_themselves():
    scripts = sorted((ROOT / "workflow/scripts").glob("*.py"))
    scripts.remove(ROOT / "workflow/scripts/fit_sbm.py")  # runs in graph-tool's interpreter

    def said(path):
        command = [sys.executable, str(path), "--help"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(2) as pool:  # nearly all of it is imports
        for path, text in zip(scripts, pool.map(said, scripts), strict=True):
            assert "--cfg" in text and "--code" in text, path.name
