"""Qwen 2 and 2.5: Llama with biases of queries, keys and values, and windows if asked."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectome.architectures import ANY, Dimensions, layer_windows, llama

PREFIX, BUFFERS, TIED, SQUARE = llama.PREFIX, llama.BUFFERS, llama.TIED, llama.SQUARE
MODULES = llama.MODULES
HANDLED = llama.HANDLED | {"sliding_window": ANY}
raw = llama.raw


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    return replace(llama.dimensions(config), windows=windows(config))


def windows(config: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Windows in the layers from `max_window_layers` on, where `use_sliding_window` is set."""
    window = config.get("sliding_window", 4096) if config.get("use_sliding_window") else None
    first = config.get("max_window_layers", 28)
    return layer_windows(config, window, lambda layer: layer >= first)


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    size = llama.dimensions(config)
    queries, keys = size.heads * size.head_width, size.kv_heads * size.head_width
    biases = {"q": (queries,), "k": (keys,), "v": (keys,)}
    return llama.shapes(
        {**config, "attention_bias": False},  # a key of Llama: the output has no bias here
        {f"self_attn.{name}_proj.bias": shape for name, shape in biases.items()},
    )
