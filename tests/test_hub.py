"""The hub: fetched once and pinned, read offline after; refusals are one sentence, tokens stay."""

import json
import os
import re
import subprocess
import sys

import pytest
import tokenizers

import hub_server
import tiny_models
from conftest import ROOT, SCRIPTS
from connectome import arrays, configuration, hub, models
from connectome.errors import ConfigError, ModelError, NotFetchedError

TOKEN = "hf_SecretOfMine"
NAME, GATED, PICKLED, TEXTS = "someone/tiny", "someone/gated", "someone/pickled", "someone/texts"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A local model directory with a tokenizer."""
    folder = tiny_models.gpt2(tmp_path_factory.mktemp("hub") / "model")
    words = {f"w{i}": i for i in range(23)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w1"))
    backend.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def repositories(model):
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    extra = {"pytorch_model.bin": b"pickle", "onnx/model.safetensors": b"x", "README.md": b"tiny"}
    return {
        NAME: hub_server.Repository(files | extra),
        GATED: hub_server.Repository(files, token=TOKEN),
        PICKLED: hub_server.Repository({"config.json": b"{}", "pytorch_model.bin": b"pickle"}),
        TEXTS: hub_server.Repository(
            {"train.jsonl": b'{"text": "w2 w3"}\n{"text": "w4"}\n', "load.py": b"print()"},
            kind="dataset",
        ),
    }


def environment(url, **more):
    """That of a machine with a network, whose hub is `url`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return {**kept, "HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1", **more}


def script(name, url, *arguments, cfg, **more):
    """A script of the workflow on such a machine: (exit code, what it printed)."""
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
        + ["--cfg", json.dumps(cfg)],
        capture_output=True, text=True, timeout=100, env=environment(url, **more),
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def fetch(url, cache, *names, revision=None, datasets=(), **more):
    cfg = {
        "models": [{"name": name, "revision": revision} for name in names],
        "datasets": [{"name": name, "revision": revision} for name in datasets],
    }
    return script("fetch", url, "--cache", cache, cfg=cfg, **more)


NOWHERE = "http://127.0.0.1:9"  # nobody listens


@pytest.fixture(scope="module")
def fetched(repositories, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    with hub_server.serve(repositories) as server:
        code, said = fetch(server.url, cache, NAME, datasets=[TEXTS])
        asked = list(server.asked)
    assert code == 0, said
    return cache, said, asked


def test_fetching_prints_the_commit_and_asks_to_pin_it(fetched, repositories):
    _, said, _ = fetched
    assert f"{NAME}: commit {repositories[NAME].commit} lies in" in said
    assert f"write `revision: {repositories[NAME].commit}`" in said


def test_no_pickle_no_script_and_nothing_in_subfolders_is_fetched(fetched, model):
    cache, _, asked = fetched
    names = {path.name for path in cache.rglob("*") if path.is_file()}
    assert {path.name for path in model.iterdir()} <= names
    assert not any(name.endswith((".bin", ".py")) or "onnx" in name for name in names)
    assert not any(path.endswith((".bin", ".py")) or "onnx" in path for path in asked)


@pytest.mark.parametrize("revision", [None, "main", "0123456789abcdef0123456789abcdef01234567"])
def test_without_a_network_a_fetched_model_is_the_model_by_path(fetched, model, tmp_path, revision):
    records = {}
    for kind, source in (("hub", {"hub": NAME, "revision": revision}), ("path", {"path": "x"})):
        source = {key: value for key, value in source.items() if value is not None}
        files = ["--files", *model.iterdir()] if kind == "path" else ["--cache", fetched[0]]
        code, said = script(
            "describe_model", NOWHERE, *files, "--output", tmp_path / f"{kind}.json",
            cfg={"name": "tiny", "source": source},
        )  # fmt: skip
        assert code == 0, said
        records[kind] = arrays.read_json(tmp_path / f"{kind}.json")
    differ = {key for key, value in records["hub"].items() if value != records["path"][key]}
    assert differ == {"source", "hub", "revision", "directory", "made_by"}
    assert records["hub"]["revision"] == "0123456789abcdef0123456789abcdef01234567"
    assert records["path"]["revision"] is None


def test_results_that_moved_take_the_same_commit_from_the_other_machines_cache(
    fetched, repositories, tmp_path, monkeypatch
):
    record = {"directory": "/away", "hub": NAME, "revision": repositories[NAME].commit}
    arrays.write_json(tmp_path / "model.json", record, {})
    with pytest.raises(ModelError, match="no folder is there"):
        models.open_handle(tmp_path / "model.json")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(fetched[0]))
    found = models.open_handle(tmp_path / "model.json").directory
    assert found == hub.cached_model(NAME, None, fetched[0]).directory.resolve()


def test_a_fetched_data_set_is_read_without_a_network(fetched):
    from connectome import corpus

    found = corpus.read({"dataset": TEXTS}, fetched[0])
    assert [document.text for document in found] == ["w2 w3", "w4"]


@pytest.mark.parametrize("revision", ["dev", "f" * 40])
def test_another_revision_is_not_taken_for_the_one_in_the_cache(fetched, revision):
    with pytest.raises(
        NotFetchedError, match=f"at revision '{revision}' is not in the local cache"
    ):
        hub.cached_model(NAME, revision, fetched[0])


REFUSALS = [
    (PICKLED, None, {}, "only the pickle pytorch_model.bin, which is never loaded"),
    (GATED, None, {}, "is gated: .*set HF_TOKEN"),
    (GATED, None, {"HF_TOKEN": "hf_Wrong"}, "is gated: .*its token was refused"),
    ("someone/nothing", None, {}, "is not known to the hub, or private"),
    (NAME, "dev", {}, "has no revision 'dev'"),
    ("no id of/the hub", None, {}, "no id of the hub"),
    (NAME, None, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
]


@pytest.mark.parametrize("name, revision, more, said", REFUSALS)
def test_what_cannot_be_fetched_is_one_sentence(repositories, tmp_path, name, revision, more, said):
    with hub_server.serve(repositories) as server:
        code, text = fetch(server.url, tmp_path, name, revision=revision, **more)
    assert code == 1 and re.search(said, text), text
    assert len(text.strip().splitlines()) == 1 and "Traceback" not in text


def test_a_cache_that_is_a_file_is_refused_and_not_taken_for_a_missing_network(
    repositories, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    defaults = configuration.read_yaml(ROOT / "config/config.yaml")
    for cache, said in (("file", "is no folder"), ("~/cache", "starts with neither - nor ~")):
        mine = {"models": {"a": {"train": {}}}, "hub": {"cache": cache}}
        with pytest.raises(ConfigError, match=f"hub.cache: '{cache}' .*{said}"):
            configuration.check(configuration.complete(mine, defaults))
    with hub_server.serve(repositories) as server:
        code, text = fetch(server.url, tmp_path / "file", NAME)
    last = text.strip().splitlines()[-1]  # the library warns before it
    assert code == 1 and re.match(rf"error: hub model '{NAME}' cannot be stored: .*not a dir", last)


def test_no_network_is_one_sentence_within_seconds(tmp_path):
    code, said = fetch(NOWHERE, tmp_path, NAME)
    assert code == 1 and "no answer from the hub" in said
    assert len(said.strip().splitlines()) == 1


def test_the_token_of_a_gated_model_goes_to_the_hub_and_nowhere_else(repositories, tmp_path):
    """The target itself: log, records of Snakemake, cache, and what it prints."""
    (tmp_path / "mine.yaml").write_text(
        f"models: {{mine: {{hub: {GATED}}}}}\nhub: {{cache: here}}\n"
    )
    with hub_server.serve(repositories) as server:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", "--directory", str(tmp_path),
             "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(tmp_path / "mine.yaml"),
             "--workflow-profile", str(ROOT / "profiles/default"), "fetch"],
            capture_output=True, text=True, check=False,
            env=environment(server.url, HF_TOKEN=TOKEN),
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.tokens == {TOKEN}
    assert (tmp_path / "here").is_dir()
    assert repositories[GATED].commit in (tmp_path / "results/log/fetch.log").read_text()
    assert TOKEN not in done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


def test_a_model_that_was_not_fetched_stops_the_run_before_any_job(tmp_path):
    (tmp_path / "mine.yaml").write_text("models: {mine: {hub: someone/else}}\nhub: {cache: here}\n")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--directory", str(tmp_path),
         "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(tmp_path / "mine.yaml"),
         "--workflow-profile", str(ROOT / "profiles/default")],
        capture_output=True, text=True, env=environment(NOWHERE), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "models.mine: hub model 'someone/else' is not in the local cache" in said
    assert "snakemake --cores 1 fetch" in said
    assert not (tmp_path / "results").exists()


def test_only_a_whole_commit_hash_is_pinned():
    assert hub.is_pinned("0" * 40)
    assert not any(map(hub.is_pinned, (None, "main", "v1.0", "0" * 39, "0" * 41, "G" * 40)))


def test_a_cached_model_is_found_without_leaving_this_process_to_the_network(fetched, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    directory, commit = hub.cached_model(NAME, None, fetched[0])
    assert directory.name == commit and (directory / "model.safetensors").is_file()
    with pytest.raises(ModelError):
        hub.cached_model("someone/never", None, fetched[0])
