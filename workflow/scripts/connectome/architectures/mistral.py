"""Mistral: Llama whose queries see only the last `sliding_window` keys, in every layer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectome.architectures import ANY, Dimensions, layer_windows, llama

PREFIX, BUFFERS, TIED, SQUARE = llama.PREFIX, llama.BUFFERS, llama.TIED, llama.SQUARE
MODULES = llama.MODULES
HANDLED = llama.HANDLED | {"sliding_window": ANY}
shapes, raw = llama.shapes, llama.raw


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    window = config.get("sliding_window", 4096)
    # transformers gives every layer of this architecture the window, whatever `layer_types` says
    windows = layer_windows({**config, "layer_types": None}, window, lambda layer: True)
    return replace(llama.dimensions(config), windows=windows)
