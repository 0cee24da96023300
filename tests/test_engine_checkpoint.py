"""Model directories: whatever is missing, damaged or unknown is one error with file and fault."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from conftest import SCRIPTS
from connectome import checkpoint, transformer
from connectome.errors import ModelError
from tiny_models import KINDS, VOCABULARY, each_family, tiny


def copied(family: str, folder: Path) -> Path:
    shutil.copytree(tiny(family)[0], folder, dirs_exist_ok=True)
    return folder


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not KeyError}))


def change_weights(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


FIRST = dict.fromkeys(KINDS, "model.norm.weight") | {
    "gpt2": "transformer.h.0.ln_1.weight",
    "gpt_neox": "gpt_neox.final_layer_norm.weight",
}


def truncate(folder: Path, family: str) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def truncate_header(folder: Path, family: str) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:40])


def lengthen(folder: Path, family: str) -> None:
    with open(folder / "model.safetensors", "ab") as file:
        file.write(b"\0")


def reshape(folder: Path, family: str) -> None:
    change_weights(folder, lambda t: t.update({FIRST[family]: t[FIRST[family]][:-1].clone()}))


def drop(folder: Path, family: str) -> None:
    change_weights(folder, lambda t: t.pop(FIRST[family]))


def add(folder: Path, family: str) -> None:
    change_weights(folder, lambda t: t.update({"transformer.adapter.weight": torch.ones(2)}))


def quantise(folder: Path, family: str) -> None:
    change_weights(folder, lambda t: t.update({FIRST[family]: t[FIRST[family]].to(torch.int8)}))


def only_pickle(folder: Path, family: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Armed(folder / "executed")))


def no_weights(folder: Path, family: str) -> None:
    (folder / "model.safetensors").unlink()


def no_config(folder: Path, family: str) -> None:
    (folder / "config.json").unlink()


def broken_config(folder: Path, family: str) -> None:
    (folder / "config.json").write_text("{")


def list_config(folder: Path, family: str) -> None:
    (folder / "config.json").write_text("[]")


def lost_shard(folder: Path, family: str) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "shard-2"}}')


class Armed:
    """Leaves a trace where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


FAULTS = [
    (truncate, r"model\.safetensors is damaged: \d+ bytes, but its header promises \d+"),
    (truncate_header, r"model\.safetensors is truncated"),
    (lengthen, r"model\.safetensors is damaged"),
    (reshape, r"weight' has shape .*but config\.json asks for"),
    (drop, r"tensor '.*weight' is missing from the weights"),
    (add, r"tensor '.*adapter\.weight' is unknown"),
    (quantise, r"model\.safetensors: tensor '.*weight' has number format I8"),
    (only_pickle, r"only the pickle pytorch_model\.bin, which is never loaded"),
    (no_weights, r"model\.safetensors is missing"),
    (no_config, r"config\.json is missing"),
    (broken_config, r"config\.json: not a readable JSON file"),
    (list_config, r"config\.json: it holds no JSON object"),
    (lost_shard, r"shard-2 is missing; model\.safetensors\.index\.json names it"),
]


@each_family
@pytest.mark.parametrize(("spoil", "sentence"), FAULTS)
def test_damaged_directory_is_one_error_before_any_weight_is_read(
    tmp_path, family, spoil, sentence
):
    """By the check that runs before any job, and by the loader."""
    spoil(copied(family, tmp_path), family)
    for read in (checkpoint.check_header, transformer.load):
        with pytest.raises(ModelError, match=sentence):
            read(tmp_path)
    assert not (tmp_path / "executed").exists()


@each_family
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, family, value):
    def spoil(tensors):
        tensors[FIRST[family]][2] = value

    change_weights(copied(family, tmp_path), spoil)
    checkpoint.check_header(tmp_path)
    with pytest.raises(ModelError, match=rf"model\.safetensors: tensor '{FIRST[family]}' has NaN"):
        transformer.load(tmp_path)


ALL = "gemma2, gemma3_text, gpt2, gpt_neox, llama, mistral, qwen2, qwen3"
SETTINGS = [
    ("gpt2", {"model_type": "mamba"}, f"'mamba' is not supported; supported: {ALL}$"),
    ("gpt2", {"model_type": "opt"}, f"'opt' is not supported; supported: {ALL}$"),
    (
        "gemma3_text",
        {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}},
        r"'gemma3' is not supported; .*; save its language part \(gemma3_text\) as a model",
    ),
    ("gpt2", {"model_type": KeyError}, "None is not supported"),
    ("gpt2", {"activation_function": "swish"}, "activation_function = 'swish'"),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
    ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights"),
    ("gpt2", {"add_cross_attention": True}, "add_cross_attention"),
    ("gpt2", {"n_embd": KeyError}, "'n_embd' is missing"),
    ("gpt2", {"n_layer": 0}, "layers = 0 is not a positive whole number"),
    ("gpt2", {"n_head": "2"}, "a size is not a positive whole number"),
    ("gpt2", {"n_head": 3}, "width 8 is not a multiple of 3 heads"),
    ("gpt2", {"layer_norm_epsilon": -1.0}, "eps = -1.0 is not a positive number"),
    ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "rope_type = 'yarn'"),
    ("llama", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "type = 'dynamic'"),
    ("llama", {"rope_scaling": {"type": "linear"}}, "'factor' is missing"),
    (
        "llama",
        {"rope_scaling": {"type": "linear", "factor": 0}},
        "stretch: factor = 0 is not a pos",
    ),
    ("llama", {"sliding_window": 4}, "sliding_window = 4"),
    ("llama", {"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
    ("llama", {"quantization_config": {"bits": 4}}, "quantization_config"),
    ("llama", {"hidden_act": "relu2"}, "hidden_act = 'relu2'"),
    ("llama", {"num_key_value_heads": 3}, "4 heads cannot share 3 key-value heads"),
    ("llama", {"head_dim": 3}, "even head width, not 3"),
    (
        "gpt_neox",
        {"rope_parameters": {"partial_rotary_factor": 0.75}},
        "even part of the head, not 3",
    ),
    ("gpt_neox", {"hidden_act": "gelu_10"}, "hidden_act = 'gelu_10'"),
    ("mistral", {"sliding_window": 0}, "window = 0 is not a positive whole number"),
    ("qwen2", {"layer_types": ["full_attention", "linear_attention"]}, "linear_attention are not"),
    ("qwen3", {"layer_types": ["sliding_attention"]}, "layer_types names 1 layers, not 2"),
    ("gemma2", {"attention_bias": True}, "attention_bias = True"),
    ("gemma2", {"final_logit_softcapping": -1.0}, "logit_cap = -1.0 is not a positive number"),
    ("gemma2", {"query_pre_attn_scalar": 0}, "a size is not a positive whole number"),
    ("gemma3_text", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping = 50.0"),
    ("gemma3_text", {"use_bidirectional_attention": True}, "use_bidirectional_attention = True"),
]


@pytest.mark.parametrize(("family", "changes", "sentence"), SETTINGS)
def test_settings_that_change_the_arithmetic_are_refused_by_name(
    tmp_path, family, changes, sentence
):
    change_config(copied(family, tmp_path), **changes)
    for read in (checkpoint.check_header, checkpoint.dimensions, transformer.load):
        with pytest.raises(ModelError, match=sentence):
            read(tmp_path)


def test_shards_and_bare_names_load_to_the_same_weights(tmp_path):
    folder, whole = tiny("gpt2")
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    weight_map = {}
    for shard, chosen in (("a.safetensors", names[::2]), ("b.safetensors", names[1::2])):
        bare = {name.removeprefix("transformer."): tensors[name] for name in chosen}
        save_file(bare, tmp_path / shard)
        weight_map |= dict.fromkeys(bare, shard)
    index = {"metadata": {}, "weight_map": weight_map}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copy(folder / "config.json", tmp_path)
    found = transformer.load(tmp_path, torch.float64)
    assert torch.equal(found.unembedding, whole.unembedding)
    assert all(
        torch.equal(found.writing(site), whole.writing(site)) for site in ("attn.1", "mlp.0")
    )
    save_file({"h.0.ln_1.weight": tensors[FIRST["gpt2"]]}, tmp_path / "c.safetensors")
    index["weight_map"]["again"] = "c.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"c\.safetensors: tensor 'h\.0\.ln_1\.weight' is stored"):
        checkpoint.check_header(tmp_path)


def test_known_buffers_are_ignored(tmp_path):
    copied("gpt2", tmp_path)
    mask = {"transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8)}
    change_weights(tmp_path, lambda tensors: tensors.update(mask))
    found = transformer.load(tmp_path, torch.float64)
    assert torch.equal(found.unembedding, tiny("gpt2")[1].unembedding)


TIED = [
    ("gpt2", "transformer.wte.weight"),
    ("qwen2", "model.embed_tokens.weight"),
    ("gemma2", "model.embed_tokens.weight"),
    ("gpt_neox", "gpt_neox.embed_in.weight"),
]


@pytest.mark.parametrize(("family", "embedding"), TIED)
def test_tied_unembedding_must_be_the_embedding(tmp_path, family, embedding):
    KINDS[family](tmp_path, tie_word_embeddings=True)
    bare = transformer.load(tmp_path, torch.float64)
    same = load_file(tmp_path / "model.safetensors")[embedding]
    change_weights(tmp_path, lambda tensors: tensors.update({"lm_head.weight": same.clone()}))
    found = transformer.load(tmp_path, torch.float64)
    assert torch.equal(found.unembedding, bare.unembedding)
    assert torch.equal(found.embedding, bare.embedding)
    change_weights(tmp_path, lambda tensors: tensors.update({"lm_head.weight": same + 1}))
    with pytest.raises(
        ModelError, match=f"ties 'lm_head.weight' to '{embedding.split('.', 1)[1]}'"
    ):
        transformer.load(tmp_path)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_untied_unembedding_is_another_matrix_and_must_be_there(tmp_path, family):
    KINDS[family](tmp_path, tie_word_embeddings=False)
    found = transformer.load(tmp_path, torch.float64)
    tensors = load_file(tmp_path / "model.safetensors")
    gain = 1 if family == "gemma2" else 0
    norm = {"gpt2": "transformer.ln_f"}.get(family, "model.norm")
    expected = (tensors["lm_head.weight"] * (tensors[f"{norm}.weight"] + gain)).T
    torch.testing.assert_close(found.unembedding, expected)
    change_weights(tmp_path, lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(ModelError, match="tensor 'lm_head.weight' is missing"):
        checkpoint.check_header(tmp_path)


def test_both_names_of_an_unembedding_and_old_buffers_are_read(tmp_path):
    """Pythia's files on the hub: `embed_out`, masks and rotary frequencies stored."""
    copied("gpt_neox", tmp_path)

    def age(tensors):
        names = [name for name in ("lm_head.weight", "embed_out.weight") if name in tensors]
        tensors["embed_out.weight"] = tensors.pop(*names)
        place = "gpt_neox.layers.0.attention"
        tensors[f"{place}.bias"] = torch.ones(1, 1, 4, 4, dtype=torch.bool)
        tensors[f"{place}.masked_bias"] = torch.tensor(-1e9)
        tensors[f"{place}.rotary_emb.inv_freq"] = torch.ones(1)

    change_weights(tmp_path, age)
    found = transformer.load(tmp_path, torch.float64)
    assert torch.equal(found.unembedding, tiny("gpt_neox")[1].unembedding)


OLD_KEYS = [
    ("gpt_neox", {"rope_parameters": KeyError, "rotary_pct": 0.5, "rotary_emb_base": 10000}),
    ("llama", {"rope_parameters": KeyError, "rope_theta": 10000.0, "rope_scaling": None}),
    (
        "gemma3_text",
        {
            "rope_parameters": KeyError,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "layer_types": KeyError,
            "sliding_window_pattern": 2,
        },
    ),
    ("gemma2", {"rope_parameters": KeyError, "layer_types": KeyError, "head_dim": 4}),
    ("qwen2", {"layer_types": KeyError, "rope_parameters": KeyError}),
]


@pytest.mark.parametrize(("family", "changes"), OLD_KEYS)
def test_keys_of_older_configs_mean_the_same(tmp_path, family, changes):
    change_config(copied(family, tmp_path), **changes)
    assert transformer.load(tmp_path, torch.float64).size == tiny(family)[1].size


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_scale_of_embeddings_is_rounded_as_transformers_does(dtype):
    """sqrt(12) in the format of the weights."""
    folder, _ = tiny("gemma2")
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    with torch.no_grad():
        expected = theirs.model.embed_tokens(torch.arange(VOCABULARY))
    assert torch.equal(transformer.load(folder, dtype).embedding, expected)


def test_header_check_imports_neither_torch_nor_numpy(tmp_path):
    heavy = {"torch", "numpy", "safetensors", "transformers"}
    code = (
        "import sys; from connectome import checkpoint; checkpoint.check_header(sys.argv[1]);"
        f"sys.exit(', '.join({heavy} & set(sys.modules)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tiny("llama")[0]],
        env={"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_half_precision_weights_are_read_exactly(tmp_path):
    def halve(tensors):
        for name in tensors:
            tensors[name] = tensors[name].to(torch.bfloat16)

    change_weights(copied("gpt2", tmp_path), halve)
    found = transformer.load(tmp_path, torch.float64).embedding
    assert torch.equal(found, tiny("gpt2")[1].embedding.to(torch.bfloat16).double())
