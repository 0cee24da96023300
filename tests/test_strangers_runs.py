"""Full disks, few and many cores, two runs at once: nothing written earlier is lost."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import toy_workflow
from conftest import ROOT, SCRIPTS
from connectome import arrays, command, tables
from connectome.errors import DiskError
from strangers import PLAIN, disk

STAMP = {"cfg": "{}", "code": ""}
FULL = "cannot be written: no space left on device"


def write_config(path, **changes):
    path.write_text(json.dumps({**PLAIN, **changes}))
    return str(path)


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def test_a_full_disk_ends_a_job_by_one_sentence_and_the_same_command_finishes_it(tmp_path):
    checkout = toy_workflow.make(tmp_path / "checkout")
    with disk(tmp_path / "disk", "3m") as small:
        results = small / "r"
        results.mkdir()
        (results / "kept.txt").write_text("written earlier\n")
        (small / "ballast").write_bytes(bytes(1_500_000))
        config = write_config(
            tmp_path / "c.json",
            pathvars={"results": str(results)},
            pairs={"discovery": 400_000, "heldout": 5},
        )
        output = toy_workflow.run(checkout, "--configfile", config, ok=False)
        sentence = f"error: {results}/numbers.json {FULL}"
        assert (results / "log/draw_numbers.log").read_text() == f"{sentence}\n"
        assert sentence in output  # the terminal shows it too
        assert sorted(os.listdir(results)) == ["kept.txt", "log"]
        assert (results / "kept.txt").read_text() == "written earlier\n"
        (small / "ballast").unlink()
        toy_workflow.run(checkout, "--configfile", config)
        assert (results / "page.txt").read_text().startswith("the sum is")


def test_a_run_on_a_disk_that_is_full_already_does_not_start(tmp_path):
    checkout = toy_workflow.make(tmp_path / "checkout")
    with disk(tmp_path / "disk", "1m") as small:
        (small / "ballast").write_bytes(bytes(600_000))
        config = write_config(tmp_path / "c.json", pathvars={"results": str(small / "r")})
        output = toy_workflow.run(checkout, "--configfile", config, ok=False)
        assert f"no space is left on the disk of {str(small)!r}" in output
        output = toy_workflow.run(
            checkout, "--directory", str(small / "w"), "--snakefile", "Snakefile", ok=False
        )
        assert "no space is left on the disk of" in output and "Traceback" not in output


def write_parquet(path):
    tables.write_table(path, {"x": np.random.default_rng(1).random(200_000)}, STAMP)


def write_npz(path):
    arrays.write_npz(path, {"x": np.random.default_rng(1).random(200_000)}, STAMP)


def write_figure(path):
    import matplotlib.pyplot as plt

    figure = plt.figure()
    figure.figimage(np.random.default_rng(1).random((600, 900)))
    with command.atomic(path) as temporary:
        figure.savefig(temporary, format="png")
    plt.close(figure)


def write_state(path):
    import torch

    from connectome.training_state import Run, save_run

    weights = {"w": torch.arange(400_000, dtype=torch.float32)}
    save_run(path, Run(1, weights, {}, {}, [], []), STAMP)


def write_stream(path):
    import pyarrow as pa

    values = tables.fixed_lists(np.random.default_rng(1).random((20_000, 10)))
    schema = pa.schema([("x", values.type)])
    with tables.batch_writer(path, schema, STAMP) as writer:
        writer.write_batch(pa.record_batch([values], schema=schema))


WRITERS = [write_parquet, write_npz, write_figure, write_state, write_stream]


@pytest.mark.parametrize("write", WRITERS, ids=lambda f: f.__name__.removeprefix("write_"))
def test_every_kind_of_file_is_complete_or_absent_on_a_full_disk(tmp_path, write):
    write(tmp_path / "fits")
    with disk(tmp_path / "disk", "400k") as small:
        (small / "kept").write_text("earlier\n")
        with pytest.raises(DiskError) as caught:
            write(small / "file")
        assert str(caught.value) == f"{small}/file {FULL}"
        assert os.listdir(small) == ["kept"]


def test_a_log_that_cannot_be_written_does_not_hide_the_failure():
    """Progress lines go to the log; one that lies on a full disk ends the job, not its output."""
    code = (
        "import sys; from connectome import command\n"
        "def main(args): print('progress', file=sys.stderr, flush=True)\n"
        "command.run(main, command.parser(None))\n"
    )
    with open("/dev/full", "w") as log:
        done = subprocess.run([sys.executable, "-c", code], stderr=log, cwd=SCRIPTS, check=False)
    assert done.returncode != 0


def test_one_core_and_sixteen_make_the_same_bytes(tmp_path):
    checkout = toy_workflow.make(tmp_path / "checkout")
    made = []
    for cores in ("1", "16"):
        folder = tmp_path / cores
        toy_workflow.run(
            checkout, "--cores", cores, "--snakefile", "Snakefile", "--directory", str(folder)
        )
        made.append(digests(folder / "results"))
    assert made[0] == made[1] and len(made[0]) == 3


def test_sixteen_cores_do_not_start_more_than_the_memory_of_the_profile_holds():
    profile = (ROOT / "profiles/default/profile.v9+.yaml").read_text()
    [cap] = map(int, re.findall(r"mem_mb=(\d+)", profile))
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    wanted = sorted(map(int, re.findall(r"mem_mb=(\d+)", rules)))
    assert wanted[-1] <= cap < 16 * wanted[-1]


def start(checkout, *arguments):
    return subprocess.Popen(
        toy_workflow.command(*arguments), cwd=checkout, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def test_of_two_runs_in_one_folder_the_second_is_refused_and_the_first_is_undisturbed(tmp_path):
    """The second comes from another checkout and meets the folder by --directory."""
    first, second = (toy_workflow.make(tmp_path / name) for name in ("first", "second"))
    config = write_config(tmp_path / "c.json", pairs={"discovery": 5, "heldout": 1500})
    running = start(first, "--configfile", config)
    wait_for(lambda: (first / "results/log/draw_numbers.log").exists(), running)
    os.killpg(running.pid, signal.SIGSTOP)  # it holds the folder for as long as this test needs
    try:
        unlock = [sys.executable, str(ROOT / "workflow/unlock.py")]
        made = subprocess.run(unlock, cwd=first, capture_output=True, text=True, check=False)
        arguments = ["--snakefile", "Snakefile", "--directory", str(first), "--configfile", config]
        output = toy_workflow.run(second, *arguments, ok=False)
    finally:
        os.killpg(running.pid, signal.SIGCONT)
    assert made.returncode == 1
    assert re.fullmatch(
        r"another run is working in this folder \(process \d+\); wait for it\n", made.stderr
    )
    assert "Directory cannot be locked" in output and str(first) in output
    assert "Traceback" not in output and toy_workflow.jobs(output) == []
    output = running.communicate()[0]
    assert running.returncode == 0, output
    assert toy_workflow.jobs(output) == ["draw_numbers", "add_numbers", "write_page"]
    assert "Nothing to be done" in toy_workflow.run(second, *arguments)


def test_a_job_that_outlives_its_killed_run_keeps_the_folder(tmp_path):
    checkout = toy_workflow.make(tmp_path / "checkout")
    config = write_config(tmp_path / "c.json", pairs={"discovery": 5, "heldout": 600_000})
    running = start(checkout, "--configfile", config)
    log = checkout / "results/log/draw_numbers.log"
    wait_for(log.exists, running)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    unlock = [sys.executable, str(ROOT / "workflow/unlock.py")]
    try:
        refused = subprocess.run(unlock, cwd=checkout, capture_output=True, text=True, check=False)
        assert refused.returncode == 1 and "another run is working" in refused.stderr
    finally:
        os.killpg(running.pid, signal.SIGKILL)
    running.stdout.read()  # until the last of the group has gone
    done = subprocess.run(unlock, cwd=checkout, capture_output=True, text=True, check=True)
    assert "took away the lock" in done.stdout


def test_an_editor_or_a_pager_in_the_folder_is_no_run():
    sys.path.insert(0, str(ROOT / "workflow"))
    import unlock

    python = "/opt/snakemake/bin/python3.12"
    assert unlock.is_run(["python", "-m", "snakemake", "--cores", "2"])
    assert unlock.is_run([python, "-B", "/opt/x/bin/snakemake", "-n"])
    assert unlock.is_run([python, "fit_sbm.py", "--graph", "g", "--cfg", "{}", "--code", "0"])
    assert not unlock.is_run(["vim", "snakemake"])
    assert not unlock.is_run(["less", ".snakemake/log/x.snakemake.log"])
    assert not unlock.is_run([python, "notes.py", "--cfg", "{}"])
    assert not unlock.is_run([])
