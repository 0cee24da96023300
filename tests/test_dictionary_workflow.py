"""Dictionaries through the workflow: loaded ones, transcoders, those of the stream; bad folders."""

import json
import pickle
import subprocess

import pytest
import torch
from safetensors.torch import load_file

import foreign_dictionaries
import stranger_model
import toy_workflow
from conftest import ROOT, quick_command
from connectome import configuration, dictionary_files, tables
from connectome.errors import ConfigError

WIDTH, FEATURES = 16, 20
DICTIONARIES = {
    "neurons": {},
    "loaded": {"load": {"attn.0": {"path": "foreign"}}},
    "transcoders": {"sites": ["mlp.0"], "train": {"transcoder": True, "skip": True}},
    "stream": {"sites": ["embed", "resid.0"], "train": {"architecture": "topk"}},
}
DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")


def write_foreign(folder, without="", width=WIDTH, **config):
    """A jumprelu dictionary of an attention module as SAELens writes it."""
    generator = torch.Generator().manual_seed(1)
    shapes = {"W_enc": (width, FEATURES), "W_dec": (FEATURES, width), "b_dec": (width,)}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    tensors |= {"b_enc": torch.zeros(FEATURES), "threshold": torch.full((FEATURES,), 0.5)}
    tensors.pop(without, None)
    metadata = foreign_dictionaries.NEW | {"hook_name": "blocks.0.hook_attn_out"}
    settings = {"architecture": "jumprelu", "d_in": width, "d_sae": FEATURES, "metadata": metadata}
    foreign_dictionaries.save_saelens(folder, tensors, **{**settings, **config})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run to the page. Not to be changed."""
    folder = tmp_path_factory.mktemp("dictionaries")
    write_foreign(folder / "foreign")
    paragraphs = (stranger_model.document(first) for first in range(12))
    (folder / "text.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    changes = {
        "corpus": {"documents": 12},
        "dictionaries": DICTIONARIES,
        "dictionary_training": {"features": 24, "k": 4, "tokens": 20000, "batch_tokens": 128},
        "dictionary_quality": {"tokens": 400, "loss_tokens": 200},
    }
    return stranger_model.run(folder, changes)


def rows_of(results, name, **wanted):
    return [
        row
        for row in tables.read_csv(results / f"tables/{name}.csv")
        if all(row[key] == value for key, value in wanted.items())
    ]


@pytest.mark.slow
def test_a_folder_of_others_is_written_again_as_it_is(results):
    folder = results / "one/loaded/dictionary/attn.0"
    ours = load_file(folder / "sae_weights.safetensors")
    theirs = load_file(results.parent / "foreign/sae_weights.safetensors")
    assert {name: tensor.tolist() for name, tensor in ours.items()} == {
        name: tensor.tolist() for name, tensor in theirs.items()
    }
    read = json.loads((folder / "train.json").read_text())["read"]
    assert (read["layout"], read["activation"], read["features"]) == ("SAELens", "jumprelu", 20)


@pytest.mark.slow
def test_every_dictionary_is_judged_and_the_page_says_how_it_was_read(results):
    own = rows_of(results, "dictionaries", kind="dictionary")
    assert {(row["dictionary"], row["site"], row["activation"]) for row in own} == {
        ("loaded", "attn.0", "jumprelu"),
        ("transcoders", "mlp.0", "jumprelu"),
        ("stream", "embed", "topk"),
        ("stream", "resid.0", "topk"),
    }
    assert all(row["status"] == "ok" and row["delta"] for row in own)
    page = (results / "report.html").read_text()
    assert page.count("read with the activation jumprelu") == 2
    assert page.count("read with the activation topk") == 2


@pytest.mark.slow
def test_a_transcoder_reads_what_its_mlp_reads(results):
    (row,) = rows_of(results, "dictionaries", kind="dictionary", dictionary="transcoders")
    assert (row["transcoder"], row["skip"]) == ("true", "true")
    (control,) = rows_of(results, "dictionaries", dictionary="transcoders", kind="linear")
    assert float(control["explained_variance"]) > 0
    _, record = dictionary_files.read(results / "one/transcoders/dictionary/mlp.0")
    assert record["hook_name"] != record["hook_name_out"]


@pytest.mark.slow
def test_circuits_of_features_have_all_three_policies_of_the_error(results):
    for name in ("loaded", "transcoders"):
        found = rows_of(results, "errors", dictionary=name)
        assert {row["error"] for row in found} == {"in-graph", "kept", "ablated"}, name
        whole = [row for row in found if row["k"] == "1.0" and row["mode"] == "circuit"]
        for row in whole:  # the whole graph with its errors is the model
            if row["error"] != "ablated":
                assert float(row["f_ratio"]) == pytest.approx(1, abs=1e-4), row
    assert not (results / "one/stream/circuits").exists()  # of the stream: judged, not mapped


def test_attention_that_a_dictionary_covers_is_recorded_whatever_is_listed():
    from connectome import dictionary_config

    config = configuration.complete(
        {"models": {"one": {"path": "m"}}, "dictionaries": DICTIONARIES}, DEFAULTS
    )
    config["activations"] = config["activations"] | {"sites": ["mlp.0"]}
    assert dictionary_config.natives_of(config, "one") == ["mlp.0", "attn.0"]


def old_layout(folder):
    write_foreign(folder, without="threshold", architecture="standard", activation_fn_str="bogus",
                  metadata=KeyError)  # fmt: skip


def truncated(folder):
    write_foreign(folder)
    path = folder / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickled(folder):
    folder.mkdir()
    (folder / "sae_weights.pkl").write_bytes(pickle.dumps({"W_enc": [1.0]}))


BAD = {
    "wrong width": (lambda f: write_foreign(f, width=12), r"d_in is 12.*attn\.0.*16 channels"),
    "no threshold": (lambda f: write_foreign(f, without="threshold"), r"needs the tensors.*thresh"),
    "architecture": (lambda f: write_foreign(f, architecture="temporal"), "'temporal'.*jumprelu"),
    "old settings": (old_layout, "activation_fn_str.*'bogus'"),
    "truncated": (truncated, r"sae_weights\.safetensors is damaged.*its header promises"),
    "a pickle": (pickled, r"no dictionary; files seen: sae_weights\.pkl"),
    "nothing": (lambda f: None, "foreign is no folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_folder_is_one_sentence_before_anything_runs(name, tmp_path):
    write, said = BAD[name]
    write(tmp_path / "foreign")
    if not (tmp_path / "model").exists():
        stranger_model.gpt2().save_pretrained(tmp_path / "model")
    config = {
        "models": {"one": {"path": str(tmp_path / "model")}},
        "dictionaries": {"loaded": {"load": {"attn.0": {"path": str(tmp_path / "foreign")}}}},
    }
    with pytest.raises(ConfigError, match=said) as caught:
        configuration.check(configuration.complete(config, DEFAULTS))
    lines = [line for line in str(caught.value).splitlines() if "dictionaries" in line]
    assert len(lines) == 1 and "loaded.load.attn.0" in lines[0]


def stale(results, tmp_path, **changes):
    """Rules that would run again after a change of sections of the quick configuration."""
    quick = configuration.read_yaml(ROOT / "tests/config/quick.yaml")
    for section, keys in changes.items():
        quick[section] = quick[section] | keys
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(quick))
    command = quick_command(results.parent, config=str(path))
    done = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True)
    return set(toy_workflow.jobs(done.stdout))


def test_what_is_measured_of_dictionaries_reruns_no_training(quick_results, tmp_path):
    assert stale(quick_results, tmp_path, dictionary_quality={"loss_tokens": 700}) == {
        *("evaluate_dictionary", "tabulate_dictionaries", "plot_dictionaries"),
        *("tabulate_summary", "build_report", "record_provenance"),
    }


def test_another_training_reruns_what_is_mapped_with_it_and_nothing_native(quick_results, tmp_path):
    found = stale(quick_results, tmp_path, dictionary_training={"k": 5})
    assert {"train_dictionary", "encode_features", "fit_sbm", "score_prompts"} <= found
    assert not found & {"train_model", "record_activations", "ablate_across_tasks", "make_task"}
