"""Qwen 3: Llama whose heads' queries and keys pass an RMSNorm; windows as in Qwen 2."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectome.architectures import Dimensions, Raw, llama, qwen2

PREFIX, BUFFERS, TIED, SQUARE = llama.PREFIX, llama.BUFFERS, llama.TIED, llama.SQUARE
MODULES = llama.MODULES
HANDLED = qwen2.HANDLED


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    return replace(llama.dimensions(_complete(config)), windows=qwen2.windows(config))


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    width = dimensions(config).head_width
    norms = {f"self_attn.{name}_norm.weight": (width,) for name in "qk"}
    return llama.shapes(_complete(config), norms)


def raw(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> Raw:
    return llama.raw(_complete(config), tensors)


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**config, "head_dim": config.get("head_dim") or 128}
