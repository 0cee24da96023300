"""The plan before the bill: what is measured, scaled or unknown, and what cannot fit."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from connectome import configuration

sys.path.insert(0, str(ROOT / "workflow"))
import jobs
import plan

DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")


def config(**sections):
    result = configuration.complete({"models": {"mine": {"train": {}}}}, DEFAULTS)
    for name, keys in sections.items():
        result[name] = {**result[name], **keys}
    return result


def job(rule, number=0, **more):
    given = {"outputs": (), "stamp": {"cfg": "{}", "code": "{}"}, "threads": 1, "stale": True}
    given |= {"benchmark": None, "memory_mb": 100, "wildcards": {"model": "mine"}}
    return jobs.Job(rule=rule, **{**given, **more})


def spent(path, seconds, peak):
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t{peak}\n")
    return path


def test_activations_are_counted_to_the_byte():
    """By hand: 3 layers, attention 64 and MLP 256 wide, float32, and three int32 keys a token."""
    by_hand = 100_000 * (3 * (64 + 256) * 4 + 3 * 4)
    assert plan.recorded(config(), "mine") == by_hand
    section = {"sites": ["mlp.1"], "outputs": ["resid.0", "embed"], "dtype": "float16"}
    found = plan.recorded(config(activations=section, corpus={"tokens": 10}), "mine")
    assert found == 10 * ((256 + 2 * 64) * 2 + 3 * 4)


def test_a_jobs_own_last_run_counts_before_others_of_its_rule_and_the_default(
    tmp_path,
):
    own = job("plot_rois", benchmark=spent(tmp_path / "own.tsv", 7.0, 90.0), threads=2)
    other = job("plot_rois", benchmark=spent(tmp_path / "other.tsv", 5.0, "-"), stale=False)
    third = job("plot_rois", benchmark=spent(tmp_path / "third.tsv", 9.0, 50.0), stale=False)
    never = job("plot_rois", benchmark=tmp_path / "never.tsv")
    default = {"plot_rois": {"start": 0.0, "unit": 100.0, "bytes": 10}}
    (line,) = plan.lines([own, other, third, never], config(), default)
    assert line.seconds == [14.0, 9.0]  # threads count; the median of 14, 5, 9
    assert (line.stale, line.every, line.asked, line.seen) == (2, 4, 100, 90.0)
    assert line.sources == "last run, others here" and line.disk == 20
    (line,) = plan.lines([never], config(), default)
    assert line.seconds == [100.0] and line.sources == "default"
    (line,) = plan.lines([never], config(), {})
    assert math.isnan(line.seconds[0]) and line.sources == "unknown"


def test_a_last_run_on_fewer_tokens_or_steps_is_scaled_to_those_of_today(tmp_path):
    fewer = {"corpus": {**config()["corpus"], "tokens": 10_000}, "seed": 1}
    shorter = {**config()["training"], "steps": 1100, "seed": 1}
    corpus = job("make_corpus", old_stamp={"cfg": json.dumps(fewer)})
    recording = job("record_activations", benchmark=spent(tmp_path / "a.tsv", 5.0, 90.0))
    found = {line.rule: line for line in plan.lines([corpus, recording], config(), {})}
    # half of the five seconds start the job, the rest grows tenfold
    assert found["record_activations"].seconds == [pytest.approx(2.5 + 2.5 * 10)]
    assert found["record_activations"].sources == "last run, scaled"
    training = job(
        "train_model",
        benchmark=spent(tmp_path / "b.tsv", 40.0, 90.0),
        old_stamp={"cfg": json.dumps(shorter)},
    )
    (line,) = plan.lines([training], config(), {})
    assert line.seconds == [pytest.approx(3 + 37 * 2)]


def test_a_model_that_is_not_fetched_and_names_that_are_not_pinned_are_said():
    pinned = "0123456789" * 4
    models = {"far": {"hub": "nobody/nothing", "layers": 2, "revision": pinned}}
    (absent,) = plan.notes({**config(), "models": models})
    assert "models.far" in absent and "make fetch" in absent
    models["far"]["revision"] = "main"
    corpus = {"dataset": "nobody/texts", "tokens": 10, "documents": 10}
    said = plan.notes({**config(), "models": models, "corpus": corpus})
    assert [sentence.split(":")[0] for sentence in said if "not pinned" in sentence] == [
        "models.far", "corpus.dataset",
    ]  # fmt: skip


def test_work_scales_with_tokens_and_weights():
    known = {"record_activations": {"start": 3.0, "unit": 1e-9, "bytes": 0}}
    seconds = {}
    for tokens in (1000, 2000):
        (line,) = plan.lines([job("record_activations")], config(corpus={"tokens": tokens}), known)
        (seconds[tokens],) = line.seconds
    weights = 3 * 64 * (4 * 64 + 3 * 256)
    assert seconds[1000] == pytest.approx(3 + 1000 * weights * 1e-9)
    assert seconds[2000] - 3 == pytest.approx(2 * (seconds[1000] - 3))


def test_the_total_is_the_sum_of_the_lines():
    done = {"start": 0.0, "unit": 3600.0, "bytes": 2_000_000}
    today = [job("plot_rois"), job("plot_rois", stale=False), job("build_report"), job("new")]
    found = plan.lines(today, config(), {"plot_rois": done, "build_report": done})
    rows = [line.split() for line in plan.table(found).splitlines()]
    assert rows[-1][:7] == ["all", "3", "of", "4", "2.000", "1.000", "100"]
    assert rows[-1][-1] == "4.0"  # MB
    assert [row for row in rows if row[0] == "new"][0][4] == "-"


def test_what_cannot_fit_is_said_with_what_would():
    big = job("record_activations", memory_mb=9000)
    setup = config(corpus={"tokens": 1_000_000})
    found = plan.lines([big], setup, {})
    need = plan.recorded(setup, "mine")
    assert plan.refusals(found, setup, need, 9000) == []
    assert plan.refusals(found, setup, need, None) == []
    disk, memory = plan.refusals(found, setup, need / 4, 8999)
    assert "corpus.tokens of at most 250000 would fit" in disk
    assert "record_activations asks for 9000 MB, and this machine has 8999" in memory


def ask(folder, *arguments):
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflow/plan.py"), *arguments],
        cwd=folder, capture_output=True, text=True, env={**os.environ},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_plan_of_the_default_before_anything_ran_knows_every_rule(tmp_path):
    code, said, _ = ask(tmp_path)
    assert code == 0
    rows = [line for line in said.splitlines()[1:] if line]
    assert not [row for row in rows if "unknown" in row]
    total = float(rows[-1].split()[4])  # all N of N hours
    assert 0.05 < total < 1  # core hours of the embedded default, as the README has them
    assert {path.name for path in tmp_path.iterdir()} <= {".snakemake"}  # its own cache


def test_a_disk_too_small_for_a_billion_tokens_ends_the_plan_with_an_error(tmp_path):
    setup = {"models": {"mine": {"train": {}}}, "corpus": {}}
    setup["corpus"] = {"language": True, "documents": 10**12, "tokens": 10**12}
    (tmp_path / "big.yaml").write_text(yaml.safe_dump(setup))
    code, said, error = ask(tmp_path, "--configfile", "big.yaml")
    assert code == 1 and "cannot fit: the results need" in error and "corpus.tokens" in error
    assert "record_activations" in said


def test_after_a_run_the_plan_is_empty_and_one_file_less_is_one_line(quick_results):
    folder, quick = quick_results.parent, str(ROOT / "tests/config/quick.yaml")
    assert ask(folder, "--configfile", quick)[1].strip() == "nothing is stale: nothing would run"
    moved = Path(folder, "away.json")
    (quick_results / "provenance.json").rename(moved)
    try:
        code, said, _ = ask(folder, "--configfile", quick)
    finally:
        moved.rename(quick_results / "provenance.json")
    line = next(line for line in said.splitlines() if line.startswith("record_provenance"))
    assert code == 0 and "1 of 1" in line and "last run" in line
