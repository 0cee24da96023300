"""Dictionaries as the libraries of others write them, with what those compute from the same files.

Each maker writes a folder and gives inputs, features and outputs by the formula of the library that
the layout is of, in double precision, with its own names and its own transpositions.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import linear

D, OUT, F, K, N = 5, 3, 12, 3, 64


class Example(NamedTuple):
    """Inputs (N, d_in), features (N, F) and outputs (N, d_out) in double precision."""

    x: Tensor
    f: Tensor
    y: Tensor


Maker = Callable[[Path], Example]
MAKERS: dict[str, Maker] = {}
OPTIONS: dict[str, dict[str, bool]] = {}  # what the configuration has to say of some


def maker(**options: bool) -> Callable[[Maker], Maker]:
    def keep(make: Maker) -> Maker:
        MAKERS[make.__name__] = make
        OPTIONS[make.__name__] = options
        return make

    return keep


def drawn(seed: int, **shapes: tuple[int, ...]) -> dict[str, Tensor]:
    """Random float32 tensors; thresholds are above 0."""
    generator = torch.Generator().manual_seed(seed)
    found = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {n: t.abs() * 0.5 if n == "threshold" else t for n, t in found.items()}


def inputs(width: int = D) -> Tensor:
    return torch.randn(N, width, generator=torch.Generator().manual_seed(0)).double()


def doubled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in tensors.items()}


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def kept_topk(h: Tensor, k: int = K) -> Tensor:
    """The k largest of each row, as scatter writes them."""
    top = h.topk(k, dim=-1)
    return torch.zeros_like(h).scatter_(-1, top.indices, top.values)


# --- SAELens


NEW = {"sae_lens_version": "6.54.12", "hook_name": "blocks.1.hook_mlp_out", "model_name": "m"}


def save_saelens(folder: Path, tensors: Mapping[str, Tensor], **config: object) -> None:
    plain = {"dtype": "float32", "device": "cpu", "normalize_activations": "none"}
    plain |= {"d_in": D, "d_sae": F, "reshape_activations": "none", "metadata": NEW}
    given = {key: value for key, value in {**plain, **config}.items() if value is not KeyError}
    write_json(folder / "cfg.json", given)
    save_file(dict(tensors), folder / "sae_weights.safetensors")


def saelens_tensors(seed: int, out: int = D, **more: tuple[int, ...]) -> dict[str, Tensor]:
    return drawn(seed, W_enc=(D, F), b_enc=(F,), W_dec=(F, out), b_dec=(out,), **more)


@maker()
def saelens_standard(folder: Path) -> Example:
    t = saelens_tensors(1)
    save_saelens(folder, t, architecture="standard", apply_b_dec_to_input=True)
    t, x = doubled(t), inputs()
    f = torch.relu((x - t["b_dec"]) @ t["W_enc"] + t["b_enc"])
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


@maker()
def saelens_standard_not_centred(folder: Path) -> Example:
    t = saelens_tensors(2)
    save_saelens(folder, t, architecture="standard", apply_b_dec_to_input=False)
    t, x = doubled(t), inputs()
    f = torch.relu(x @ t["W_enc"] + t["b_enc"])
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


@maker()
def saelens_topk(folder: Path) -> Example:
    t = saelens_tensors(3)
    save_saelens(folder, t, architecture="topk", k=K, rescale_acts_by_decoder_norm=False)
    t, x = doubled(t), inputs()
    f = kept_topk((x - t["b_dec"]) @ t["W_enc"] + t["b_enc"]).relu()
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


@maker()
def saelens_topk_rescaled(folder: Path) -> Example:
    t = saelens_tensors(4)
    save_saelens(folder, t, architecture="topk", k=K, rescale_acts_by_decoder_norm=True)
    t, x = doubled(t), inputs()
    norm = t["W_dec"].norm(dim=-1)
    f = kept_topk(((x - t["b_dec"]) @ t["W_enc"] + t["b_enc"]) * norm).relu()
    return Example(x, f, (f * (1 / norm)) @ t["W_dec"] + t["b_dec"])


@maker()
def saelens_jumprelu(folder: Path) -> Example:
    t = saelens_tensors(5, threshold=(F,))
    save_saelens(folder, t, architecture="jumprelu")
    t, x = doubled(t), inputs()
    h = (x - t["b_dec"]) @ t["W_enc"] + t["b_enc"]
    f = torch.relu(h) * (h > t["threshold"])
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


@maker()
def saelens_gated(folder: Path) -> Example:
    gates = {"b_gate": (F,), "b_mag": (F,), "r_mag": (F,)}
    t = drawn(6, W_enc=(D, F), W_dec=(F, D), b_dec=(D,), **gates)
    save_saelens(folder, t, architecture="gated")
    t, x = doubled(t), inputs()
    centred = x - t["b_dec"]
    active = (centred @ t["W_enc"] + t["b_gate"]) > 0
    f = active * torch.relu(centred @ (t["W_enc"] * t["r_mag"].exp()) + t["b_mag"])
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


def _saelens_transcoder(
    folder: Path, architecture: str, seed: int, **more: tuple[int, ...]
) -> Example:
    t = saelens_tensors(seed, OUT, **more)
    ends = {"hook_name": "blocks.1.mlp.hook_in", "hook_name_out": "blocks.1.hook_mlp_out"}
    save_saelens(
        folder, t, architecture=architecture, d_out=OUT, apply_b_dec_to_input=False,
        metadata={**NEW, **ends},
    )  # fmt: skip
    t, x = doubled(t), inputs()
    h = x @ t["W_enc"] + t["b_enc"]
    f = torch.relu(h) * (h > t["threshold"] if "threshold" in t else 1)
    y = f @ t["W_dec"] + t["b_dec"]
    return Example(x, f, y + x @ t["W_skip"].T if "W_skip" in t else y)


@maker()
def saelens_transcoder(folder: Path) -> Example:
    return _saelens_transcoder(folder, "transcoder", 7)


@maker()
def saelens_skip_transcoder(folder: Path) -> Example:
    return _saelens_transcoder(folder, "skip_transcoder", 8, W_skip=(OUT, D))


@maker()
def saelens_jumprelu_transcoder(folder: Path) -> Example:
    return _saelens_transcoder(folder, "jumprelu_transcoder", 9, threshold=(F,))


@maker()
def saelens_jumprelu_skip_transcoder(folder: Path) -> Example:
    more = {"threshold": (F,), "W_skip": (OUT, D)}
    return _saelens_transcoder(folder, "jumprelu_skip_transcoder", 10, **more)


OLD = {
    "model_name": "gpt2-small", "hook_point": "blocks.8.hook_resid_pre", "hook_point_layer": 8,
    "hook_point_head_index": None, "dataset_path": "texts", "context_size": 128,
    "normalize_activations": False, "use_ghost_grads": False, "l1_coefficient": 1,
    "reshape_activations": KeyError, "metadata": KeyError,
}  # fmt: skip


@maker()
def saelens_old(folder: Path) -> Example:
    """Before 3.0: no architecture, boolean normalisation, a scaling factor that does nothing."""
    t = saelens_tensors(11)
    save_saelens(folder, {**t, "scaling_factor": torch.ones(F)}, **OLD)
    t, x = doubled(t), inputs()
    f = torch.relu((x - t["b_dec"]) @ t["W_enc"] + t["b_enc"])
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


@maker()
def saelens_old_topk(folder: Path) -> Example:
    """Between 3.0 and 5.0: topk is an activation of the "standard" architecture."""
    t = saelens_tensors(12)
    told = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}
    save_saelens(folder, t, **OLD, **told, architecture="standard", apply_b_dec_to_input=True)
    t, x = doubled(t), inputs()
    f = kept_topk((x - t["b_dec"]) @ t["W_enc"] + t["b_enc"]).relu()
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


# --- sparsify


def save_sparsify(folder: Path, tensors: Mapping[str, Tensor], **config: object) -> None:
    plain = {"activation": "topk", "expansion_factor": 32, "normalize_decoder": True}
    plain |= {"num_latents": F, "k": K, "multi_topk": False, "skip_connection": False}
    write_json(folder / "cfg.json", {**plain, "transcode": False, "d_in": D, **config})
    save_file(dict(tensors), folder / "sae.safetensors")


def _sparsify(folder: Path, features: int = F, **config: object) -> Example:
    shapes = {"encoder.weight": (features, D), "encoder.bias": (features,)}
    t = drawn(20, **shapes, W_dec=(features, D), b_dec=(D,))
    if config.get("skip_connection"):
        t |= drawn(21, W_skip=(D, D))
    save_sparsify(folder, t, **config)
    t, x = doubled(t), inputs()
    read = x if config.get("transcode") else x - t["b_dec"]
    values, places = torch.relu(linear(read, t["encoder.weight"], t["encoder.bias"])).topk(K)
    y = torch.nn.functional.embedding_bag(places, t["W_dec"], per_sample_weights=values, mode="sum")
    y = y + t["b_dec"] + (x @ t["W_skip"].mT if "W_skip" in t else 0)
    f = torch.zeros(N, features, dtype=torch.float64).scatter_(1, places, values)
    return Example(x, f, y)


@maker()
def sparsify_topk(folder: Path) -> Example:
    return _sparsify(folder)


@maker()
def sparsify_by_expansion(folder: Path) -> Example:
    return _sparsify(folder, 4 * D, num_latents=0, expansion_factor=4)


@maker()
def sparsify_transcoder(folder: Path) -> Example:
    return _sparsify(folder, transcode=True)


@maker()
def sparsify_skip_transcoder(folder: Path) -> Example:
    return _sparsify(folder, transcode=True, skip_connection=True)


# --- Gemma Scope


def gemma_tensors(out: int = D) -> dict[str, Tensor]:
    shapes = {"W_enc": (D, F), "W_dec": (F, out), "b_enc": (F,), "b_dec": (out,)}
    return drawn(30, **shapes, threshold=(F,))


def _jumprelu(t: Mapping[str, Tensor]) -> Example:
    t, x = doubled(t), inputs()
    h = x @ t["W_enc"] + t["b_enc"]
    f = (h > t["threshold"]) * torch.relu(h)
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


def save_npz(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "params.npz", **{name: t.numpy() for name, t in tensors.items()})


@maker()
def gemma_scope(folder: Path) -> Example:
    t = gemma_tensors()
    save_npz(folder, {**t, "scaling_factor": torch.ones(D)})
    return _jumprelu(t)


@maker(embedding=True)
def gemma_scope_embedding(folder: Path) -> Example:
    t = gemma_tensors()
    save_npz(folder, t)
    return _jumprelu({**t, "W_enc": t["W_enc"].double() / D**0.5, "W_dec": t["W_dec"] * D**0.5})


@maker(transcoder=True)
def gemma_scope_transcoder(folder: Path) -> Example:
    t = gemma_tensors(OUT)
    save_npz(folder, t)
    return _jumprelu(t)


def _gemma_scope_2(folder: Path, out: int, **more: Tensor) -> dict[str, Tensor]:
    t = gemma_tensors(out)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({n.lower(): v for n, v in t.items()} | more, folder / "params.safetensors")
    return t


@maker()
def gemma_scope_2(folder: Path) -> Example:
    place = {"hf_hook_point_in": "model.layers.1.output", "model_name": "gemma"}
    write_json(folder / "config.json", {"architecture": "jump_relu", "l0": 20, **place})
    return _jumprelu(_gemma_scope_2(folder, D))


@maker()
def gemma_scope_2_skip_transcoder(folder: Path) -> Example:
    write_json(folder / "config.json", {"architecture": "jump_relu", "affine_connection": True})
    path = drawn(31, affine=(D, OUT))["affine"]
    x, f, y = _jumprelu(_gemma_scope_2(folder, OUT, affine_skip_connection=path))
    return Example(x, f, y + x @ path.double())


# --- dictionary_learning


def save_learned(folder: Path, tensors: Mapping[str, Tensor], name: str, **trainer: object) -> None:
    told = {"dict_class": name, "activation_dim": D, "dict_size": F, "lm_name": "m", "layer": 1}
    buffer = {"ctx_len": 128, "io": "out", "d_submodule": D}
    write_json(folder / "config.json", {"trainer": {**told, **trainer}, "buffer": buffer})
    torch.save(dict(tensors), folder / "ae.pt")


def learned(seed: int, **more: tuple[int, ...]) -> dict[str, Tensor]:
    return drawn(seed, **{"encoder.weight": (F, D), "decoder.weight": (D, F)}, **more)


@maker()
def learned_autoencoder(folder: Path) -> Example:
    t = learned(40, **{"encoder.bias": (F,)}, bias=(D,))
    save_learned(folder, t, "AutoEncoder")
    t, x = doubled(t), inputs()
    f = linear(x - t["bias"], t["encoder.weight"], t["encoder.bias"]).relu()
    return Example(x, f, linear(f, t["decoder.weight"]) + t["bias"])


@maker()
def learned_autoencoder_new(folder: Path) -> Example:
    t = learned(41, **{"encoder.bias": (F,), "decoder.bias": (D,)})
    save_learned(folder, t, "AutoEncoderNew")
    t, x = doubled(t), inputs()
    f = linear(x, t["encoder.weight"], t["encoder.bias"]).relu()
    return Example(x, f, linear(f, t["decoder.weight"], t["decoder.bias"]))


@maker()
def learned_gated(folder: Path) -> Example:
    t = learned(42, decoder_bias=(D,), r_mag=(F,), gate_bias=(F,), mag_bias=(F,))
    save_learned(folder, t, "GatedAutoEncoder")
    t, x = doubled(t), inputs()
    p = linear(x - t["decoder_bias"], t["encoder.weight"])
    f = (p + t["gate_bias"] > 0) * (t["r_mag"].exp() * p + t["mag_bias"]).relu()
    return Example(x, f, linear(f, t["decoder.weight"]) + t["decoder_bias"])


def topk_tensors(threshold: float = -1.0) -> dict[str, Tensor]:
    chosen = {"k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(threshold)}
    return learned(43, **{"encoder.bias": (F,)}, b_dec=(D,)) | chosen


@maker()
def learned_topk(folder: Path) -> Example:
    t = topk_tensors()
    save_learned(folder, t, "AutoEncoderTopK", k=K)
    t, x = doubled(t), inputs()
    f = kept_topk(linear(x - t["b_dec"], t["encoder.weight"], t["encoder.bias"]).relu())
    return Example(x, f, linear(f, t["decoder.weight"]) + t["b_dec"])


@maker()
def learned_batchtopk(folder: Path) -> Example:
    t = topk_tensors(1.25)
    save_learned(folder, t, "BatchTopKSAE", k=K)
    t, x = doubled(t), inputs()
    h = linear(x - t["b_dec"], t["encoder.weight"], t["encoder.bias"]).relu()
    f = h * (h > t["threshold"])
    return Example(x, f, linear(f, t["decoder.weight"]) + t["b_dec"])


@maker(allow_unset_threshold=True)
def learned_batchtopk_unset(folder: Path) -> Example:
    t = topk_tensors(-1.0)
    save_learned(folder, t, "BatchTopKSAE", k=K)
    t, x = doubled(t), inputs()
    h = linear(x - t["b_dec"], t["encoder.weight"], t["encoder.bias"]).relu()
    f = h * (h > t["threshold"])
    return Example(x, f, linear(f, t["decoder.weight"]) + t["b_dec"])


@maker()
def learned_matryoshka(folder: Path) -> Example:
    t = saelens_tensors(44)
    groups = {"group_sizes": torch.tensor([2, 4, 6]), "k": torch.tensor(K, dtype=torch.int)}
    stored = {**t, **groups, "threshold": torch.tensor(0.75)}
    save_learned(folder, stored, "MatryoshkaBatchTopKSAE", k=K, group_sizes=[2, 4, 6])
    t, x = doubled(t), inputs()
    h = ((x - t["b_dec"]) @ t["W_enc"] + t["b_enc"]).relu()
    f = h * (h > 0.75)
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])


@maker()
def learned_jumprelu(folder: Path) -> Example:
    t = saelens_tensors(45, threshold=(F,))
    save_learned(folder, t, "JumpReluAutoEncoder")
    t, x = doubled(t), inputs()
    h = x @ t["W_enc"] + t["b_enc"]
    f = torch.relu(h * (h > t["threshold"]))
    return Example(x, f, f @ t["W_dec"] + t["b_dec"])
