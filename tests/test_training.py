"""The training run: packing, schedule, resumption, files."""

import argparse
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import train_model
from conftest import SCRIPTS
from connectome import command, language, tables, tokenizer, training
from connectome.errors import ConfigError
from connectome.language import Document

TINY = {
    "seed": 1,
    "layers": 1,
    "heads": 2,
    "width": 16,
    "context": 64,
    "steps": 14,
    "batch_rows": 2,
    "learning_rate": 0.003,
    "curriculum_share": 0.5,
    "checkpoints": [3, 9],
    "evaluate_every": 6,
    "evaluate_pairs": 4,
}
IDS = {piece: number for number, piece in enumerate(language.words(), 1)}


def arguments(folder: Path, cfg: dict) -> argparse.Namespace:
    return argparse.Namespace(
        cfg=cfg,
        stamp={"cfg": command.canonical(cfg), "code": ""},
        model_dir=folder / "model",
        checkpoint_dir=folder / "checkpoints",
        curve=folder / "training.parquet",
        state=folder / ".training",
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_rows_hold_whole_documents_opened_by_the_start_token():
    pieces = ((" river", " stone"), (" moon",), (" lake", " sand", " wolf"))
    weights = ((0.1, 1.0), (0.4,), (0.1, 0.2, 0.3))
    documents = [Document(p, w, "x") for p, w in zip(pieces, weights, strict=True)]
    batch = training.pack(iter(documents), rows=2, context=6, ids=IDS)
    river, stone, moon, lake, sand, wolf = (IDS[piece] for piece in itertools.chain(*pieces))
    assert batch.tokens.tolist() == [[0, river, stone, 0, moon, 0], [0, lake, sand, wolf, 0, 0]]
    assert batch.targets.tolist() == [[river, stone, 0, moon, 0, 0], [lake, sand, wolf, 0, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 0, 0]]
    assert batch.documents.tolist() == [[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 0, 0]]
    expected = [[0.1, 1.0, 1.0, 0.4, 0.4, 0.0], [0.1, 0.2, 0.3, 0.3, 0.0, 0.0]]
    np.testing.assert_allclose(batch.weights, expected, rtol=1e-6)


def test_packed_loss_is_the_loss_of_each_document_alone():
    cfg = training.TrainingConfig.from_dict(TINY)
    model = training.new_model(cfg, len(IDS) + 1)
    documents = list(itertools.islice(language.document_stream(5, "mixture"), 9))
    batch = training.pack(iter(documents), rows=4, context=64, ids=IDS)
    assert batch.documents.max() > 1
    total = weight = 0.0
    for document in documents:
        ids = [0, *(IDS[piece] for piece in document.pieces), 0]
        with torch.no_grad():
            log_p = model(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
        weights = [*document.weights, document.weights[-1]]
        for position, (target, share) in enumerate(zip(ids[1:], weights, strict=True)):
            total -= share * log_p[position, target].item()
            weight += share
    assert training.batch_loss(model, batch).item() == pytest.approx(total / weight, rel=1e-5)


def test_learning_rate_rises_stays_and_falls_to_a_twentieth():
    cfg = training.TrainingConfig.from_dict({**TINY, "steps": 1000, "learning_rate": 1.0})
    rates = [training.learning_rate(cfg, step) for step in (1, 50, 100, 101, 500, 750, 1000)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 1.0, 1.0, 0.525, 0.05])


def test_batches_follow_from_seed_and_step_and_switch_stage():
    cfg = training.TrainingConfig.from_dict(TINY)
    first, again = (training.batch_of(cfg, 3, IDS).tokens for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, training.batch_of(cfg, 4, IDS).tokens)
    late = {IDS[f" {country[0]}"] for country in language.lexicon.COUNTRIES}
    seen = [
        any(
            late & set(training.batch_of(cfg, step, IDS).tokens.flatten().tolist())
            for step in steps
        )
        for steps in (range(1, 8), range(8, 15))
    ]
    assert seen == [False, True]


def test_metric_follows_the_answers_of_each_prompt():
    cfg = training.TrainingConfig.from_dict(TINY)
    model = training.new_model(cfg, len(IDS) + 1)
    for task, fold in (("sentiment", np.mean), ("greater_than", np.sum)):
        probe = training.probe_of(task, 3, IDS)
        values = training.metric_values(model, probe)
        pairs = language.pairs(task, 0, 0, 3)
        for side, right, wrong, offset in (
            ("clean", "answers", "wrong", 0),
            ("corrupted", "wrong", "answers", 3),
        ):
            for number, pair in enumerate(pairs):
                ids = [0, *(IDS[piece] for piece in language.split(pair[side]))]
                with torch.no_grad():
                    scores = model(torch.tensor([ids])).logits[0, -1].double()
                if task == "greater_than":
                    scores = scores.softmax(-1)
                good, bad = (
                    fold([scores[IDS[piece]].item() for piece in pair[name]])
                    for name in (right, wrong)
                )
                assert values[offset + number] == pytest.approx(good - bad, abs=1e-5)


def test_a_run_cut_off_anywhere_ends_in_the_same_bytes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "SAVE_EVERY", 4)
    train_model.main(arguments(tmp_path / "whole", TINY))
    real = training.batch_of
    for stop in (2, 7, 13):  # before the first state, between two, after the last

        def cut_off(cfg, step, ids, stop=stop):
            if step == stop:
                raise KeyboardInterrupt
            return real(cfg, step, ids)

        folder = tmp_path / str(stop)
        monkeypatch.setattr(training, "batch_of", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train_model.main(arguments(folder, TINY))
        assert (folder / ".training" / "state.safetensors").exists() == (stop > 4)
        monkeypatch.setattr(training, "batch_of", real)
        train_model.main(arguments(folder, TINY))
        assert ("going on after step" in capsys.readouterr().err) == (stop > 4)
        assert files_of(folder) == files_of(tmp_path / "whole")


def test_a_state_of_other_settings_or_code_is_not_used(tmp_path, capsys):
    cfg = training.TrainingConfig.from_dict({**TINY, "steps": 2})
    code = '{"training.py":"a"}'
    training.train(cfg, tmp_path, code)
    changes = {
        "learning_rate was 0.003, is 0.001": ({"learning_rate": 0.001}, code),
        "learning_rate was 0.001, is 0.003; training.py changed": ({}, '{"training.py":"b"}'),
    }
    for reason, (other, digests) in changes.items():
        capsys.readouterr()
        changed = training.TrainingConfig.from_dict({**TINY, "steps": 2, **other})
        training.train(changed, tmp_path, digests)
        assert f"not used: {reason}\n" in capsys.readouterr().err
    (tmp_path / "state.safetensors").write_bytes(b"cut off")
    training.train(cfg, tmp_path, code)
    assert "not used: it is no state, or a damaged one" in capsys.readouterr().err


def test_a_killed_process_is_finished_by_the_same_command(tmp_path):
    cfg = {**TINY, "steps": 400, "checkpoints": [50, 150], "evaluate_every": 400}
    train_model.main(arguments(tmp_path / "whole", cfg))
    folder = tmp_path / "killed"
    given = arguments(folder, cfg)
    line = [sys.executable, str(SCRIPTS / "train_model.py"), "--cfg", json.dumps(cfg)]
    for name in ("model_dir", "checkpoint_dir", "curve", "state"):
        line += [f"--{name.replace('_', '-')}", str(getattr(given, name))]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    state = folder / ".training" / "state.safetensors"
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "model").exists()
    train_model.main(given)
    assert files_of(folder) == files_of(tmp_path / "whole")


def test_outputs_load_through_transformers_and_hold_the_trained_weights(tmp_path):
    train_model.main(arguments(tmp_path, TINY))
    assert sorted(files_of(tmp_path)) == [
        *(f"checkpoints/{s}/{n}" for s in (3, 9) for n in ("config.json", "model.safetensors")),
        *(f"model/{name}config.json" for name in ("", "generation_")),
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/tokenizer_config.json",
        "training.parquet",
    ]
    cfg = training.TrainingConfig.from_dict(TINY)
    untrained = training.new_model(cfg, len(IDS) + 1)
    models = [untrained] + [
        AutoModelForCausalLM.from_pretrained(tmp_path / place)
        for place in ("checkpoints/3", "checkpoints/9", "model")
    ]
    embeddings = [model.transformer.wte.weight.detach().numpy() for model in models]
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(embeddings))
    assert models[-1].lm_head.weight is models[-1].transformer.wte.weight
    ids = AutoTokenizer.from_pretrained(tmp_path / "model")("The king")["input_ids"]
    assert ids == tokenizer.encode_prompt(tokenizer.load(tmp_path / "model"), "The king")

    curve = tables.read_table(tmp_path / "training.parquet").to_pydict()
    rows = list(zip(*(curve[name] for name in ("step", "quantity", "task", "value")), strict=True))
    measured = [row for row in rows if row[1] == "accuracy"]
    assert {row[0] for row in measured} == {0, 6, 12, 14}
    assert {row[2] for row in measured} == set(language.task_names())
    assert [row[0] for row in rows if row[1] == "loss"] == [6, 12, 14]
    for step, quantity, task, value in rows:
        if quantity == "accuracy":
            halves = [
                row[3]
                for row in rows
                if row[:3] in [(step, f"accuracy_{side}", task) for side in ("clean", "corrupted")]
            ]
            assert math.isclose(value, sum(halves) / 2)


def test_unknown_and_missing_settings_are_named():
    with pytest.raises(ConfigError, match="unknown depth"):
        training.TrainingConfig.from_dict({**TINY, "depth": 3})
    with pytest.raises(ConfigError, match="lacks steps"):
        training.TrainingConfig.from_dict({key: TINY[key] for key in TINY if key != "steps"})


def test_threads_and_switches_are_put_back(tmp_path):
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    training.train(training.TrainingConfig.from_dict({**TINY, "steps": 1}), tmp_path)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
