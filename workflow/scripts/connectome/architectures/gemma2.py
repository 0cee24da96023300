"""Gemma 2: Llama with RMSNorm behind each module too, capped scores and logits, scaled embedding.

Every other layer sees a window. Norms multiply by 1 + weight. Attention biases are refused: behind
a norm a bias would write another constant in every run.
"""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectome.architectures import ANY, Dimensions, Raw, layer_windows, llama

PREFIX, BUFFERS, TIED, SQUARE = llama.PREFIX, llama.BUFFERS, llama.TIED, llama.SQUARE
MODULES = llama.MODULES | {  # what a module writes is behind its second norm
    "attn": "model.layers.{}.post_attention_layernorm",
    "mlp.in": "model.layers.{}.pre_feedforward_layernorm",
    "mlp": "model.layers.{}.post_feedforward_layernorm",
}
HANDLED = {key: values for key, values in llama.HANDLED.items() if key != "hidden_act"} | {
    "hidden_activation": ("gelu_pytorch_tanh", "gelu", "gelu_new", "silu", "relu"),
    "attention_bias": (False,),
    "attn_logit_softcapping": ANY,
    "final_logit_softcapping": ANY,
    "query_pre_attn_scalar": ANY,
    "sliding_window": ANY,
}


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    return replace(
        common(config),
        windows=layer_windows(config, config.get("sliding_window", 4096), lambda i: i % 2 == 0),
        score_cap=config.get("attn_logit_softcapping", 50.0),
        logit_cap=config.get("final_logit_softcapping", 30.0),
    )


def common(config: Mapping[str, Any]) -> Dimensions:
    """What the Gemmas have in common."""
    return replace(
        llama.dimensions(_complete(config)),
        activation=config.get("hidden_activation") or "gelu_pytorch_tanh",
        score_scale=config.get("query_pre_attn_scalar", 256) ** -0.5,
        embedding_scale=config["hidden_size"] ** 0.5,
    )


def shapes(
    config: Mapping[str, Any], more: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, tuple[int, ...]]:
    """`more`: further tensors of each block."""
    width = (config["hidden_size"],)
    norms = {f"{place}_feedforward_layernorm.weight": width for place in ("pre", "post")}
    return llama.shapes(_complete(config), {**norms, **(more or {})})


def raw(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> Raw:
    """Norms by role: before attention, behind it, before the MLP, behind it."""
    gains = {name: 1 + tensors[name] for name in tensors if name.endswith("norm.weight")}
    layers = [f"layers.{layer}." for layer in range(config["num_hidden_layers"])]
    before = {  # where Llama keeps the norm before the MLP
        f"{place}post_attention_layernorm.weight": gains[f"{place}pre_feedforward_layernorm.weight"]
        for place in layers
    }
    found = llama.raw(_complete(config), ChainMap(before, gains, tensors))  # type: ignore[arg-type]
    blocks = (
        (
            replace(attention, post_gain=gains[f"{place}post_attention_layernorm.weight"]),
            replace(mlp, post_gain=gains[f"{place}post_feedforward_layernorm.weight"]),
        )
        for (attention, mlp), place in zip(found.blocks, layers, strict=True)
    )
    return replace(found, blocks=blocks)


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    tied = config.get("tie_word_embeddings", True)
    return {**config, "head_dim": config.get("head_dim") or 256, "tie_word_embeddings": tied}
