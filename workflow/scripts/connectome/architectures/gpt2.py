"""GPT-2: learned positions, LayerNorm before each module, biases everywhere."""

from collections.abc import Mapping
from typing import Any

from connectome.architectures import Dimensions, Raw, RawAttention, RawMlp, RawNorm

PREFIX = "transformer."
BUFFERS = r"\.attn\.(masked_)?bias$|^lm_head\.weight$"
TIED = ("wte.weight", "lm_head.weight")
SQUARE = True  # the heads' widths add up to the model's
MODULES = {
    "embed": "transformer.drop",
    "attn": "transformer.h.{}.attn",
    "mlp.in": "transformer.h.{}.ln_2",
    "mlp": "transformer.h.{}.mlp",
    "resid": "transformer.h.{}",
}
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
    embedding = tensors["wte.weight"]
    return Raw(
        embedding,
        tensors["wpe.weight"],
        (_block(tensors, layer, size.width) for layer in range(size.layers)),
        RawNorm(tensors["ln_f.weight"], tensors["ln_f.bias"]),
        tensors.get("lm_head.weight", embedding),
    )


def _block(tensors: Mapping[str, Any], layer: int, width: int) -> tuple[RawAttention, RawMlp]:
    def of(name: str) -> Any:
        return tensors[f"h.{layer}.{name}"]

    query, key, value = of("attn.c_attn.weight").split(width, dim=1)
    query_bias, key_bias, value_bias = of("attn.c_attn.bias").split(width)
    attention = RawAttention(
        RawNorm(of("ln_1.weight"), of("ln_1.bias")),
        query,
        query_bias,
        key,
        key_bias,
        value,
        value_bias,
        of("attn.c_proj.weight"),
        of("attn.c_proj.bias"),
    )
    mlp = RawMlp(
        RawNorm(of("ln_2.weight"), of("ln_2.bias")),
        None,
        None,
        of("mlp.c_fc.weight"),
        of("mlp.c_fc.bias"),
        of("mlp.c_proj.weight"),
        of("mlp.c_proj.bias"),
    )
    return attention, mlp
