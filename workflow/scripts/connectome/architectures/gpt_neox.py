"""GPT-NeoX and Pythia: LayerNorm and biases, rotary positions on a part of each head.

Attention and MLP of a block read the same stream (`use_parallel_residual`) or one after the other.
"""

from collections.abc import Mapping
from typing import Any

from connectome.architectures import ANY, Dimensions, Raw, RawAttention, RawMlp, RawNorm, llama

PREFIX = "gpt_neox."
BUFFERS = r"\.attention\.(masked_)?bias$|rotary_emb\.inv_freq$|^lm_head\.weight$"
TIED = ("embed_in.weight", "lm_head.weight")
ALIASES = {"embed_out.weight": "lm_head.weight"}  # older and newer names of the unembedding
SQUARE = True
MODULES = {
    "embed": "gpt_neox.emb_dropout",
    "attn": "gpt_neox.layers.{}.attention",
    "mlp.in": "gpt_neox.layers.{}.post_attention_layernorm",
    "mlp": "gpt_neox.layers.{}.mlp",
    "resid": "gpt_neox.layers.{}",
}
HANDLED = {
    "hidden_act": ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu", "silu"),
    "use_parallel_residual": (True, False),
    "partial_rotary_factor": ANY,
    "rope_parameters.partial_rotary_factor": ANY,
    "rope_parameters.rope_type": llama.STRETCHES,
    "rope_scaling.rope_type": llama.STRETCHES,
    "rope_scaling.type": llama.STRETCHES,
}


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    heads = config["num_attention_heads"]
    width = config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    shares = (rope.get("partial_rotary_factor"), config.get("rotary_pct"), 0.25)
    share = next(share for share in shares if share is not None)
    return Dimensions(
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        heads=heads,
        kv_heads=heads,
        head_width=width,
        hidden=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        context=config["max_position_embeddings"],
        activation=config.get("hidden_act", "gelu"),
        eps=config.get("layer_norm_eps", 1e-5),
        centred=True,
        rotary_base=float(rope.get("rope_theta") or config.get("rotary_emb_base") or 10000.0),
        rotary_width=None if share == 1 else int(width * share),
        rotary_stretch=llama.stretch(config, config.get("rope_scaling") or rope),
        parallel=config.get("use_parallel_residual", True),
    )


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    size = dimensions(config)
    d, n = size.width, size.hidden
    result: dict[str, tuple[int, ...]] = {
        "embed_in.weight": (size.vocabulary, d),
        "final_layer_norm.weight": (d,),
        "final_layer_norm.bias": (d,),
    }
    if not config.get("tie_word_embeddings", False):
        result["lm_head.weight"] = (size.vocabulary, d)
    block = {
        "input_layernorm.weight": (d,),
        "input_layernorm.bias": (d,),
        "attention.query_key_value.weight": (3 * d, d),
        "attention.dense.weight": (d, d),
        "post_attention_layernorm.weight": (d,),
        "post_attention_layernorm.bias": (d,),
        "mlp.dense_h_to_4h.weight": (n, d),
        "mlp.dense_h_to_4h.bias": (n,),
        "mlp.dense_4h_to_h.weight": (d, n),
        "mlp.dense_4h_to_h.bias": (d,),
    }
    if config.get("attention_bias", True):
        block |= {"attention.query_key_value.bias": (3 * d,), "attention.dense.bias": (d,)}
    for layer in range(size.layers):
        result |= {f"layers.{layer}.{name}": shape for name, shape in block.items()}
    return result


def raw(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> Raw:
    size = dimensions(config)

    def norm(place: str) -> RawNorm:
        return RawNorm(tensors[f"{place}.weight"], tensors[f"{place}.bias"])

    def linear(place: str) -> tuple[Any, Any]:
        return tensors[f"{place}.weight"].T, tensors.get(f"{place}.bias")

    def of_heads(place: str) -> list[tuple[Any, Any]]:
        """Matrix and bias of queries, keys and values: each head's three stand together."""
        matrix, bias = tensors[f"{place}.weight"], tensors.get(f"{place}.bias")
        by_head = matrix.reshape(size.heads, 3, size.head_width, size.width)
        biases = None if bias is None else bias.reshape(size.heads, 3, size.head_width)
        return [
            (
                by_head[:, kind].reshape(-1, size.width).T,
                None if biases is None else biases[:, kind].reshape(-1),
            )
            for kind in range(3)
        ]

    def block(layer: int) -> tuple[RawAttention, RawMlp]:
        place = f"layers.{layer}"
        queries, keys, values = of_heads(f"{place}.attention.query_key_value")
        attention = RawAttention(
            norm(f"{place}.input_layernorm"),
            *queries,
            *keys,
            *values,
            *linear(f"{place}.attention.dense"),
        )
        mlp = RawMlp(
            norm(f"{place}.post_attention_layernorm"),
            None,
            None,
            *linear(f"{place}.mlp.dense_h_to_4h"),
            *linear(f"{place}.mlp.dense_4h_to_h"),
        )
        return attention, mlp

    blocks = map(block, range(size.layers))
    embedding = tensors["embed_in.weight"]
    final = norm("final_layer_norm")
    return Raw(embedding, None, blocks, final, tensors.get("lm_head.weight", embedding))
