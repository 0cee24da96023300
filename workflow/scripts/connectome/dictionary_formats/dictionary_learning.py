"""dictionary_learning: config.json and ae.pt, a plain state dict. Linear weights lie transposed.

Two classes have the same tensors and differ in what they do, so that the class that config.json
names decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectome.dictionary_formats import Plan, Settings, Shapes, settings
from connectome.errors import DataError

NAME = "dictionary_learning"
WEIGHTS = ("ae.pt",)
FILES = ("config.json",)
OPTIONS = ("allow_unset_threshold",)


@dataclass(frozen=True)
class _Class:
    """A class of theirs: its activation, and its tensors by role and shape."""

    activation: str
    centred: bool
    shapes: Shapes
    bias: str  # name of the decoder's


_D, _F = "activation_dim", "dict_size"
_LINEAR: dict[str, tuple[str, ...] | None] = {
    "encoder.weight": (_F, _D),
    "decoder.weight": (_D, _F),
}
_PLAIN: dict[str, tuple[str, ...] | None] = {
    "W_enc": (_D, _F),
    "W_dec": (_F, _D),
    "b_enc": (_F,),
    "b_dec": (_D,),
}
_CHOSEN: dict[str, tuple[str, ...] | None] = {"k": (), "threshold": ()}
_WITH_BIAS = _LINEAR | {"encoder.bias": (_F,)}
_GATED = dict.fromkeys(("gate_bias", "mag_bias", "r_mag"), (_F,))
_TOPK = _WITH_BIAS | {"b_dec": (_D,)} | _CHOSEN

CLASSES = {
    "AutoEncoder": _Class("relu", True, _WITH_BIAS | {"bias": (_D,)}, "bias"),
    "AutoEncoderNew": _Class("relu", False, _WITH_BIAS | {"decoder.bias": (_D,)}, "decoder.bias"),
    "GatedAutoEncoder": _Class(
        "gated", True, _LINEAR | {"decoder_bias": (_D,)} | _GATED, "decoder_bias"
    ),
    "AutoEncoderTopK": _Class("topk", True, _TOPK, "b_dec"),
    "BatchTopKSAE": _Class("jumprelu", True, _TOPK, "b_dec"),
    "MatryoshkaBatchTopKSAE": _Class(
        "jumprelu", True, _PLAIN | _CHOSEN | {"group_sizes": None}, "b_dec"
    ),
    "JumpReluAutoEncoder": _Class("jumprelu", False, _PLAIN | {"threshold": (_F,)}, "b_dec"),
}
_ORIGIN = {"lm_name": "model_name", "submodule_name": "hook_name", "layer": "layer"}
_DETAILS = {"k": "k", "group_sizes": "group_sizes"}
_UNSET = "the threshold was never set, which leaves a plain ReLU"


def plan(folder: Path, options: Mapping[str, bool]) -> Plan:
    config = settings(folder / "config.json")
    trainer, buffer = config.part("trainer"), config.part("buffer")
    name = trainer.choice("dict_class", list(CLASSES))
    buffer.neutral("io", ("in", "out"), "which makes it a transcoder with a bias for both ends")
    kind = CLASSES[name]
    allowed = options.get("allow_unset_threshold", False)
    plain = "W_enc" in kind.shapes

    def build(t: Mapping[str, Any]) -> dict[str, Any]:
        k = _active(trainer, t) if "k" in kind.shapes else None
        gated = kind.activation == "gated"
        threshold = t.get("threshold") if kind.activation == "jumprelu" else None
        unset = threshold is not None and threshold.ndim == 0 and bool(threshold < 0)
        if unset and not allowed:
            raise DataError(
                f"{folder / WEIGHTS[0]}: threshold is {float(t['threshold'])}: it was never set, "
                "and the dictionary is no sparser than a plain ReLU; handled: at least 0, or "
                "allow_unset_threshold: true in the configuration"
            )
        if threshold is not None:
            threshold = threshold.expand(len(t["b_enc" if plain else "encoder.bias"]))
        return {
            "activation": "relu" if unset else kind.activation,
            "encoder": t["W_enc"] if plain else t["encoder.weight"].T,
            "encoder_bias": t["mag_bias" if gated else "b_enc" if plain else "encoder.bias"],
            "decoder": t["W_dec"] if plain else t["decoder.weight"].T,
            "decoder_bias": t[kind.bias],
            "centred": kind.centred,
            "threshold": None if unset else threshold,
            "k": k if kind.activation == "topk" else None,
            "gate": (t["gate_bias"], t["r_mag"].exp()) if gated else None,
            "notes": [_UNSET] * unset,
        }

    # before the class had a threshold, neither it nor k was among the tensors
    optional = ("k", "threshold") if kind.activation == "topk" else ("k",)
    return Plan(
        f"{kind.activation} (from {name})",
        kind.shapes,
        build,
        trainer.numbers(_D, _F),
        optional=optional if "k" in kind.shapes else (),
        whole=("k", "group_sizes"),
        origin={
            **trainer.said(_ORIGIN),
            **buffer.said({"ctx_len": "context_size"}),
            "training_architecture": name,
            "training_architecture_details": trainer.said(_DETAILS),
        },
    )


def _active(trainer: Settings, tensors: Mapping[str, Any]) -> int | None:
    """Features wanted on a token, which config.json and the tensors say."""
    stored = int(tensors["k"]) if "k" in tensors else None
    said = trainer.number("k") if trainer.has("k") else stored
    if said is None or said < 1 or stored not in (None, said):
        raise trainer.refuse("k", f"the number that {WEIGHTS[0]} holds, {stored}")
    return said
