"""Fetched once, offline after: against a hub of this machine that is then switched off."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml

import tiny_hub
import tiny_models
from conftest import ROOT, SCRIPTS
from connectome import arrays, tokenizer

TOKEN = "hf_neverWrittenAnywhere0123"
NOWHERE = "http://127.0.0.1:9"  # nothing answers there


def environment(folder, address, token=None):
    """Of a process that knows no other cache, token or hub than these."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    tokens = {"HF_TOKEN": token} if token else {}
    return {**kept, "HF_HOME": str(folder / "home"), "HF_ENDPOINT": address, **tokens}


def fetch(folder, address, name="me/tiny", revision="main", token=None, kind="models"):
    """(exit code, text, seconds) of the script behind `fetch`."""
    wanted = {"models": [], "datasets": []} | {kind: [{"name": name, "revision": revision}]}
    command = [sys.executable, SCRIPTS / "fetch_from_hub.py", "--cfg", json.dumps(wanted)]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--cache", folder / "cache"],
        env=environment(folder, address, token), cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


def describe(folder, output, source, *arguments):
    """Result of describe_model, with a hub that does not answer."""
    cfg = json.dumps({"name": "tiny", "source": source})
    command = [sys.executable, SCRIPTS / "describe_model.py", "--cfg", cfg, "--output", output]
    return subprocess.run(
        [*command, *arguments],
        env=environment(folder, NOWHERE), cwd=folder, capture_output=True, text=True,
    )  # fmt: skip


def refused(answer, *words):
    """Asserts that a fetch ended at once, with one sentence that has these words."""
    code, text, seconds = answer
    sentences = [line for line in text.splitlines() if line.startswith("error: ")]
    assert code == 1 and len(sentences) == 1, text
    assert "Traceback" not in text
    assert all(word in sentences[0] for word in words), text
    assert seconds < 15


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model directory with more in it than is wanted."""
    folder = tmp_path_factory.mktemp("served") / "model"
    tiny_models.gpt2(folder)
    words = tokenizer.build([f"w{i}" for i in range(20)], r"\w+")
    tokenizer.save(words, folder, 24)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "README.md").write_text("about the model\n")
    return folder


@pytest.fixture
def address(tiny):
    with tiny_hub.serve({"me/tiny": tiny}) as hub:
        yield hub.address


def test_a_fetched_model_is_the_one_by_path_after_the_hub_is_gone(tiny, tmp_path):
    with tiny_hub.serve({"me/tiny": tiny}) as hub:
        code, text, _ = fetch(tmp_path, hub.address)
        asked = set(hub.asked)
    assert code == 0, text
    assert f"not pinned: write `revision: {tiny_hub.COMMIT}`" in text
    assert "model.safetensors" in asked and "tokenizer.json" in asked
    assert not asked & {"pytorch_model.bin", "README.md"}
    source = {"hub": "me/tiny", "revision": "main"}
    done = describe(tmp_path, tmp_path / "hub.json", source, "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    files = [tiny / "config.json"]
    done = describe(tmp_path, tmp_path / "path.json", {"path": str(tiny)}, "--files", *files)
    assert done.returncode == 0, done.stderr
    ours, theirs = (arrays.read_json(tmp_path / f"{kind}.json") for kind in ("hub", "path"))
    where = {"source", "hub", "revision", "directory", "made_by"}
    assert {k: v for k, v in ours.items() if k not in where} == {
        k: v for k, v in theirs.items() if k not in where
    }
    assert ours["revision"] == tiny_hub.COMMIT


def test_a_pinned_revision_is_not_asked_to_be_pinned(address, tmp_path):
    code, text, _ = fetch(tmp_path, address, revision=tiny_hub.COMMIT)
    assert code == 0, text
    assert "not pinned" not in text and tiny_hub.COMMIT in text


def test_without_a_network_fetch_ends_at_once_with_one_sentence(tmp_path):
    refused(fetch(tmp_path, NOWHERE), "me/tiny", "network")


def test_an_unfetched_model_ends_at_once_and_asks_no_network(address, tmp_path):
    start = time.monotonic()
    source = {"hub": "me/tiny", "revision": "main"}
    done = describe(tmp_path, tmp_path / "hub.json", source, "--cache", tmp_path / "cache")
    assert done.returncode == 1
    assert done.stderr.startswith("error: hub model 'me/tiny'") and "fetch" in done.stderr
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("name", "revision", "words"),
    [
        ("me/tyni", "main", ("me/tyni", "not known")),
        ("me/tiny", "next", ("me/tiny", "no revision 'next'")),
    ],
)
def test_a_wrong_name_is_named(address, tmp_path, name, revision, words):
    refused(fetch(tmp_path, address, name, revision), *words)


def test_a_gated_model_wants_a_token_from_the_environment(tiny, tmp_path):
    with tiny_hub.serve({"me/tiny": tiny}, gated=("me/tiny",), token=TOKEN) as hub:
        refused(fetch(tmp_path, hub.address), "gated", "HF_TOKEN")
        refused(fetch(tmp_path, hub.address, token="hf_wrong"), "gated", "refused")
        code, text, _ = fetch(tmp_path, hub.address, token=TOKEN)
    assert code == 0, text


def test_a_model_of_pickles_is_refused_before_anything_is_fetched(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/config.json").write_text("{}")
    (tmp_path / "old/pytorch_model.bin").write_bytes(b"a pickle")
    with tiny_hub.serve({"me/old": tmp_path / "old"}) as hub:
        refused(fetch(tmp_path, hub.address, "me/old"), "pytorch_model.bin", "never loaded")
        assert hub.asked == []


def test_a_fetched_data_set_is_read_offline(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    (tmp_path / "set/code.py").write_text("raise SystemExit('run')\n")
    with tiny_hub.serve({"me/set": tmp_path / "set"}) as hub:
        code, text, _ = fetch(tmp_path, hub.address, "me/set", kind="datasets")
        assert hub.asked == ["train.jsonl"]
    assert code == 0, text
    program = (
        "import sys; from pathlib import Path; from connectome import text_rows\n"
        "rows = text_rows.read_dataset({'dataset': 'me/set'}, ['text'], Path(sys.argv[1]))\n"
        "print([row['text'] for _, row in rows])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "cache"],
        env={**environment(tmp_path, NOWHERE), "PYTHONPATH": str(SCRIPTS)},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "['one', 'two']", done.stderr


def snakemake(folder, address, *arguments, token=TOKEN):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--cores", "1"]
        + ["--snakefile", ROOT / "Snakefile", "--configfile", folder / "mine.yaml"],
        env=environment(folder, address, token), cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_target_fetches_a_gated_model_of_unknown_layers_and_writes_no_token(tiny, tmp_path):
    (tmp_path / "text.txt").write_text("w1 w2\n\nw3 w4\n")
    config = {
        "hub": {"cache": str(tmp_path / "cache")},
        "models": {"far": {"hub": "me/tiny", "revision": tiny_hub.COMMIT}},
        "corpus": {"file": "text.txt", "documents": 10, "tokens": 100},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    with tiny_hub.serve({"me/tiny": tiny}, gated=("me/tiny",), token=TOKEN) as hub:
        code, text = snakemake(tmp_path, hub.address, "fetch")
        assert code == 0, text
        assert f"commit {tiny_hub.COMMIT} lies in {tmp_path / 'cache'}" in text
    code, text = snakemake(tmp_path, NOWHERE, "results/far/model.json")
    assert code == 0, text
    assert arrays.read_json(tmp_path / "results/far/model.json")["revision"] == tiny_hub.COMMIT
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(".snakemake" in path.parts for path in files)
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
