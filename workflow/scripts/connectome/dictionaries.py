"""Dictionaries: sparse autoencoders and transcoders in one form, whoever trained them.

    h = (x - c) @ encoder + encoder_bias, c = decoder_bias if centred, else 0
    f = act(h) >= 0
    y = f @ decoder + decoder_bias (+ x @ skip.T)

An autoencoder gives back what it reads; a transcoder reads the normed input of an MLP and gives its
output. Axes: N tokens, d_in, d_out, F features.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

ACTIVATIONS = ("relu", "topk", "jumprelu", "gated")


@dataclass(frozen=True)
class Dictionary:
    """Weights of one site; tensors of one format on one device.

    `gated` (Rajamanoharan et al. 2024) has one encoder for two ends: with p = (x - c) @ encoder,
    f = [p + gate_bias > 0] max(p * magnitude + encoder_bias, 0).
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
    gate_bias: Tensor | None = None  # (F,) of gated
    magnitude: Tensor | None = None  # (F,) of gated

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
        moved = {
            field.name: value.to(device, dtype)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)


def pre_activations(dictionary: Dictionary, x: Tensor) -> Tensor:
    """h (..., F) of inputs x (..., d_in); of a gated dictionary p."""
    bias = dictionary.encoder_bias
    if dictionary.activation == "gated":
        bias = torch.zeros_like(bias)
    if dictionary.centred:  # of the bias once rather than of every input
        bias = bias - dictionary.decoder_bias @ dictionary.encoder
    return x @ dictionary.encoder + bias


def activate(dictionary: Dictionary, h: Tensor) -> Tensor:
    """Features f (..., F) >= 0 of pre-activations h (..., F)."""
    if dictionary.activation == "gated":
        return (h * dictionary.magnitude + dictionary.encoder_bias).relu() * fires(dictionary, h)
    if dictionary.activation == "relu":
        return h.relu()
    return h.relu() * fires(dictionary, h)


def fires(dictionary: Dictionary, h: Tensor) -> Tensor:
    """Which features may be above 0, bool (..., F): beyond the threshold, or among the k largest.

    Of equal pre-activations at the cut of topk those of lowest number are taken.
    """
    if dictionary.activation == "jumprelu":
        return h > dictionary.threshold
    if dictionary.activation == "gated":
        return h + dictionary.gate_bias > 0
    if dictionary.activation == "relu" or dictionary.k is None or dictionary.k >= h.shape[-1]:
        return torch.ones_like(h, dtype=torch.bool)
    cut = h.topk(dictionary.k, dim=-1).values[..., -1:]
    above, level = h > cut, h == cut
    room = dictionary.k - above.sum(-1, keepdim=True)
    return above | (level & (level.cumsum(-1) <= room))


def slopes(dictionary: Dictionary, h: Tensor) -> Tensor:
    """df/dh (..., F), where the features that fire stay the same ones."""
    if dictionary.activation == "gated":
        above = h * dictionary.magnitude + dictionary.encoder_bias > 0
        return (above & fires(dictionary, h)) * dictionary.magnitude
    return ((h > 0) & fires(dictionary, h)).to(h.dtype)


def encode(dictionary: Dictionary, x: Tensor) -> Tensor:
    """Features f (..., F) of inputs x (..., d_in)."""
    return activate(dictionary, pre_activations(dictionary, x))


def decode(dictionary: Dictionary, f: Tensor, x: Tensor | None = None) -> Tensor:
    """Reconstruction y (..., d_out) of features f; a skip path needs the inputs x as well."""
    y = f @ dictionary.decoder + dictionary.decoder_bias
    if dictionary.skip is not None and x is not None:
        y = y + x @ dictionary.skip.T
    return y
