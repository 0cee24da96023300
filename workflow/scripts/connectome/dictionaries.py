"""Dictionaries: sparse autoencoders and transcoders in one form, whoever trained them.

    h = (x - c) @ encoder + encoder_bias, c = decoder_bias if centred, else 0
    f = act(h) >= 0
    y = f @ decoder + decoder_bias (+ x @ skip.T)

An autoencoder gives back what it reads; a transcoder reads the normed input of an MLP and gives its
output. Axes: N tokens, d_in, d_out, F features.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

ACTIVATIONS = ("relu", "topk", "jumprelu", "gated")


@dataclass(frozen=True)
class Dictionary:
    """Weights of one site; tensors of one format on one device.

    `gated` (Rajamanoharan et al. 2024) has one encoder for two ends: with p = (x - c) @ encoder and
    gate = (bias, magnitude), f = [p + bias > 0] max(p * magnitude + encoder_bias, 0).
    """

    activation: str  # one of ACTIVATIONS
    encoder: Tensor  # (d_in, F)
    encoder_bias: Tensor  # (F,)
    decoder: Tensor  # (F, d_out)
    decoder_bias: Tensor  # (d_out,)
    centred: bool = False
    transcoder: bool = False
    threshold: Tensor | None = None  # (F,) of jumprelu
    k: int | None = None  # of topk
    skip: Tensor | None = None  # (d_out, d_in) of some transcoders
    gate: tuple[Tensor, Tensor] | None = None  # bias (F,) and magnitude (F,) of gated

    @property
    def features(self) -> int:
        """Number F of features."""
        return self.encoder.shape[1]

    @property
    def widths(self) -> tuple[int, int]:
        """Widths d_in and d_out."""
        return self.encoder.shape[0], self.decoder.shape[1]

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Dictionary":
        """The same weights elsewhere, or in another format."""

        def move(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(move, value))
            return value.to(device, dtype) if isinstance(value, Tensor) else value

        return replace(self, **{f.name: move(getattr(self, f.name)) for f in fields(self)})


def pre_activations(dictionary: Dictionary, x: Tensor) -> Tensor:
    """h (..., F) of inputs x (..., d_in); of a gated dictionary p."""
    bias = dictionary.encoder_bias
    if dictionary.gate is not None:
        bias = torch.zeros_like(bias)
    if dictionary.centred:  # of the bias once rather than of every input
        bias = bias - dictionary.decoder_bias @ dictionary.encoder
    return x @ dictionary.encoder + bias


def activate(dictionary: Dictionary, h: Tensor) -> Tensor:
    """Features f (..., F) >= 0 of pre-activations h (..., F)."""
    return _line(dictionary, h).relu() * fires(dictionary, h)


def _line(dictionary: Dictionary, h: Tensor) -> Tensor:
    """What a feature that fires is before it is cut at 0 (..., F)."""
    return h if dictionary.gate is None else h * dictionary.gate[1] + dictionary.encoder_bias


def fires(dictionary: Dictionary, h: Tensor) -> Tensor:
    """Which features may be above 0, bool (..., F): beyond a threshold, or among the k largest."""
    if dictionary.gate is not None:
        return h + dictionary.gate[0] > 0
    if dictionary.threshold is not None:
        return h > dictionary.threshold
    if dictionary.k is None or dictionary.k >= h.shape[-1]:
        return torch.ones_like(h, dtype=torch.bool)
    return largest_of_rows(h, dictionary.k)


def largest_of_rows(h: Tensor, k: int) -> Tensor:
    """Which k entries of each row of h (..., F) are largest, bool; of equal ones the first."""
    cut = h.topk(k, dim=-1).values[..., -1:]
    above, level = h > cut, h == cut
    room = k - above.sum(-1, keepdim=True)
    return above | (level & (level.cumsum(-1) <= room))


def slopes(dictionary: Dictionary, h: Tensor) -> Tensor:
    """df/dh (..., F), where the features that fire stay the same ones."""
    alive = fires(dictionary, h) & (_line(dictionary, h) > 0)
    return alive.to(h.dtype) if dictionary.gate is None else alive * dictionary.gate[1]


def encode(dictionary: Dictionary, x: Tensor) -> Tensor:
    """Features f (..., F) of inputs x (..., d_in)."""
    return activate(dictionary, pre_activations(dictionary, x))


def decode(dictionary: Dictionary, f: Tensor, x: Tensor | None = None) -> Tensor:
    """Reconstruction y (..., d_out) of features f; a skip path needs the inputs x as well."""
    y = f @ dictionary.decoder + dictionary.decoder_bias
    if dictionary.skip is not None and x is not None:
        y = y + x @ dictionary.skip.T
    return y
