"""Folds: other weights of the same dictionary. Axes: F features."""

from dataclasses import replace

from torch import Tensor

from connectome.dictionaries import Dictionary
from connectome.errors import ConfigError


def fold_scales(dictionary: Dictionary, read: float, given: float) -> Dictionary:
    """The dictionary of raw activations, of one that was trained on scaled ones.

    It was trained on inputs x / read and targets y / given; its features become `given` times
    theirs, and decoder rows keep their lengths. An autoencoder has one scale for both.
    Raises ConfigError for an autoencoder with two.
    """
    if not dictionary.transcoder and read != given:
        raise ConfigError(
            f"an autoencoder gives back what it reads: its scales cannot be {read} and {given}"
        )
    rate = given / read
    gate = dictionary.gate
    return replace(
        dictionary,
        encoder=dictionary.encoder * rate,
        encoder_bias=dictionary.encoder_bias * given,
        decoder_bias=dictionary.decoder_bias * given,
        threshold=_times(dictionary.threshold, given),
        skip=_times(dictionary.skip, rate),
        gate=None if gate is None else (gate[0] * given, gate[1]),
    )


def fold_decoder_norms(dictionary: Dictionary, rescaled: bool = False) -> Dictionary:
    """The same dictionary with decoder rows of length 1: features become theirs times the lengths.

    A row of zeros stays one, and its feature is silent then.
    rescaled: topk chooses among h times the lengths anyway.
    Raises ConfigError for topk that does not: it would choose other features.
    """
    if dictionary.activation == "topk" and not rescaled:
        raise ConfigError(
            "decoder rows of a topk dictionary cannot be brought to length 1: it would choose "
            "other features"
        )
    length = dictionary.decoder.norm(dim=1)  # (F,)
    gate = dictionary.gate
    return replace(
        dictionary,
        encoder=dictionary.encoder * length,
        encoder_bias=dictionary.encoder_bias * length,
        decoder=dictionary.decoder / length.where(length > 0, 1.0)[:, None],
        threshold=_times(dictionary.threshold, length),
        gate=None if gate is None else (gate[0] * length, gate[1]),
    )


def _times(tensor: Tensor | None, factor: Tensor | float) -> Tensor | None:
    return None if tensor is None else tensor * factor
