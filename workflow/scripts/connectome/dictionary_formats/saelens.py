"""SAELens: cfg.json and sae_weights.safetensors. Before 6.0 its keys had other names and meanings.

A file of old says by `activation_fn_str` that its "standard" architecture is topk; who overlooks
that reads it as ReLU, with ten times the features (SAELens issue 553).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectome.dictionary_formats import Plan, Settings, Shapes, refuse_scaling, settings
from connectome.errors import DataError

NAME = "SAELens"
WEIGHTS = ("sae_weights.safetensors",)
FILES = ("cfg.json", "sparsity.safetensors")
OPTIONS = ()

# architecture: activation, whether it is a transcoder, whether it has a skip path
KINDS: dict[str, tuple[str, bool, bool]] = {
    "standard": ("relu", False, False),
    "topk": ("topk", False, False),
    "jumprelu": ("jumprelu", False, False),
    "gated": ("gated", False, False),
    "transcoder": ("relu", True, False),
    "skip_transcoder": ("relu", True, True),
    "jumprelu_transcoder": ("jumprelu", True, False),
    "jumprelu_skip_transcoder": ("jumprelu", True, True),
}
_BIASES = {
    "relu": ("b_enc",),
    "topk": ("b_enc",),
    "jumprelu": ("b_enc", "threshold"),
    "gated": ("b_gate", "b_mag", "r_mag"),
}
_ORIGIN = {
    name: name
    for name in (
        *("model_name", "hook_name", "hf_hook_name", "hook_name_out", "hf_hook_name_out"),
        *("context_size", "prepend_bos", "dataset_path", "model_from_pretrained_kwargs"),
        *("training_architecture", "training_architecture_details"),
    )
}
_TRAINED = "it is a file of a training that goes on: save the dictionary for inference"


def plan(folder: Path, options: Mapping[str, bool]) -> Plan:
    config = settings(folder / "cfg.json")
    metadata = config.part("metadata")
    old = _is_old(config, metadata)
    architecture, shown = _architecture(config, old)
    activation, transcoder, skip = KINDS[architecture]
    k = _active(config) if activation == "topk" else None
    # SAELens passes b_dec over in transcoders, whose b_dec is as wide as their output
    centred = config.flag("apply_b_dec_to_input", True) and not transcoder
    rescaled = config.flag("rescale_acts_by_decoder_norm")
    if rescaled and activation != "topk":
        raise config.refuse("rescale_acts_by_decoder_norm", f"false, for {architecture}")
    origin = config.said({**_ORIGIN, "hook_point": "hook_name"}) | metadata.said(_ORIGIN)
    for part in (config, metadata):
        _refuse_what_changes_the_arithmetic(part)
    if old and not config.has("reshape_activations") and "hook_z" in str(origin.get("hook_name")):
        raise DataError(
            f"{config.path}: hook_point is {origin['hook_name']!r}, values of attention heads, "
            "which are no site here; handled: outputs of modules"
        )
    width = "d_out" if transcoder else "d_in"
    shapes: Shapes = {
        "W_enc": ("d_in", "d_sae"),
        "W_dec": ("d_sae", width),
        "b_dec": (width,),
        **dict.fromkeys(_BIASES[activation], ("d_sae",)),
        **({"W_skip": ("d_out", "d_in")} if skip else {}),
        "scaling_factor": None,  # some files hold one that does nothing
    }

    def build(t: Mapping[str, Any]) -> dict[str, Any]:
        refuse_scaling(t, folder / WEIGHTS[0])
        return {
            "activation": activation,
            "encoder": t["W_enc"],
            "encoder_bias": t["b_mag" if activation == "gated" else "b_enc"],
            "decoder": t["W_dec"],
            "decoder_bias": t["b_dec"],
            "centred": centred,
            "transcoder": transcoder,
            "threshold": t.get("threshold"),
            "k": k,
            "skip": t.get("W_skip"),
            "gate": (t["b_gate"], t["r_mag"].exp()) if activation == "gated" else None,
        }

    return Plan(
        shown,
        shapes,
        build,
        config.numbers("d_in", "d_sae", *(["d_out"] if transcoder else [])),
        optional=("scaling_factor",),
        hints={"log_threshold": _TRAINED, "topk_threshold": _TRAINED},
        origin={**origin, "normalisation": "none"},
        rescaled=rescaled,
    )


def _is_old(config: Settings, metadata: Settings) -> bool:
    """Whether a file was written before 6.0, which files of old do not say."""
    place = config if config.has("sae_lens_version") else metadata
    if not place.has("sae_lens_version"):
        return True
    number = re.match(r"\d+", str(place.get("sae_lens_version")))
    if number is None:
        raise place.refuse("sae_lens_version", "a version such as '6.54.12'")
    return int(number.group()) < 6


def _architecture(config: Settings, old: bool) -> tuple[str, str]:
    """The architecture, and the same with the key that it follows from, where that is another."""
    architecture = config.choice("architecture", list(KINDS), "standard")
    told = config.said({key: key for key in ("activation_fn_str", "activation_fn")})
    if old and architecture == "standard" and told and all(v == "topk" for v in told.values()):
        return "topk", f"topk (from {next(iter(told))})"
    right = "topk" if architecture == "topk" else "relu"
    for key, value in told.items():
        if value != right:
            other = " or 'topk'" if old and architecture == "standard" else ""
            raise config.refuse(key, f"{right!r}{other}, where architecture is {architecture!r}")
    return architecture, architecture


def _active(config: Settings) -> int:
    """Features that a topk dictionary keeps, which older files say elsewhere."""
    nested = config.part("activation_fn_kwargs")
    nested.neutral("signed", (False,), "which keeps features below 0")
    found = {part.number("k") for part in (config, nested) if part.has("k")}
    if len(found) != 1:
        raise config.refuse(
            "k", f"one number, which activation_fn_kwargs repeats or holds: {found}"
        )
    return found.pop()


def _refuse_what_changes_the_arithmetic(part: Settings) -> None:
    part.neutral(
        "normalize_activations",
        ("none", False),
        "a scaling that is not folded into the weights"
        + (" (expected_average_only_in)" if part.get("normalize_activations") is True else ""),
    )
    part.neutral("finetuning_scaling_factor", (False,), "which rescales features")
    part.neutral("normalize_decoder", (False,), "which rescales features")
    heads = "which are no site here (sites are outputs of modules)"
    part.neutral("reshape_activations", ("none",), f"values of attention heads, {heads}")
    for key in ("hook_head_index", "hook_point_head_index"):
        part.neutral(key, (), f"values of one attention head, {heads}")
