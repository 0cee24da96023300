"""Gemma Scope: params.npz of the first edition, params.safetensors of the second.

The first has no settings at all: whether its dictionary is a transcoder, or reads the embedding,
only the configuration can say.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectome.dictionary_formats import Plan, Settings, Shapes, refuse_scaling, settings
from connectome.errors import DataError

NAME = "Gemma Scope"
WEIGHTS = ("params.npz", "params.safetensors")
FILES = ("config.json",)
OPTIONS = ("embedding", "transcoder")

_SCALED = "weights are scaled from plain to scaled embeddings"
_SKIP = "affine_skip_connection"
_ORIGIN = {
    "model_name": "model_name",
    "hf_hook_point_in": "hf_hook_name",
    "hf_hook_point_out": "hf_hook_name_out",
}


def plan(folder: Path, options: Mapping[str, bool]) -> Plan:
    path = folder / "config.json"
    config = settings(path) if path.is_file() else Settings(path, {})
    config.choice("architecture", ("jump_relu", "jumprelu"), "jump_relu")
    origin = config.said(_ORIGIN)
    affine = config.flag("affine_connection")
    reads, writes = (config.get(f"hf_hook_point_{end}") for end in ("in", "out"))
    told = affine or (None not in (reads, writes) and reads != writes)
    transcoder = options.get("transcoder", told)
    if told and not transcoder:
        raise DataError(f"{path} says that it is a transcoder, the configuration that it is none")
    embedding = options.get("embedding", False)
    shapes: Shapes = {
        "w_enc": ("d_in", "features"),
        "w_dec": ("features", "d_out" if transcoder else "d_in"),
        "b_enc": ("features",),
        "b_dec": ("d_out" if transcoder else "d_in",),
        "threshold": ("features",),
        "scaling_factor": None,
        _SKIP: ("d_in", "d_out" if transcoder else "d_in"),
    }

    def build(t: Mapping[str, Any]) -> dict[str, Any]:
        refuse_scaling(t, folder)
        if _SKIP in t and not transcoder:
            raise DataError(
                f"{folder}: {_SKIP} is a path of transcoders, and neither config.json nor the "
                "configuration says that this is one; add transcoder: true"
            )
        if affine and _SKIP not in t:
            raise DataError(f"{path}: affine_connection is True, but tensor {_SKIP!r} is missing")
        # it was trained on embeddings that were not yet scaled
        scale = len(t["w_enc"]) ** 0.5 if embedding else 1.0
        return {
            "activation": "jumprelu",
            "encoder": t["w_enc"] / scale,
            "encoder_bias": t["b_enc"],
            "decoder": t["w_dec"] * scale,
            "decoder_bias": t["b_dec"],
            "transcoder": transcoder,
            "threshold": t["threshold"],
            "skip": t[_SKIP].T if _SKIP in t else None,
            "notes": [_SCALED] * embedding,
        }

    return Plan(
        "jumprelu",
        shapes,
        build,
        optional=("scaling_factor", _SKIP),
        any_case=True,
        origin=origin,
    )
