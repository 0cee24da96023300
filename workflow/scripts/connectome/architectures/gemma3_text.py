"""Gemma 3, text: Gemma 2 with norms of queries and keys instead of capped scores.

Five layers out of six see a window and turn by another base.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectome.architectures import ANY, Dimensions, gemma2, layer_windows, llama

PREFIX, BUFFERS, TIED, SQUARE = llama.PREFIX, llama.BUFFERS, llama.TIED, llama.SQUARE
MODULES = gemma2.MODULES
HANDLED = {key: values for key, values in gemma2.HANDLED.items() if "softcap" not in key} | {
    "final_logit_softcapping": ANY,
    "rope_parameters.full_attention.rope_type": llama.STRETCHES,
    "rope_parameters.sliding_attention.rope_type": ("default",),
}
raw = gemma2.raw


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    every = config.get("sliding_window_pattern") or config.get("_sliding_window_pattern") or 6
    ropes = config.get("rope_parameters") or {}
    far, near = ropes.get("full_attention") or {}, ropes.get("sliding_attention") or {}
    window = config.get("sliding_window", 4096)
    return replace(
        gemma2.common({**config, "rope_parameters": None}),
        rotary_base=float(far.get("rope_theta") or config.get("rope_theta") or 1_000_000.0),
        rotary_stretch=llama.stretch(config, config.get("rope_scaling") or far),
        windows=layer_windows(config, window, lambda layer: (layer + 1) % every != 0),
        window_rotary_base=float(
            near.get("rope_theta") or config.get("rope_local_base_freq") or 10_000.0
        ),
        logit_cap=config.get("final_logit_softcapping"),
    )


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    width = dimensions(config).head_width
    norms = {f"self_attn.{name}_norm.weight": (width,) for name in "qk"}
    return gemma2.shapes(config, norms)
