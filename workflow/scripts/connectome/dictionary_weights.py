"""Weights of a dictionary in training, and what a cut-off training needs beside them to go on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from connectome.dictionaries import Dictionary
from connectome.dictionary_data import geometric_median
from connectome.dictionary_folds import fold_scales
from connectome.dictionary_settings import DictionarySettings

FIRST_THRESHOLD = 0.01


@dataclass(frozen=True)
class Weights:
    """Parameters, of scaled inputs and targets; decoder rows have length 1."""

    encoder: Tensor  # (F, d_in), as the decoder: the columns that a bag sums lie together
    encoder_bias: Tensor  # (F,)
    decoder: Tensor  # (F, d_out)
    decoder_bias: Tensor  # (d_out,)
    threshold: Tensor | None = None  # (F,) where it is learnt
    skip: Tensor | None = None  # (d_out, d_in)

    def named(self) -> dict[str, Tensor]:
        """The parameters that there are, by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: tensor for name, tensor in found.items() if tensor is not None}


@dataclass
class Run:
    """Where a training stands."""

    since_fired: Tensor  # (F,) int64, tokens since a feature was above 0
    batch: int  # tokens of a step
    step: int = 0
    cut: float = 0.0  # least feature chosen in the last step (batchtopk)
    threshold: float | None = None  # tracked, in double precision
    curve: list[dict[str, Any]] = field(default_factory=list)


def initial(
    x: np.ndarray, y: np.ndarray, settings: DictionarySettings, learnt_threshold: bool
) -> dict[str, np.ndarray]:
    """Weights to start from, by name, given a first batch of scaled inputs and targets."""
    generator = np.random.default_rng([settings.seed, settings.features])

    def directions(width: int) -> np.ndarray:
        drawn = generator.standard_normal((settings.features, width))
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    decoder = directions(y.shape[1])
    encoder = directions(x.shape[1]) if settings.transcoder else decoder
    bias = -encoder @ x.mean(axis=0) if settings.transcoder else np.zeros(settings.features)
    found = {
        "encoder": encoder,
        "encoder_bias": bias,
        "decoder": decoder,
        "decoder_bias": geometric_median(y),
    }
    if learnt_threshold:
        found["threshold"] = np.full(settings.features, FIRST_THRESHOLD)
    if settings.skip:
        found["skip"] = np.zeros((y.shape[1], x.shape[1]))
    return {name: value.astype(np.float32) for name, value in found.items()}


def parameters(values: Mapping[str, Tensor | np.ndarray], device: torch.device) -> Weights:
    """Weights that can be trained, from values by name."""
    return Weights(
        **{
            name: torch.as_tensor(value).to(device, copy=True).requires_grad_()
            for name, value in values.items()
        }
    )


def folded(
    weights: Weights,
    scales: tuple[float, ...],
    settings: DictionarySettings,
    activation: str,
    threshold: float | None,
) -> Dictionary:
    """The dictionary of raw activations whose features are those of scaled ones times scales[-1].

    scales: of inputs, and of targets where they are others. `threshold` is a tracked one.
    """
    w = {name: tensor.detach().cpu().double() for name, tensor in weights.named().items()}
    level = w.get("threshold")
    if activation == "jumprelu" and level is None:
        level = torch.full_like(w["encoder_bias"], threshold or 0.0)
    scaled = Dictionary(
        activation=activation,
        encoder=w["encoder"].T.contiguous(),
        encoder_bias=w["encoder_bias"],
        decoder=w["decoder"],
        decoder_bias=w["decoder_bias"],
        centred=not settings.transcoder,
        transcoder=settings.transcoder,
        threshold=level,
        k=settings.k if activation == "topk" else None,
        skip=w.get("skip"),
    )
    return fold_scales(scaled, scales[0], scales[-1]).to("cpu", torch.float32)
