"""GPT-2: learned positions, LayerNorm before each module, biases everywhere."""

from collections.abc import Mapping
from typing import Any

from connectome.architectures import Dimensions, Raw, RawAttention, RawMlp, RawNorm

PREFIX = "transformer."
BUFFERS = r"\.attn\.(masked_)?bias$|^lm_head\.weight$"
TIED = ("wte.weight", "lm_head.weight")
SQUARE = True  # the heads' widths add up to the model's
HANDLED = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh", "gelu", "relu", "silu"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "reorder_and_upcast_attn": (False, True),  # the same arithmetic in another precision
    "add_cross_attention": (False,),
}


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    width, heads = config["n_embd"], config["n_head"]
    return Dimensions(
        layers=config["n_layer"],
        width=width,
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        hidden=config.get("n_inner") or 4 * width,
        vocabulary=config["vocab_size"],
        context=config["n_positions"],
        activation=config.get("activation_function", "gelu_new"),
        eps=config.get("layer_norm_epsilon", 1e-5),
        centred=True,
        rotary_base=None,
    )


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    size = dimensions(config)
    d, n = size.width, size.hidden
    result: dict[str, tuple[int, ...]] = {
        "wte.weight": (size.vocabulary, d),
        "wpe.weight": (size.context, d),
        "ln_f.weight": (d,),
        "ln_f.bias": (d,),
    }
    if not config.get("tie_word_embeddings", True):
        result["lm_head.weight"] = (size.vocabulary, d)
    block = {
        "ln_1.weight": (d,),
        "ln_1.bias": (d,),
        "attn.c_attn.weight": (d, 3 * d),
        "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d),
        "attn.c_proj.bias": (d,),
        "ln_2.weight": (d,),
        "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, n),
        "mlp.c_fc.bias": (n,),
        "mlp.c_proj.weight": (n, d),
        "mlp.c_proj.bias": (d,),
    }
    for layer in range(size.layers):
        result |= {f"h.{layer}.{name}": shape for name, shape in block.items()}
    return result


def raw(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> Raw:
    size = dimensions(config)
    blocks = []
    for layer in range(size.layers):
        block = {
            name.removeprefix(f"h.{layer}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"h.{layer}.")
        }
        query, key, value = block["attn.c_attn.weight"].split(size.width, dim=1)
        query_bias, key_bias, value_bias = block["attn.c_attn.bias"].split(size.width)
        attention = RawAttention(
            RawNorm(block["ln_1.weight"], block["ln_1.bias"]),
            query,
            query_bias,
            key,
            key_bias,
            value,
            value_bias,
            block["attn.c_proj.weight"],
            block["attn.c_proj.bias"],
        )
        mlp = RawMlp(
            RawNorm(block["ln_2.weight"], block["ln_2.bias"]),
            None,
            None,
            block["mlp.c_fc.weight"],
            block["mlp.c_fc.bias"],
            block["mlp.c_proj.weight"],
            block["mlp.c_proj.bias"],
        )
        blocks.append((attention, mlp))
    embedding = tensors["wte.weight"]
    return Raw(
        embedding,
        tensors["wpe.weight"],
        blocks,
        RawNorm(tensors["ln_f.weight"], tensors["ln_f.bias"]),
        tensors.get("lm_head.weight", embedding),
    )
