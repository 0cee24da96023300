"""What a run would cost, said before it starts; what cannot fit is refused."""

import dataclasses
import json
import math
import os
import subprocess
import sys

import pytest
import yaml

import tiny_models
from conftest import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import estimates
import jobs
import plan

from connectome import configuration, tables

QUICK = ROOT / "tests/config/quick.yaml"
DEFAULT = configuration.read_yaml(ROOT / "config/config.yaml")
SOME = {"documents": 10, "tokens": 100}


def ask(folder, configfile, *arguments):
    """(exit code, text) of `make plan` for a configuration, in `folder`."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflow/plan.py"), "--configfile", str(configfile)]
        + list(arguments),
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def rows(text):
    """{rule: [cell, ...]} of the printed table."""
    lines = [line.split() for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in lines if len(cells) > 6 and "/" in cells[1]}


def write(folder, **sections):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(QUICK.read_text()), **sections}))
    return path


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return ask(tmp_path_factory.mktemp("before"), QUICK)


def test_before_a_run_every_job_has_a_finite_price_and_the_totals_are_the_sums(before):
    code, text = before
    assert code == 0, text
    every = rows(text)
    total = every.pop("all")
    hours = [float(cells[1]) for cells in every.values()]
    assert all(math.isfinite(h) for h in hours)
    assert sum(hours) == pytest.approx(float(total[1]), abs=1e-4 * len(hours))
    assert sum(int(cells[0].split("/")[0]) for cells in every.values()) == int(
        total[0].split("/")[0]
    )
    assert max(int(cells[3]) for cells in every.values()) == int(total[3])
    # two tasks, two layers of two sites, two kinds, written out by hand
    assert [every[r][0] for r in ("make_task", "compute_covariance", "train_model")] == [
        "2/2", "8/8", "1/1",
    ]  # fmt: skip
    assert "measured" not in text and "calibrated (1)" in text


def test_disk_of_activations_and_moments_is_exact():
    config = configuration.complete(yaml.safe_load(QUICK.read_text()), DEFAULT)
    # two layers: 2 x 16 value directions and 4 x 32 hidden units, in float32; 6000 tokens at most
    row = 2 * (32 + 128) * 4
    size = estimates.size_of(config, "demo")
    assert estimates.row_bytes(config, "demo", size) == row
    one = {"model": "demo"}
    assert estimates.disk("record_activations", one, config) == 6000 * row
    config["activations"] = {**config["activations"], "dtype": "float16", "outputs": ["resid.1"]}
    assert estimates.row_bytes(config, "demo", size) == row // 2 + 32 * 2
    assert estimates.disk("compute_covariance", {**one, "site": "mlp.1"}, config) == 2 * 8 * 128**2


def test_documents_bound_the_tokens_too():
    config = {**DEFAULT, "corpus": {"documents": 10, "tokens": 10**9}}
    assert estimates.tokens_of(config, estimates.size_of(config, "demo")) == 10 * 64


def test_sizes_of_a_trained_model_are_those_of_its_checkpoint(tmp_path):
    from connectome import language, tokenizer

    made = tokenizer.build(language.words(), language.PIECE)
    assert estimates.size_of(DEFAULT, "demo").vocabulary == made.get_vocab_size()
    config = {**DEFAULT, "models": {"mine": {"path": str(tiny_models.llama(tmp_path))}}}
    size = estimates.size_of(config, "mine")
    # four heads of width 4 over two of keys and values, 12 hidden units
    assert (size.attention, size.hidden, size.layers) == (16, 12, 2)


def test_the_default_costs_what_was_measured_of_it():
    for rule, seconds in estimates.CALIBRATED.items():
        work = plan._reference_work(rule, DEFAULT)
        assert plan._seconds(rule, work, None, [], DEFAULT) == (
            pytest.approx(seconds),
            "calibrated",
        )


def test_twice_the_tokens_take_twice_the_time_but_for_the_start():
    small = {**DEFAULT, "corpus": {**DEFAULT["corpus"], "tokens": 50_000}}
    ratio = estimates.work("record_activations", {"model": "demo"}, DEFAULT) / estimates.work(
        "record_activations", {"model": "demo"}, small
    )
    assert ratio == 2
    assert estimates.scaled("record_activations", 5.0, ratio) == pytest.approx(1.55 + 3.45 * 2)
    assert estimates.scaled("make_corpus", 0.8, ratio) == pytest.approx(0.3 + 0.5 * 2)


def benchmark(path, seconds, peak):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tmax_rss\n{seconds}\t{peak}\n")


def job(rule, folder, name, **wildcards):
    return jobs.Job(
        rule=rule, outputs=(folder / name,), stamp={}, threads=1, benchmark=folder / f"{name}.tsv",
        stale=True, wildcards={"model": "demo", **wildcards}, memory_mb=900,
    )  # fmt: skip


def test_benchmark_files_come_before_calibration(tmp_path):
    tasks = [job("measure_competence", tmp_path, name, task=name) for name in ("ioi", "facts")]
    corpus = job("make_corpus", tmp_path, "corpus")
    benchmark(tasks[0].benchmark, 40.0, 777.0)
    mine, other, third = plan.bills(DEFAULT, [*tasks, corpus])
    assert (mine.seconds, mine.basis, mine.memory_mb) == (40.0, "measured", 777.0)
    assert (other.seconds, other.basis, other.memory_mb) == (40.0, "scaled", 900.0)
    assert (third.seconds, third.basis) == (0.66, "calibrated")


def test_a_benchmark_of_fewer_tokens_is_scaled_to_those_of_today(tmp_path):
    old = {"corpus": {**DEFAULT["corpus"], "tokens": 10_000}, "seed": 1}
    corpus = dataclasses.replace(
        job("make_corpus", tmp_path, "corpus"), old_stamp={"cfg": json.dumps(old)}
    )
    record = job("record_activations", tmp_path, "part")
    benchmark(record.benchmark, 3.0, 500.0)
    bill = plan.bills(DEFAULT, [corpus, record])[1]
    assert (bill.seconds, bill.basis) == (pytest.approx(1.55 + 1.45 * 10), "scaled")


def test_a_longer_training_is_scaled_from_the_shorter(tmp_path):
    old = {**DEFAULT["training"], "steps": 1100, "seed": 1}
    training = dataclasses.replace(
        job("train_model", tmp_path, "model"), old_stamp={"cfg": json.dumps(old)}
    )
    benchmark(training.benchmark, 41.0, 500.0)
    (bill,) = plan.bills(DEFAULT, [training])
    assert (bill.seconds, bill.basis) == (pytest.approx(1.55 + 39.45 * 2), "scaled")


def test_hours_of_a_card_are_counted_apart(tmp_path):
    record = dataclasses.replace(job("record_activations", tmp_path, "part"), cards=1)
    text = plan.table([record], plan.bills(DEFAULT, [record]))
    assert rows(text)["all"][1:3] == ["-", "0.0014"]


def test_a_trillion_tokens_are_refused_with_what_would_fit(tmp_path):
    corpus = {"language": True, "documents": 10**12, "tokens": 10**12}
    code, text = ask(tmp_path, write(tmp_path, corpus=corpus))
    assert code == 1
    (sentence,) = [line for line in text.splitlines() if "corpus.tokens" in line]
    assert "1000000000000 tokens make activations of 1280000.0 GB" in sentence
    fits = int(sentence.split("at most ")[1].split()[0])
    free = os.statvfs(tmp_path)
    assert fits == pytest.approx(free.f_bavail * free.f_frsize / 1280, rel=0.05)
    assert "Traceback" not in text


def test_a_job_larger_than_the_node_is_refused(tmp_path):
    code, text = ask(tmp_path, QUICK, "--memory-mb", "1200")
    assert code == 1
    assert "record_activations: a job asks for 1500 MB, and 1200 MB are there" in text
    assert "activations.batch_tokens" in text and "make_corpus: a job" not in text


def test_a_hub_model_that_is_not_here_has_unknown_hours_and_says_so(tmp_path):
    models = {"far": {"hub": "nobody/nothing", "layers": 2}}
    tasks = {"sva": {"generator": "starter_verb_agreement"}}
    config = write(tmp_path, models=models, tasks=tasks, corpus={"file": "text.txt", **SOME})
    (tmp_path / "text.txt").write_text("one\n\ntwo\n")
    code, text = ask(tmp_path, config)
    assert code == 0, text
    assert rows(text)["record_activations"][1] == "?"
    assert "models.far: 'nobody/nothing' is not in the local cache" in text
    assert "is not pinned" in text
    assert "Traceback" not in text


def test_a_hub_model_whose_layers_nobody_knows_ends_in_one_sentence(tmp_path):
    models = {"far": {"hub": "nobody/nothing"}}
    tasks = {"sva": {"generator": "starter_verb_agreement"}}
    code, text = ask(tmp_path, write(tmp_path, models=models, tasks=tasks))
    assert code == 1
    assert text.startswith("error: models.far: hub model 'nobody/nothing'")
    assert "layers: N" in text and text.count("\n") == 1


@pytest.mark.slow
def test_after_a_run_the_plan_is_what_was_measured_and_nothing_is_left(quick_results):
    code, text = ask(quick_results.parent, QUICK)
    assert code == 0, text
    assert all(cells[0].startswith("0/") for cells in rows(text).values())
    part = next(quick_results.glob("demo/activations.parquet/*.parquet"))
    tokens = tables.read_table(part, ["token"]).num_rows
    row = 2 * (32 + 128) * 4
    assert tokens * row <= part.stat().st_size <= 6000 * row * 1.1


def test_jobs_of_parts_are_counted_where_work_is_scattered(tmp_path):
    code, text = ask(tmp_path, write(tmp_path, activations={"shards": 3}))
    assert code == 0, text
    every = rows(text)
    # three parts of four sites, whose files are deleted once they are used up
    assert [every[rule][0] for rule in ("record_activations", "compute_moments")] == [
        "3/3",
        "12/12",
    ]
