"""The workflow on a real Slurm of two nodes: equal results, more time when killed, none left."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

import slurm_cluster
import toy_workflow
from conftest import ROOT, heed_interrupts, quick_command
from connectome import folders
from connectome.errors import ConfigError
from test_workflow import digests

CONFIG = "{models: {demo: {train: {}}}, pairs: {discovery: 7, heldout: 1}}"
HELD = 'import pathlib\n    while pathlib.Path("hold").exists():\n        time.sleep(0.1)\n    time'


@pytest.fixture(scope="session")
def cluster():
    try:
        with slurm_cluster.running() as cluster:
            yield cluster
    except slurm_cluster.Unavailable as error:
        pytest.skip(f"no Slurm here: {error}")


def on_slurm(command: list[str], python: str, profile: Path, seconds: int) -> list[str]:
    """The command of a local run, sent to Slurm by this interpreter through the profile.

    The status is asked for after `seconds`, then 10 later each time until a job has ended well.
    """
    command = [python, *(a for a in command[1:] if a not in ("--cores", "1", "2"))]
    if "--workflow-profile" in command:
        del command[command.index("--workflow-profile") :][:2]
    interval = ("--slurm-init-seconds-before-status-checks", str(seconds))
    return [*command, "--workflow-profile", str(profile), *interval]


class Toy:
    """A toy checkout whose first rule, where `held`, ends only once the file `hold` is gone."""

    def __init__(self, folder: Path, held: bool = False):
        self.folder = toy_workflow.make(folder)
        (folder / "toy.yaml").write_text(CONFIG)
        if held:
            script = folder / "workflow/scripts/draw_numbers.py"
            script.write_text(script.read_text().replace("time.sleep", f"{HELD}.sleep", 1))
            (folder / "hold").touch()

    def start(self, cluster, *targets: str, seconds: int = 6) -> subprocess.Popen:
        """Start a run through Slurm in the background, its output in `output.txt`."""
        command = toy_workflow.command(*targets, "--configfile", "toy.yaml")
        with open(self.folder / "output.txt", "w") as output:
            self.process = subprocess.Popen(
                on_slurm(command, cluster.python, self.folder / "profiles/slurm", seconds),
                cwd=self.folder, env=cluster.environment, stdout=output, stderr=output,
                preexec_fn=heed_interrupts,
            )  # fmt: skip
        return self.process

    def finish(self, process: subprocess.Popen) -> str:
        """Output of a run once it has ended well."""
        status = process.wait(180)
        output = (self.folder / "output.txt").read_text()
        assert status == 0, output
        return output

    def jobs(self, cluster) -> list[dict[str, str]]:
        """Slurm's jobs that were submitted from this checkout."""
        return [job for job in cluster.jobs() if f"WorkDir={self.folder}" in job["Line"]]

    def wait_for(self, cluster, **states: str) -> dict[str, str]:
        """The first job of this checkout in such a state."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            for job in self.jobs(cluster):
                if states.items() <= job.items():
                    return job
            time.sleep(0.3)
        output = (self.folder / "output.txt").read_text()
        raise AssertionError(f"no job {states}: {self.jobs(cluster)}\n{output}")


@pytest.fixture(scope="session")
def killed(cluster, tmp_path_factory):
    """A run whose first job outlives its time; started first, as Slurm looks but twice a minute."""
    toy = Toy(tmp_path_factory.mktemp("slurm") / "killed", held=True)
    process = toy.start(cluster, "results/numbers.json", seconds=1)
    first = toy.wait_for(cluster, JobState="RUNNING")
    # a limit is whole minutes when it is asked for: this one is brought down to 2 s
    cluster.ask("scontrol", "update", f"JobId={first['JobId']}", "TimeLimit=00:00:02")
    yield toy, process, first
    process.kill()


@pytest.fixture(scope="session")
def finished(cluster, killed, tmp_path_factory):
    """A checkout in a folder with blanks and a quote, run to its end, and the output."""
    toy = Toy(tmp_path_factory.mktemp("slurm") / "it's a tést")
    return toy, toy.finish(toy.start(cluster))


def test_results_are_those_of_a_local_run_whatever_the_folder_is_called(finished, tmp_path):
    local = Toy(tmp_path / "local")
    toy_workflow.run(local.folder, "--configfile", "toy.yaml")
    expected = digests(local.folder / "results")
    assert set(expected) == {"numbers.json", "sum.json", "page.txt"}
    assert digests(finished[0].folder / "results") == expected


def test_a_rule_that_uses_a_gpu_asks_slurm_for_one_and_the_others_for_none(cluster, finished):
    jobs = finished[0].jobs(cluster)
    asked = [(job["Comment"], job.get("TresPerJob"), job["MinMemoryNode"]) for job in jobs]
    assert asked == [
        ("rule_draw_numbers", "gres:gpu:1", "100M"),
        ("rule_add_numbers", None, "100M"),
        ("rule_write_page", None, "100M"),
    ]
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}


def test_an_interpreter_that_jobs_could_not_be_started_with_is_named_before_any(cluster, tmp_path):
    """Its path reaches a shell without quotes, which is not ours to mend."""
    toy, link = Toy(tmp_path / "toy"), tmp_path / "a blank"
    link.symlink_to(cluster.folder / "venv")
    command = toy_workflow.command("results/numbers.json", "--configfile", "toy.yaml")
    python = str(link / "bin" / Path(cluster.python).name)
    done = subprocess.run(
        on_slurm(command, python, toy.folder / "profiles/slurm", seconds=1),
        cwd=toy.folder, env=cluster.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 1 and f"Snakemake runs in {python!r}" in said, said
    assert "Traceback" not in said and not toy.jobs(cluster)
    toy_workflow.run(toy.folder, "--configfile", "toy.yaml")  # here nothing is in the way


@pytest.mark.parametrize("name, fine", [("it's", True), ("$HOME", True), ("it's $HOME", False)])
def test_a_folder_that_cannot_be_quoted_for_a_job_is_refused(tmp_path, name, fine):
    if fine:
        return folders.check_submission(tmp_path / name, tmp_path, "/usr/bin/python3")
    with pytest.raises(ConfigError, match="rename that folder"):
        folders.check_submission(tmp_path / name, tmp_path, "/usr/bin/python3")


def test_a_second_call_does_nothing(cluster, finished):
    toy, _ = finished
    before = len(toy.jobs(cluster))
    assert "Nothing to be done" in toy.finish(toy.start(cluster))
    assert len(toy.jobs(cluster)) == before


def test_an_interrupt_takes_every_job_out_of_the_queue(cluster, finished, tmp_path):
    toy = Toy(tmp_path / "interrupted", held=True)
    process = toy.start(cluster, seconds=20)
    job = toy.wait_for(cluster, JobState="RUNNING")
    while f"SLURM jobid {job['JobId']}" not in (toy.folder / "output.txt").read_text():
        time.sleep(0.1)
    time.sleep(0.5)  # until the executor has put it down
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    deadline = time.monotonic() + 20
    while (states := {job["JobState"] for job in toy.jobs(cluster)}) != {"CANCELLED"}:
        assert time.monotonic() < deadline, states
        time.sleep(0.3)
    assert not (toy.folder / "results/numbers.json").exists()


def test_a_job_that_ran_out_of_time_is_tried_again_with_more(cluster, killed, finished):
    toy, process, first = killed
    second = toy.wait_for(cluster, JobState="RUNNING", TimeLimit="00:02:00")
    (toy.folder / "hold").unlink()
    toy.finish(process)
    old, new = toy.jobs(cluster)
    assert (old["JobId"], new["JobId"]) == (first["JobId"], second["JobId"])
    assert (first["TimeLimit"], old["JobState"]) == ("00:01:00", "TIMEOUT")
    assert (new["Comment"], new["JobState"]) == ("rule_draw_numbers", "COMPLETED")
    numbers, expected = (
        json.loads((folder / "results/numbers.json").read_text())["numbers"]
        for folder in (toy.folder, finished[0].folder)
    )
    assert numbers == expected and len(numbers) == 7


def test_the_profile_gives_a_reason_for_each_value_and_no_scheduler_is_named_in_a_rule():
    text = (ROOT / "profiles/slurm/profile.v9+.yaml").read_text()
    for line in text.splitlines():
        if line and not line.startswith(("#", " ", "executor")):
            assert "#" in line, line
    profile, local = (
        yaml.safe_load((ROOT / f"profiles/{name}/profile.v9+.yaml").read_text())
        for name in ("slurm", "default")
    )
    for key in ("rerun-incomplete", "max-checksum-file-size"):  # staleness is the same on both
        assert profile[key] == local[key]
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        assert "slurm" not in path.read_text().lower(), path.name


def test_the_time_of_every_rule_grows_with_the_attempt():
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for value in re.findall(r"\bruntime=(.*)", path.read_text()):
            assert value.startswith("growing("), f"{path.name}: write runtime=growing({value[:-1]})"


@pytest.mark.slow
def test_the_quick_configuration_on_slurm_gives_the_bytes_of_a_local_run(
    cluster, quick_results, tmp_path
):
    command = on_slurm(quick_command(tmp_path), cluster.python, ROOT / "profiles/slurm", seconds=5)
    done = subprocess.run(
        command, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert digests(tmp_path / "results") == digests(quick_results)
    again = subprocess.run(
        command, env=cluster.environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "Nothing to be done" in again.stdout + again.stderr
