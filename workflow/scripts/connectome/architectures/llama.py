"""Llama: rotary positions, RMSNorm before each module, gated MLP, grouped-query attention.

Mistral, Qwen and Gemma are variations on it and take these functions.
"""

from collections.abc import Mapping
from typing import Any

from connectome.architectures import Dimensions, Raw, RawAttention, RawMlp, RawNorm, Stretch

PREFIX = "model."
BUFFERS = r"rotary_emb\.inv_freq$|^lm_head\.weight$"
TIED = ("embed_tokens.weight", "lm_head.weight")
SQUARE = False
MODULES = {
    "embed": "model.embed_tokens",
    "attn": "model.layers.{}.self_attn",
    "mlp.in": "model.layers.{}.post_attention_layernorm",
    "mlp": "model.layers.{}.mlp",
    "resid": "model.layers.{}",
}
STRETCHES = ("default", "linear", "llama3")
HANDLED = {
    "hidden_act": ("silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu"),
    "rope_parameters.rope_type": STRETCHES,
    "rope_scaling.rope_type": STRETCHES,
    "rope_scaling.type": STRETCHES,
    "pretraining_tp": (1,),
}


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    heads = config["num_attention_heads"]
    rope = config.get("rope_parameters") or {}
    return Dimensions(
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or config["hidden_size"] // heads,
        hidden=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        context=config["max_position_embeddings"],
        activation=config.get("hidden_act", "silu"),
        eps=config.get("rms_norm_eps", 1e-6),
        centred=False,
        rotary_base=float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
        rotary_stretch=stretch(config, config.get("rope_scaling") or rope),
    )


def stretch(config: Mapping[str, Any], rope: Mapping[str, Any]) -> Stretch | None:
    """Stretch of rotary frequencies by the entries of a `rope_scaling` or `rope_parameters`."""
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return None
    if kind == "linear":
        return Stretch(rope["factor"])
    original = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
    return Stretch(rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"], original)


def shapes(
    config: Mapping[str, Any], more: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, tuple[int, ...]]:
    """`more`: further tensors of each block."""
    size = dimensions(config)
    d, n = size.width, size.hidden
    queries, keys = size.heads * size.head_width, size.kv_heads * size.head_width
    result: dict[str, tuple[int, ...]] = {
        "embed_tokens.weight": (size.vocabulary, d),
        "norm.weight": (d,),
    }
    if not config.get("tie_word_embeddings", False):
        result["lm_head.weight"] = (size.vocabulary, d)
    block: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (d,),
        "self_attn.q_proj.weight": (queries, d),
        "self_attn.k_proj.weight": (keys, d),
        "self_attn.v_proj.weight": (keys, d),
        "self_attn.o_proj.weight": (d, queries),
        "post_attention_layernorm.weight": (d,),
        "mlp.gate_proj.weight": (n, d),
        "mlp.up_proj.weight": (n, d),
        "mlp.down_proj.weight": (d, n),
    }
    if config.get("attention_bias"):
        block |= {f"self_attn.{name}_proj.bias": (keys,) for name in "kv"}
        block |= {"self_attn.q_proj.bias": (queries,), "self_attn.o_proj.bias": (d,)}
    if config.get("mlp_bias"):
        block |= {"mlp.gate_proj.bias": (n,), "mlp.up_proj.bias": (n,), "mlp.down_proj.bias": (d,)}
    for layer in range(size.layers):
        every = {**block, **(more or {})}
        result |= {f"layers.{layer}.{name}": shape for name, shape in every.items()}
    return result


def raw(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> Raw:
    embedding = tensors["embed_tokens.weight"]
    return Raw(
        embedding,
        None,
        (_block(tensors, layer) for layer in range(config["num_hidden_layers"])),
        RawNorm(tensors["norm.weight"], None),
        tensors.get("lm_head.weight", embedding),
    )


def _block(tensors: Mapping[str, Any], layer: int) -> tuple[RawAttention, RawMlp]:
    place = f"layers.{layer}."

    def linear(name: str) -> tuple[Any, Any]:
        return tensors[f"{place}{name}.weight"].T, tensors.get(f"{place}{name}.bias")

    attention = RawAttention(
        RawNorm(tensors[f"{place}input_layernorm.weight"], None),
        *linear("self_attn.q_proj"),
        *linear("self_attn.k_proj"),
        *linear("self_attn.v_proj"),
        *linear("self_attn.o_proj"),
        query_gain=tensors.get(f"{place}self_attn.q_norm.weight"),
        key_gain=tensors.get(f"{place}self_attn.k_norm.weight"),
    )
    mlp = RawMlp(
        RawNorm(tensors[f"{place}post_attention_layernorm.weight"], None),
        *linear("mlp.gate_proj"),
        *linear("mlp.up_proj"),
        *linear("mlp.down_proj"),
    )
    return attention, mlp
