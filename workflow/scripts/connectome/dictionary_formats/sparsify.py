"""sparsify: cfg.json and sae.safetensors, one folder per site; ReLU, then the k largest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectome.dictionary_formats import Plan, settings

NAME = "sparsify"
WEIGHTS = ("sae.safetensors",)
FILES = ("cfg.json",)
OPTIONS = ()


def plan(folder: Path, options: Mapping[str, bool]) -> Plan:
    config = settings(folder / "cfg.json")
    config.choice("activation", ("topk",), "topk")
    config.neutral("signed", (False,), "which keeps features below 0")
    for key in ("embed_skip", "gram_lookup"):
        config.neutral(key, (False,), "which reads more than the input of the site")
    k, transcoder = config.number("k"), config.flag("transcode")
    latents = config.get("num_latents")  # 0 stands for a multiple of the width
    width = config.number("d_in")
    features = (
        config.number("num_latents") if latents else width * config.number("expansion_factor")
    )
    shapes: dict[str, tuple[str, ...] | None] = {
        "encoder.weight": ("num_latents", "d_in"),
        "encoder.bias": ("num_latents",),
        "W_dec": ("num_latents", "d_in"),
        "b_dec": ("d_in",),
    }
    if config.flag("skip_connection"):
        shapes["W_skip"] = ("d_in", "d_in")

    def build(t: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "activation": "topk",
            "encoder": t["encoder.weight"].T,
            "encoder_bias": t["encoder.bias"],
            "decoder": t["W_dec"],  # other than its encoder, it lies as it is used
            "decoder_bias": t["b_dec"],
            "centred": not transcoder,
            "transcoder": transcoder,
            "k": k,
            "skip": t.get("W_skip"),
        }

    return Plan("topk", shapes, build, {"d_in": width, "num_latents": features})
