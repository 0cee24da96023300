"""Dictionary folders in the SAELens layout: a stand-in that reads autoencoders and transcoders."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from connectome.dictionaries import Dictionary


def read(
    folder: Path, options: Mapping[str, bool] | None = None
) -> tuple[Dictionary, dict[str, Any]]:
    """The dictionary of a folder, in float32, and its record."""
    record = json.loads((folder / "cfg.json").read_text())
    weights = load_file(folder / "sae_weights.safetensors")
    architecture = record["architecture"]
    activation = "jumprelu" if "threshold" in weights else "relu"
    dictionary = Dictionary(
        "topk" if architecture == "topk" else activation,
        weights["W_enc"],
        weights["b_enc"],
        weights["W_dec"],
        weights["b_dec"],
        centred=record["apply_b_dec_to_input"],
        transcoder="transcoder" in architecture,
        threshold=weights.get("threshold"),
        k=record.get("k"),
        skip=weights.get("W_skip"),
    )
    return dictionary, record
