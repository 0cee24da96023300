"""Folders of dictionaries: what others wrote reads as they compute it, the rest is one sentence."""

import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import foreign_dictionaries as foreign
from conftest import SCRIPTS
from connectome import dictionaries, dictionary_files, dictionary_formats, stamps, tensor_files
from connectome.dictionaries import Dictionary
from connectome.dictionary_files import Files
from connectome.errors import DataError
from foreign_dictionaries import OUT, D, F, K

STAMP = {"cfg": '{"seed":1}', "code": ""}


@pytest.mark.parametrize("name", foreign.MAKERS)
def test_a_folder_of_others_computes_what_they_compute(name, tmp_path):
    x, f, y = foreign.MAKERS[name](tmp_path)
    dictionary, record = dictionary_files.read(tmp_path, foreign.OPTIONS[name])
    dictionary = dictionary.to("cpu", torch.float64)
    assert 0.1 < (f > 0).double().mean() < 0.9
    found = dictionaries.encode(dictionary, x)
    assert torch.equal(found > 0, f > 0)
    torch.testing.assert_close(found, f, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(dictionaries.decode(dictionary, found, x), y, rtol=1e-6, atol=1e-6)
    assert (record["d_in"], record["d_out"]) == (x.shape[1], y.shape[1])
    assert record["features"] == f.shape[1]
    assert record["transcoder"] == ("transcoder" in name)
    assert record["skip"] == ("skip" in name)
    json.dumps(record, allow_nan=False)


SHOWN = {
    "saelens_topk": ("SAELens", "topk", "topk", K, []),
    "saelens_topk_rescaled": ("SAELens", "topk", "topk", K, ["lengths of their decoder rows"]),
    "saelens_old": ("SAELens", "standard", "relu", None, []),
    "saelens_old_topk": ("SAELens", "topk (from activation_fn_str)", "topk", K, []),
    "sparsify_transcoder": ("sparsify", "topk", "topk", K, []),
    "gemma_scope_embedding": ("Gemma Scope", "jumprelu", "jumprelu", None, ["scaled embeddings"]),
    "learned_matryoshka": (
        "dictionary_learning", "jumprelu (from MatryoshkaBatchTopKSAE)", "jumprelu", None, [],
    ),
    "learned_batchtopk_unset": (
        "dictionary_learning", "jumprelu (from BatchTopKSAE)", "relu", None, ["was never set"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_the_record_says_how_a_folder_was_read(name, tmp_path):
    foreign.MAKERS[name](tmp_path)
    record = dictionary_files.read(tmp_path, foreign.OPTIONS[name])[1]
    *plain, notes = SHOWN[name]
    assert [record[key] for key in ("layout", "architecture", "activation", "k")] == plain
    assert len(record["notes"]) == len(notes)
    assert all(note in said for note, said in zip(notes, record["notes"], strict=True))


def test_the_record_has_what_the_files_say_of_model_and_site(tmp_path):
    said = {}
    for name in ("saelens_old", "saelens_transcoder", "gemma_scope_2", "learned_matryoshka"):
        foreign.MAKERS[name](tmp_path / name)
        said[name] = dictionary_files.read(tmp_path / name)[1]
    assert said["saelens_old"]["hook_name"] == "blocks.8.hook_resid_pre"
    assert said["saelens_old"]["model_name"] == "gpt2-small"
    assert said["saelens_transcoder"]["hook_name_out"] == "blocks.1.hook_mlp_out"
    assert said["gemma_scope_2"]["hf_hook_name"] == "model.layers.1.output"
    details = said["learned_matryoshka"]["training_architecture_details"]
    assert details == {"k": K, "group_sizes": [2, 4, 6]}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_format_of_floats_is_read_as_float32(dtype, tmp_path):
    foreign.saelens_jumprelu(tmp_path)
    path = tmp_path / "sae_weights.safetensors"
    stored = {name: tensor.to(dtype) for name, tensor in load_file(path).items()}
    save_file(stored, path)
    dictionary = dictionary_files.read(tmp_path)[0]
    assert dictionary.encoder.dtype == dictionary.threshold.dtype == torch.float32
    assert torch.equal(dictionary.encoder, stored["W_enc"].float())


# --- refusals: make, change, what is said


def config(**changes):
    """Changes keys of the settings beside the tensors; KeyError takes one away."""

    def change(folder):
        path = next(p for p in (folder / "cfg.json", folder / "config.json") if p.exists())
        content = json.loads(path.read_text())
        part = content.get("trainer", content)
        for key, value in changes.items():
            part.pop(key, None)
            if value is not KeyError:
                part[key] = value
        path.write_text(json.dumps(content))

    return change


def metadata(**changes):
    return config(metadata={**foreign.NEW, **changes})


def tensors(**changes):
    """Changes stored tensors: a function of the old one, a new one, or KeyError to take it away."""

    def change(folder):
        path = next(folder / n for n in WEIGHTS if (folder / n).exists())
        if path.suffix == ".npz":
            found = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
        else:
            found = torch.load(path) if path.suffix == ".pt" else load_file(path)
        for name, value in changes.items():
            name = name.replace("__", ".")
            old = found.pop(name, None)
            if value is not KeyError:
                found[name] = value(old).contiguous() if callable(value) else value
        if path.suffix == ".npz":
            np.savez(path, **{name: tensor.numpy() for name, tensor in found.items()})
        else:
            (torch.save if path.suffix == ".pt" else save_file)(found, path)

    return change


WEIGHTS = [n for module in dictionary_formats.layouts().values() for n in module.WEIGHTS]
OF_HEADS = "attention head.*no site here"
REFUSALS = [
    ("saelens_standard", config(normalize_activations="layer_norm"),
     "cfg.json: normalize_activations is 'layer_norm', .*handled: 'none', False"),
    ("saelens_standard", config(normalize_activations="expected_average_only_in"), "not folded"),
    ("saelens_old", config(normalize_activations=True), "True, .*expected_average_only_in"),
    ("saelens_old", config(finetuning_scaling_factor=True), "finetuning_scaling_factor is True"),
    ("saelens_old", tensors(scaling_factor=2 * torch.ones(F)), "scaling_factor is not 1 every"),
    ("saelens_standard", config(architecture="batchtopk"),
     "architecture is 'batchtopk'; handled: 'standard', 'topk', 'jumprelu', 'gated', 'transcoder'"),
    ("saelens_standard", config(architecture="abstopk"), "architecture is 'abstopk'"),
    ("saelens_standard", config(architecture=["standard"]), r"architecture is \['standard'\]"),
    ("saelens_jumprelu", tensors(log_threshold=torch.zeros(F), threshold=KeyError),
     "'log_threshold' is not handled; it is a file of a training that goes on"),
    ("saelens_standard", tensors(topk_threshold=torch.tensor(1.0)), "'topk_threshold' is not han"),
    ("saelens_standard", config(reshape_activations="hook_z"), OF_HEADS),
    ("saelens_old", config(hook_point="blocks.3.attn.hook_z"), OF_HEADS),
    ("saelens_old", config(hook_point_head_index=2), OF_HEADS),
    ("saelens_standard", metadata(hook_head_index=2), rf"hook_head_index is 2.*{OF_HEADS}"),
    ("saelens_old", config(activation_fn_str="tanh-relu"),
     "activation_fn_str is 'tanh-relu'; handled: 'relu' or 'topk', where architecture is 'stan"),
    ("saelens_old_topk", config(activation_fn="relu"), "activation_fn_str is 'topk'; handled: 're"),
    ("saelens_standard", config(activation_fn_str="topk"), "is 'topk'; handled: 'relu', where"),
    ("saelens_jumprelu", config(activation_fn="topk"), "is 'topk'; handled: 'relu', where"),
    ("saelens_topk", config(activation_fn="relu"), "is 'relu'; handled: 'topk', where"),
    ("saelens_old_topk", config(activation_fn_kwargs={}), "k is missing; handled: one number"),
    ("saelens_old_topk", config(activation_fn_kwargs={"k": K, "signed": True}),
     r"activation_fn_kwargs\.signed is True, which keeps features below 0"),
    ("saelens_old_topk", config(activation_fn_kwargs=3), "kwargs is 3; handled: an object"),
    ("saelens_old_topk", config(k=K + 1), "k is 4; handled: one number"),
    ("saelens_topk", config(k=KeyError), "k is missing; handled: one number"),
    ("saelens_topk", config(k=2.5), "k is 2.5; handled: a whole number of at least 1"),
    ("saelens_topk", config(k=True), "k is True; handled: a whole number"),
    ("saelens_topk", config(k=F + 1), f"k is {F + 1}, more than the {F} features"),
    ("saelens_jumprelu", config(rescale_acts_by_decoder_norm=True), "is True; handled: false, for"),
    ("saelens_standard", config(apply_b_dec_to_input="yes"), "'yes'; handled: true, false"),
    ("saelens_standard", metadata(sae_lens_version="six"), r"metadata\.sae_lens_version is 'six'"),
    ("saelens_standard", config(d_sae=F + 1), r"'W_enc' has shape \[5, 12\], where \(d_in"),
    ("saelens_standard", config(d_in=D + 1), "'W_enc' has shape .*d_in = 6, d_sae = 12"),
    ("saelens_transcoder", config(d_out=D), r"'W_dec' has shape \[12, 3\].*d_out = 5"),
    ("saelens_standard", config(d_in="5"), "d_in is '5'; handled: a whole number"),
    ("saelens_standard", config(architecture="jumprelu"),
     "jumprelu needs the tensors W_dec, W_enc, b_dec, b_enc, threshold .*the file has W_dec, W_en"),
    ("saelens_gated", config(architecture="standard"), "standard needs the tensors"),
    ("saelens_skip_transcoder", config(architecture="transcoder"), "transcoder needs the tensors"),
    ("saelens_standard", tensors(W_enc=lambda t: t.T), r"'W_enc' has shape \[12, 5\]"),
    ("saelens_standard", tensors(b_dec=lambda t: t[None]), r"'b_dec' has shape \[1, 5\], where"),
    ("saelens_standard", tensors(b_enc=lambda t: t[:-1]), r"'b_enc' has shape \[11\].*d_sae = 12"),
    ("saelens_standard", tensors(W_dec=lambda t: t * torch.nan), "'W_dec' has NaN or infinite"),
    ("saelens_standard", tensors(b_dec=lambda t: t / 0), "'b_dec' has NaN or infinite values"),
    ("saelens_standard", tensors(b_dec=lambda t: t.double() * 1e300), "'b_dec' has NaN or infin"),
    ("saelens_standard", tensors(W_enc=lambda t: t.to(torch.int8)), "number format int8; handled"),
    ("saelens_standard", tensors(b_enc=KeyError), "needs the tensors .*the file has W_dec, W_"),
    ("sparsify_topk", config(activation="groupmax"), "activation is 'groupmax'; handled: 'topk'"),
    ("sparsify_topk", config(signed=True), "signed is True, which keeps features below 0"),
    ("sparsify_topk", config(embed_skip=True), "embed_skip is True, which reads more"),
    ("sparsify_topk", config(gram_lookup=True), "gram_lookup is True, which reads more"),
    ("sparsify_topk", config(k=KeyError), "k is missing; handled: a whole number"),
    ("sparsify_topk", config(num_latents=0), r"'encoder.weight' has shape \[12, 5\].*= 160"),
    ("sparsify_topk", config(skip_connection=True), "topk needs the tensors W_dec, W_skip, b_dec"),
    ("sparsify_skip_transcoder", config(skip_connection=False), "and no others; .*W_skip"),
    ("sparsify_topk", tensors(W_dec=lambda t: t.T), r"'W_dec' has shape \[5, 12\]"),
    ("gemma_scope", tensors(scaling_factor=torch.zeros(D)), "scaling_factor is not 1 everywhere"),
    ("gemma_scope", tensors(W_ENC=torch.zeros(D, F)), "and no others; the file has W_ENC, W_de"),
    ("gemma_scope", tensors(W_dec=lambda t: t[:, :OUT]), r"'w_dec' has shape \[12, 3\]"),
    ("gemma_scope_2", config(architecture="topk"), "architecture is 'topk'; handled: 'jump_relu'"),
    ("gemma_scope_2", tensors(affine_skip_connection=torch.zeros(D, D)), "add transcoder: true"),
    ("gemma_scope_2_skip_transcoder", tensors(affine_skip_connection=KeyError),
     "affine_connection is True, but tensor 'affine_skip_connection' is missing"),
    ("learned_autoencoder", lambda folder: (folder / "config.json").unlink(),
     "config.json is missing; the tensors beside it can be read in two ways"),
    ("learned_autoencoder", config(dict_class="CrossCoder"),
     r"trainer\.dict_class is 'CrossCoder'; handled: 'AutoEncoder', 'AutoEncoderNew', 'Gated"),
    ("learned_autoencoder", config(dict_class=KeyError), r"trainer\.dict_class is missing; ha"),
    ("learned_autoencoder", config(dict_class="AutoEncoderNew"), "needs the tensors decoder.bias"),
    ("learned_autoencoder", config(dict_size=F - 1), r"'encoder.weight' has .*dict_size = 11"),
    ("learned_autoencoder", tensors(decoder__weight=lambda t: t.T), r"'decoder.weight' has shape"),
    ("learned_topk", config(k=K + 2), r"trainer\.k is 5; handled: the number that ae.pt holds, 3"),
    ("learned_batchtopk", config(k=K + 2), r"trainer\.k is 5; handled: the number that ae.pt hol"),
    ("learned_topk", tensors(k=torch.tensor(3.0)), "'k' has number format float32; handled: whole"),
    ("learned_batchtopk", tensors(threshold=torch.tensor(-1.0)), "threshold is -1.0: it was ne"),
    ("learned_matryoshka", tensors(threshold=torch.tensor(-1.0)), "threshold is -1.0: it was ne"),
    ("learned_batchtopk", tensors(threshold=torch.zeros(F)), r"'threshold' has shape \[12\]"),
]  # fmt: skip


@pytest.mark.parametrize("name, change, said", REFUSALS)
def test_what_cannot_be_right_is_one_sentence(name, change, said, tmp_path):
    foreign.MAKERS[name](tmp_path)
    change(tmp_path)
    with pytest.raises(DataError) as refused:
        dictionary_files.read(tmp_path, foreign.OPTIONS[name])
    text = str(refused.value)
    assert re.search(said, text) and text.startswith(str(tmp_path)) and "\n" not in text, text


def test_a_topk_of_learned_without_k_among_its_tensors_takes_that_of_its_settings(tmp_path):
    foreign.learned_topk(tmp_path)
    tensors(k=KeyError, threshold=KeyError)(tmp_path)
    assert dictionary_files.read(tmp_path)[0].k == K
    config(k=KeyError)(tmp_path)
    with pytest.raises(DataError, match=r"trainer\.k is missing"):
        dictionary_files.read(tmp_path)


def test_a_transcoder_of_learned_is_refused(tmp_path):
    foreign.learned_autoencoder_new(tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "buffer": {"io": "in_and_out"}}))
    with pytest.raises(DataError, match=r"buffer\.io is 'in_and_out'.*transcoder"):
        dictionary_files.read(tmp_path)


def test_a_folder_with_no_dictionary_or_with_two_is_refused_with_the_files_seen(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "cfg.json").write_text("{}")
    with pytest.raises(DataError) as refused:
        dictionary_files.read(tmp_path)
    assert "files seen: cfg.json, notes.txt; looked for: ae.pt, params.npz" in str(refused.value)
    foreign.sparsify_topk(tmp_path)
    foreign.gemma_scope(tmp_path)
    with pytest.raises(DataError) as refused:
        dictionary_files.read(tmp_path)
    assert "more than one dictionary (params.npz and sae.safetensors)" in str(refused.value)
    with pytest.raises(DataError, match="is no folder"):
        dictionary_files.read(tmp_path / "nothing")


@pytest.mark.parametrize("content, said", [("{", "not a readable JSON"), ("[]", "no JSON object")])
def test_settings_that_are_no_settings_are_refused(content, said, tmp_path):
    foreign.saelens_standard(tmp_path)
    (tmp_path / "cfg.json").write_text(content)
    with pytest.raises(DataError, match=f"cfg.json: .*{said}"):
        dictionary_files.read(tmp_path)


@pytest.mark.parametrize("name", ["saelens_standard", "gemma_scope", "learned_autoencoder"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_file_is_one_sentence(name, kept, tmp_path):
    foreign.MAKERS[name](tmp_path)
    path = next(tmp_path / n for n in WEIGHTS if (tmp_path / n).exists())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError) as refused:
        dictionary_files.read(tmp_path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


class Armed:
    """What a pickle of it does when it is loaded: it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (os.mkdir, (str(self.trace),))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(wrapped, tmp_path):
    foreign.learned_autoencoder(tmp_path)
    armed = {"encoder.weight": Armed(tmp_path / "executed")}
    if wrapped:  # as torch.save packs it
        torch.save(armed, tmp_path / "ae.pt")
    else:
        (tmp_path / "ae.pt").write_bytes(pickle.dumps(armed))
    with pytest.raises(DataError, match="ae.pt: .*never executed"):
        dictionary_files.read(tmp_path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("member", [False, True])
def test_an_object_array_is_refused_and_does_not_run(member, tmp_path):
    foreign.gemma_scope(tmp_path)
    array = np.array([Armed(tmp_path / "executed")], dtype=object)
    if member:
        np.savez(tmp_path / "params.npz", W_enc=array, allow_pickle=True)
    else:  # not an archive at all
        (tmp_path / "params.npz").write_bytes(pickle.dumps(array))
    with pytest.raises(DataError, match="params.npz: .*never loaded"):
        dictionary_files.read(tmp_path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content, said",
    [
        (
            {"step": 3, "ae": {"encoder.weight": torch.zeros(2)}},
            "'step' is of type int and no tensor",
        ),
        ({"ae": {"encoder.weight": torch.zeros(2)}}, "'ae' is of type dict and no tensor: an i"),
        (torch.zeros(3), "it holds a Tensor, not tensors by name"),
    ],
)
def test_what_an_interrupted_run_left_is_refused(content, said, tmp_path):
    foreign.learned_autoencoder(tmp_path)
    torch.save(content, tmp_path / "ae.pt")
    with pytest.raises(DataError, match=said):
        dictionary_files.read(tmp_path)


def test_pickles_need_a_torch_that_does_not_run_them():
    for version in ("2.6.0", "2.6.0+cpu", "2.13.0", "3.0"):
        tensor_files.check_torch(version)
    for version in ("2.5.1", "2.5.1+cu121", "1.13"):
        with pytest.raises(DataError, match="2.6 or later is needed"):
            tensor_files.check_torch(version)


def test_an_option_that_says_nothing_about_a_folder_is_refused(tmp_path):
    foreign.saelens_standard(tmp_path / "a")
    foreign.gemma_scope_2_skip_transcoder(tmp_path / "b")
    with pytest.raises(
        DataError, match="embedding cannot be said of .*SAELens; options there: none"
    ):
        dictionary_files.read(tmp_path / "a", {"embedding": True})
    with pytest.raises(DataError, match="allow_unset_threshold .*: embedding, transcoder"):
        dictionary_files.read(tmp_path / "b", {"allow_unset_threshold": True})
    with pytest.raises(DataError, match="says that it is a transcoder, the configuration that"):
        dictionary_files.read(tmp_path / "b", {"transcoder": False})


SCALARS = st.none() | st.booleans() | st.integers(-2, 20) | st.floats() | st.text(max_size=5)
VALUES = SCALARS | st.sampled_from(["topk", "relu", "standard", "jumprelu", "none", "6.0"])
JSON = VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.just("k"), VALUES)
ASKED = {
    "saelens_old_topk": (
        *("architecture", "activation_fn_str", "activation_fn", "activation_fn_kwargs", "k"),
        *("d_in", "d_sae", "apply_b_dec_to_input", "normalize_activations", "metadata"),
        *("sae_lens_version", "reshape_activations", "hook_point", "finetuning_scaling_factor"),
    ),
    "sparsify_topk": ("activation", "k", "num_latents", "d_in", "transcode", "skip_connection"),
    "gemma_scope_2": ("architecture", "affine_connection", "hf_hook_point_out", "model_name"),
    "learned_topk": ("dict_class", "k", "activation_dim", "dict_size", "lm_name"),
}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_the_settings_say_it_is_read_or_refused(tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(ASKED)))
    folder = tmp_path_factory.mktemp("any")
    foreign.MAKERS[name](folder)
    config(**{data.draw(st.sampled_from(ASKED[name])): data.draw(JSON)})(folder)
    try:
        dictionary, record = dictionary_files.read(folder)
    except DataError as error:
        assert str(error).startswith(str(folder))
    else:
        assert dictionary.features == F and record["activation"] in dictionaries.ACTIVATIONS


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_damaged_is_read_or_refused(tmp_path_factory, data):
    name = data.draw(st.sampled_from(["saelens_standard", "gemma_scope", "learned_autoencoder"]))
    folder = tmp_path_factory.mktemp("damaged")
    foreign.MAKERS[name](folder)
    path = next(folder / n for n in WEIGHTS if (folder / n).exists())
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    new = data.draw(st.binary(min_size=1, max_size=8))
    content[start : start + len(new)] = new
    path.write_bytes(content)
    try:
        assert dictionary_files.read(folder)[0].features == F
    except DataError as error:
        assert "\n" not in str(error)


# --- writing


def made(activation: str, d_out: int = D, skip: bool = False, **changes) -> Dictionary:
    t = foreign.drawn(50, e=(D, F), eb=(F,), d=(F, d_out), db=(d_out,), threshold=(F,), g=(F,))
    return Dictionary(
        **{
            "activation": activation,
            "encoder": t["e"],
            "encoder_bias": t["eb"],
            "decoder": t["d"],
            "decoder_bias": t["db"],
            "centred": d_out == D,
            "transcoder": d_out != D,
            "threshold": t["threshold"] if activation == "jumprelu" else None,
            "k": K if activation == "topk" else None,
            "skip": foreign.drawn(51, s=(d_out, D))["s"] if skip else None,
            "gate": (t["eb"], t["g"].exp()) if activation == "gated" else None,
            **changes,
        }
    )


WRITTEN = {
    "standard": made("relu"),
    "standard, not centred": made("relu", centred=False),
    "topk": made("topk"),
    "jumprelu": made("jumprelu"),
    "jumprelu, one threshold": made("jumprelu", threshold=torch.tensor(0.5)),
    "transcoder": made("relu", OUT),
    "skip_transcoder": made("relu", OUT, True),
    "jumprelu_transcoder": made("jumprelu", OUT),
    "jumprelu_skip_transcoder": made("jumprelu", OUT, True),
}
METADATA = {
    "model_name": "demo", "hook_name": "blocks.1.hook_mlp_out",
    "hf_hook_name": "model.layers.1.mlp", "context_size": 64, "prepend_bos": True,
    "dataset_path": "corpus", "training_architecture": "batchtopk",
    "training_architecture_details": {"k": 3, "threshold": "mean of the least kept"},
    "connectome": {"seed": 1, "tokens": 10},
}  # fmt: skip
DENSITY = torch.linspace(0, 1, F)


def written(folder: Path, dictionary: Dictionary) -> Files:
    files = Files.of(folder)
    dictionary_files.write(files, dictionary, DENSITY, METADATA, STAMP)
    return files


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_read_back_to_the_bit(name, tmp_path):
    dictionary = WRITTEN[name]
    written(tmp_path, dictionary)
    found, record = dictionary_files.read(tmp_path)
    if dictionary.threshold is not None:
        dictionary = replace(dictionary, threshold=dictionary.threshold.expand(F))
    for key, right in vars(dictionary).items():
        value = getattr(found, key)
        same = torch.equal(value, right) if isinstance(right, torch.Tensor) else value == right
        assert same, key
    assert record["architecture"] == name.split(",")[0]
    assert record["training_architecture_details"] == METADATA["training_architecture_details"]
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in Files.of(tmp_path)}


def test_a_gated_dictionary_is_written_by_the_logarithm_of_its_magnitudes(tmp_path):
    dictionary = made("gated")
    written(tmp_path, dictionary)
    found, record = dictionary_files.read(tmp_path)
    torch.testing.assert_close(found.gate, dictionary.gate, rtol=1e-6, atol=0)
    assert torch.equal(found.encoder_bias, dictionary.encoder_bias)
    assert record["architecture"] == "gated"


@pytest.mark.parametrize("name", [n for n in foreign.MAKERS if not n.startswith("sparsify_")])
def test_a_folder_of_others_written_again_computes_the_same(name, tmp_path):
    x, f, y = foreign.MAKERS[name](tmp_path / "theirs")
    dictionary, _ = dictionary_files.read(tmp_path / "theirs", foreign.OPTIONS[name])
    written(tmp_path / "ours", dictionary)
    again = dictionary_files.read(tmp_path / "ours")[0].to("cpu", torch.float64)
    torch.testing.assert_close(dictionaries.encode(again, x), f, rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(dictionaries.decode(again, f, x), y, rtol=1e-6, atol=2e-6)


def test_settings_are_those_of_the_layout_sorted_and_stamped(tmp_path):
    files = written(tmp_path, WRITTEN["jumprelu_skip_transcoder"])
    text = files.config.read_text(encoding="utf-8")
    content = json.loads(text)
    assert text == json.dumps(content, sort_keys=True, indent=2) + "\n"
    assert content.pop("made_by") == stamps.stamp_of(files.config) == STAMP
    assert content.pop("metadata") == {**METADATA, "sae_lens_version": "6.54.12"}
    assert content == {
        "architecture": "jumprelu_skip_transcoder", "d_in": D, "d_sae": F, "d_out": OUT,
        "dtype": "float32", "device": "cpu", "normalize_activations": "none",
        "reshape_activations": "none", "apply_b_dec_to_input": False,
    }  # fmt: skip
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(files.weights).items()}
    assert shapes == {
        "W_enc": (D, F), "b_enc": (F,), "W_dec": (F, OUT), "b_dec": (OUT,), "threshold": (F,),
        "W_skip": (OUT, D),
    }  # fmt: skip
    with safe_open(files.weights, "pt") as file:
        assert json.loads(file.metadata()["connectome"])["made_by"] == STAMP


def test_sparsity_is_the_logarithm_of_how_often_features_fire(tmp_path):
    found = load_file(written(tmp_path, WRITTEN["topk"]).sparsity)["sparsity"]
    assert found.dtype == torch.float32 and found[0] == -10 and found[-1].abs() < 1e-9
    right = np.log10(np.linspace(0, 1, F)[1:])
    np.testing.assert_allclose(found[1:].numpy(), right, rtol=1e-6, atol=1e-7)


def test_tensors_that_share_memory_are_written(tmp_path):
    tied = made("relu")
    written(tmp_path, replace(tied, decoder=tied.encoder.T, decoder_bias=tied.encoder_bias[:D]))
    found = dictionary_files.read(tmp_path)[0]
    assert torch.equal(found.decoder, tied.encoder.T)


def test_half_precision_weights_are_written_as_float32(tmp_path):
    files = written(tmp_path, WRITTEN["jumprelu"].to("cpu", torch.bfloat16))
    assert {t.dtype for t in load_file(files.weights).values()} == {torch.float32}


AGAIN = """
import sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
import test_dictionary_formats as t
t.written(Path(sys.argv[3]), t.WRITTEN["jumprelu_skip_transcoder"])
"""


def test_equal_dictionaries_are_equal_bytes_in_every_process(tmp_path):
    written(tmp_path / "0", WRITTEN["jumprelu_skip_transcoder"])
    subprocess.run(
        [sys.executable, "-c", AGAIN, str(Path(__file__).parent), str(SCRIPTS)]
        + [str(tmp_path / "1")],
        check=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    for one, other in zip(Files.of(tmp_path / "0"), Files.of(tmp_path / "1"), strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    "dictionary, said",
    [
        (
            made("topk", OUT),
            "no place for a transcoder whose activation is 'topk'; a transcoder can",
        ),
        (made("gated", OUT), "no place for a transcoder whose activation is 'gated'"),
        (made("relu", D, True), "no place for an autoencoder with a skip path"),
        (made("relu", centred=True, transcoder=True), "a transcoder that subtracts its decoder bi"),
        (made("relu", encoder_bias=torch.full((F,), torch.nan)), "'b_enc' would have NaN or inf"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused_and_nothing_is_written(dictionary, said, tmp_path):
    with pytest.raises(DataError, match=said):
        written(tmp_path / "new", dictionary)
    assert not (tmp_path / "new").exists()


# --- fits


def test_a_dictionary_of_another_width_or_site_is_refused():
    autoencoder, transcoder = made("relu"), made("relu", OUT)
    check = dictionary_files.check_fits
    check(autoencoder, {}, "resid.2", D, D)
    check(autoencoder, {"hook_name": "blocks.3.hook_resid_pre"}, "resid.2", D, D)
    check(autoencoder, {"hook_name": "something_of_theirs"}, "resid.2", D, D)
    ends = {"hook_name": "blocks.2.mlp.hook_in", "hook_name_out": "blocks.2.hook_mlp_out"}
    check(transcoder, ends, "mlp.2", D, OUT)
    with pytest.raises(DataError, match="of mlp.2 reads 5 and gives 3 .* are 4 to read and 3 to"):
        check(transcoder, ends, "mlp.2", 4, OUT)
    with pytest.raises(
        DataError, match="of mlp.1 is not of mlp.1.in: .*'blocks.2.mlp.hook_in', ml"
    ):
        check(transcoder, ends, "mlp.1", D, OUT)
    bare = {"hook_name": "blocks.2.ln2.hook_normalized"}
    with pytest.raises(DataError, match="what mlp.2 reads, without gain and bias of its norm"):
        check(transcoder, bare, "mlp.2", D, OUT)
    with pytest.raises(DataError, match="hook_attn_out', attn.1"):
        check(autoencoder, {"hook_name": "blocks.1.hook_attn_out"}, "mlp.1", D, D)
    with pytest.raises(DataError, match="values of the heads of attn.1"):
        check(autoencoder, {"hook_name": "blocks.1.attn.hook_z"}, "attn.1", D, D)


# --- SAELens itself, where it is installed; it is none of the requirements


@pytest.mark.parametrize("name", WRITTEN)
def test_saelens_computes_the_same_from_what_is_written(name, tmp_path):
    sae_lens = pytest.importorskip("sae_lens")
    dictionary = WRITTEN[name]
    written(tmp_path, dictionary)
    theirs = sae_lens.SAE.load_from_disk(tmp_path)
    x = foreign.inputs().float()
    f = dictionaries.encode(dictionary, x)
    with torch.no_grad():
        assert (theirs.encode(x) - f).abs().max() <= 1e-6
        assert (theirs(x) - dictionaries.decode(dictionary, f, x)).abs().max() <= 2e-6


@pytest.mark.parametrize("name", [n for n in foreign.MAKERS if n.startswith("saelens_")])
def test_saelens_reads_its_own_layout_as_it_is_read_here(name, tmp_path):
    sae_lens = pytest.importorskip("sae_lens")
    x, f, y = foreign.MAKERS[name](tmp_path)
    theirs = sae_lens.SAE.load_from_disk(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(x.float()), f.float(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(theirs(x.float()), y.float(), rtol=1e-5, atol=1e-5)
