"""Folders of dictionaries: four layouts read into one form, one written.

Nothing in a file is ever executed, repaired or filled in. What changes the arithmetic is followed,
or refused in one sentence with the file, the key, the value found and those that are handled.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from connectome import dictionary_formats, dictionary_hooks
from connectome.command import atomic, canonical
from connectome.dictionaries import Dictionary
from connectome.dictionary_folds import fold_decoder_norms
from connectome.dictionary_formats import Plan, saelens
from connectome.errors import DataError
from connectome.tensor_files import read_tensors

_RESCALED = "features are shown times the lengths of their decoder rows, by which they are chosen"
_SAELENS_VERSION = "6.54.12"  # the release whose layout is written; without one, keys of old count


class Files(NamedTuple):
    """The files of a dictionary that is written here."""

    config: Path
    weights: Path
    sparsity: Path | None = None

    @classmethod
    def of(cls, folder: Path) -> "Files":
        """Those of a folder, by the names that SAELens gives them."""
        return cls(
            *(folder / name for name in ("cfg.json", *saelens.WEIGHTS, "sparsity.safetensors"))
        )


def read(
    folder: Path, options: Mapping[str, bool] | None = None
) -> tuple[Dictionary, dict[str, Any]]:
    """The dictionary of a folder, in float32, and a record of what it is, for a page.

    options: what its files do not say and the configuration does (`OPTIONS` of the layouts).
    The record has layout, architecture (as read), activation, d_in, d_out, features, k, centred,
    transcoder, skip and notes, and what the files say of model, sites and training.
    Raises DataError.
    """
    folder = Path(folder)
    layout = dictionary_formats.layout_of(dictionary_formats.files_in(folder), str(folder))
    plan, path = dictionary_formats.plan_of(layout, folder, options or {})
    tensors = _checked(path, plan, read_tensors(path))
    fields = plan.build(tensors)
    notes = [*fields.pop("notes", []), *[_RESCALED] * plan.rescaled]
    dictionary = Dictionary(**{name: _plain(value) for name, value in fields.items()})
    if plan.rescaled:
        dictionary = fold_decoder_norms(dictionary, rescaled=True)
    if dictionary.k is not None and dictionary.k > dictionary.features:
        raise DataError(
            f"{path}: k is {dictionary.k}, more than the {dictionary.features} features"
        )
    d_in, d_out = dictionary.widths
    record = {
        "layout": layout.NAME,
        "architecture": plan.architecture,
        "activation": dictionary.activation,
        "d_in": d_in,
        "d_out": d_out,
        "features": dictionary.features,
        "k": dictionary.k,
        "centred": dictionary.centred,
        "transcoder": dictionary.transcoder,
        "skip": dictionary.skip is not None,
        "notes": notes,
    }
    return dictionary, {**plan.origin, **record}


def _plain(value: Any) -> Any:
    """A field of a dictionary, its tensors in float32, each by itself."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.float().contiguous() if isinstance(value, Tensor) else value


def _checked(path: Path, plan: Plan, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of the plan, with names, formats, shapes and values checked."""
    dictionary_formats.check_shapes(path, plan, {n: tuple(t.shape) for n, t in stored.items()})
    tensors = {plan.name_of(name): tensor for name, tensor in stored.items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() == (name in plan.whole):
            right = "whole numbers" if name in plan.whole else "float16, bfloat16, float32, float64"
            raise DataError(
                f"{path}: tensor {name!r} has number format {str(tensor.dtype).split('.')[-1]}; "
                f"handled: {right}"
            )
        if name not in plan.whole:
            tensors[name] = tensor = tensor.float()
            if not tensor.isfinite().all():
                raise DataError(f"{path}: tensor {name!r} has NaN or infinite values")
    return tensors


def write(
    files: Files,
    dictionary: Dictionary,
    density: Tensor | None,
    metadata: Mapping[str, Any],
    stamp: Mapping[str, str],
) -> None:
    """Write a dictionary as SAELens reads it; equal arguments give equal bytes.

    It takes raw activations (see `dictionary_folds`); a threshold may be one number for all. What
    was batchtopk or matryoshka in training is jumprelu here.
    density: share of tokens on which each feature fires (F,); None: nobody has counted.
    metadata: model_name, the names of `dictionary_hooks.names_of`, context_size, prepend_bos,
    dataset_path, training_architecture, training_architecture_details, and the rest under
    `connectome`.
    Raises DataError for a kind that the layout does not have, and for NaN and infinite weights.
    """
    kind = (dictionary.activation, dictionary.transcoder, dictionary.skip is not None)
    architecture = next((name for name, found in saelens.KINDS.items() if found == kind), None)
    if architecture is None or (dictionary.transcoder and dictionary.centred):
        what = "a transcoder" if dictionary.transcoder else "an autoencoder"
        path = " with a skip path" if dictionary.skip is not None else ""
        centre = " that subtracts its decoder bias" if dictionary.centred else ""
        raise DataError(
            f"{files.config}: the SAELens layout has no place for {what}{path}{centre} whose "
            f"activation is {dictionary.activation!r}; a transcoder can be relu or jumprelu, as "
            "batchtopk is once it is trained"
        )
    d_in, d_out = dictionary.widths
    config: dict[str, Any] = {
        "architecture": architecture,
        "apply_b_dec_to_input": dictionary.centred,
        "d_in": d_in,
        "d_sae": dictionary.features,
        "device": "cpu",
        "dtype": "float32",
        "made_by": dict(stamp),
        "metadata": {**metadata, "sae_lens_version": _SAELENS_VERSION},
        "normalize_activations": "none",
        "reshape_activations": "none",
    }
    if dictionary.transcoder:
        config["d_out"] = d_out
    if dictionary.activation == "topk":
        config |= {"k": dictionary.k, "rescale_acts_by_decoder_norm": False}
    tensors = {name: t.detach().cpu() for name, t in _tensors(dictionary).items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise DataError(f"{files.weights}: tensor {name!r} would have NaN or infinite values")
    text = json.dumps(config, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic(files.config) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    _write_safetensors(files.weights, tensors, stamp)
    if density is not None and files.sparsity is not None:
        sparsity = torch.log10(density.detach().cpu().double() + 1e-10)
        _write_safetensors(files.sparsity, {"sparsity": sparsity}, stamp)


def _tensors(dictionary: Dictionary) -> dict[str, Tensor]:
    """The tensors of a dictionary by the names of SAELens."""
    found = {
        "W_enc": dictionary.encoder,
        "W_dec": dictionary.decoder,
        "b_dec": dictionary.decoder_bias,
    }
    if dictionary.gate is None:
        found["b_enc"] = dictionary.encoder_bias
    else:
        bias, magnitude = dictionary.gate
        found |= {"b_gate": bias, "b_mag": dictionary.encoder_bias, "r_mag": magnitude.log()}
    if dictionary.threshold is not None:
        found["threshold"] = dictionary.threshold.expand(dictionary.features)
    if dictionary.skip is not None:
        found["W_skip"] = dictionary.skip
    return found


def _write_safetensors(path: Path, tensors: Mapping[str, Tensor], stamp: Mapping[str, str]) -> None:
    # copied, since tensors that share memory, as tied weights do, are refused
    plain = {
        name: tensor.float().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    # one entry: several would lie in an order that differs from run to run
    meta = {"connectome": canonical({"made_by": dict(stamp)})}
    with atomic(path) as temporary:
        temporary.write_bytes(save(plain, meta))


def check_fits(
    dictionary: Dictionary, record: Mapping[str, Any], site: str, d_in: int, d_out: int
) -> None:
    """Raise DataError where a dictionary cannot be that of a site.

    d_in, d_out: widths of what it would read there and of what it would give back.
    record: as `read` gives it; the names of sites in it are held against `site`.
    """
    if dictionary.widths != (d_in, d_out):
        has = dictionary.widths
        raise DataError(
            f"the dictionary of {site} reads {has[0]} and gives {has[1]} numbers a token, but "
            f"there are {d_in} to read and {d_out} to give; it is of another model or site"
        )
    reads = f"{site}.in" if dictionary.transcoder else site
    for key, right in (("hook_name", reads), ("hook_name_out", site)):
        place = dictionary_hooks.place_of(str(record.get(key)))
        if place not in (None, right):
            raise DataError(
                f"the dictionary of {site} is not of {right}: its settings say that {key} is "
                f"{record[key]!r}, {place}"
            )
