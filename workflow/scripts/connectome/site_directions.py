"""What the features of a site write to the stream and read of it, a row (d,) each, float64."""

import numpy as np
import torch
from torch import Tensor

from connectome.blocks import Attention
from connectome.dictionaries import Dictionary
from connectome.transformer import Transformer

Array = np.ndarray


def of_dictionary(dictionary: Dictionary) -> dict[str, Array]:
    """Rows of the decoder (features, d_out) and columns of the encoder (features, d_in)."""
    return {"writing": _array(dictionary.decoder), "reading": _array(dictionary.encoder.T)}


def native(model: Transformer, site: str) -> dict[str, Array]:
    """Output and input rows (features, d) of hidden units or value directions.

    A unit with a gate reads two directions; both stand in its row (2 d,), each of length 1, so that
    the cosine of two rows is the mean of both.
    """
    module = model.module(site)
    if isinstance(module, Attention):
        reading = module.value.flatten(0, -2)
    elif module.gate is None:
        reading = module.up
    else:
        both = (torch.nn.functional.normalize(x.double()) for x in (module.gate, module.up))
        reading = torch.cat(list(both), dim=-1)
    return {"writing": _array(model.writing(site)), "reading": _array(reading)}


def _array(rows: Tensor) -> Array:
    return rows.detach().double().cpu().numpy()
