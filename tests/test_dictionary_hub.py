"""Dictionaries on the hub: one folder, the files that its layout has, found again offline."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch

import foreign_dictionaries as foreign
import hub_server
from conftest import SCRIPTS
from connectome import dictionary_files, dictionary_hub
from connectome.errors import NotFetchedError

MANY, ROOT, GATED = "someone/many", "someone/one", "someone/gated"
SCOPE, OURS, PICKLED = "layer_12/width_16k/average_l0_82", "mlp.1", "trainer[0]"
NOWHERE = "http://127.0.0.1:9"  # nobody listens


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    foreign.gemma_scope(folder / SCOPE)
    foreign.saelens_topk(folder / OURS)
    foreign.learned_topk(folder / PICKLED)
    foreign.sparsify_topk(folder / "two")
    foreign.gemma_scope_2(folder / "two")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    more = {f"{SCOPE}/notes.txt": b"", f"{OURS}/optimizer.pt": b"pickle", "README.md": b"many"}
    more[f"{SCOPE}/deeper/params.npz"] = b"another"
    one = {name.removeprefix(f"{OURS}/"): c for name, c in files.items() if name.startswith(OURS)}
    return {
        MANY: hub_server.Repository(files | more),
        ROOT: hub_server.Repository(one),
        GATED: hub_server.Repository(files, token="hf_Secret"),
    }


def fetch(url, cache, *sources):
    """The script, on a machine whose hub is `url`: (exit code, what it printed)."""
    keys = ("name", "revision", "folder")
    wanted = [dict(zip(keys, source, strict=True)) for source in sources]
    cfg = {"models": [], "datasets": [], "dictionaries": wanted}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "fetch.py"), "--cache", str(cache)]
        + ["--cfg", json.dumps(cfg)],
        capture_output=True, text=True, timeout=100,
        env={**kept, "HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def fetched(repositories, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    commit = repositories[MANY].commit
    with hub_server.serve(repositories) as server:
        code, said = fetch(
            server.url, cache,
            (MANY, None, SCOPE), (MANY, commit, OURS), (MANY, None, PICKLED), (ROOT, None, ""),
        )  # fmt: skip
        asked = list(server.asked)
    assert code == 0, said
    return cache, said, asked


@pytest.mark.parametrize(
    "name, folder, layout",
    [
        (MANY, SCOPE, "Gemma Scope"),
        (MANY, OURS, "SAELens"),
        (MANY, PICKLED, "dictionary_learning"),
        (ROOT, "", "SAELens"),
    ],
)
def test_without_a_network_a_fetched_folder_is_read(
    fetched, repositories, monkeypatch, name, folder, layout
):
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    for revision in (None, "main", repositories[name].commit):
        found = dictionary_hub.cached_dictionary(name, revision, folder, fetched[0])
        dictionary, record = dictionary_files.read(found)
        assert record["layout"] == layout
        assert torch.isfinite(dictionary.encoder).all()


def test_only_the_files_of_the_layout_are_fetched(fetched):
    cache, said, asked = fetched
    names = {path.name for path in cache.rglob("*") if path.is_symlink()}
    weights = {"params.npz", "sae_weights.safetensors", "ae.pt"}
    assert names == {*weights, "cfg.json", "config.json"}
    assert not any("deeper" in path or "two/" in path for path in asked)
    assert said.count("not pinned: write `revision: 0123456789abcdef") == 3


def test_another_folder_or_revision_is_not_taken_for_the_one_in_the_cache(fetched):
    for revision, folder in ((None, "two"), ("f" * 40, SCOPE), (None, "layer_12")):
        with pytest.raises(NotFetchedError, match="is not in the local cache; fetch it"):
            dictionary_hub.cached_dictionary(MANY, revision, folder, fetched[0])


REFUSALS = [
    (MANY, None, SCOPE.replace("82", "83"), f"no folder .*did you mean '{SCOPE}'"),
    (MANY, None, "two", "'two' of hub model 'someone/many' holds more than one dictionary"),
    (MANY, None, "", "holds no dictionary; files seen: README.md"),
    (MANY, "dev", SCOPE, "has no revision 'dev'"),
    ("someone/nothing", None, SCOPE, "is not known to the hub, or private"),
    (GATED, None, SCOPE, "is gated: .*set HF_TOKEN"),
]


@pytest.mark.parametrize("name, revision, folder, said", REFUSALS)
def test_what_cannot_be_fetched_is_one_sentence(
    repositories, tmp_path, name, revision, folder, said
):
    with hub_server.serve(repositories) as server:
        code, text = fetch(server.url, tmp_path, (name, revision, folder))
    assert code == 1 and re.search(said, text), text
    assert len(text.strip().splitlines()) == 1 and "Traceback" not in text
