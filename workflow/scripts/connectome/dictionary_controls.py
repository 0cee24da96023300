"""What a dictionary must beat: the mean, as many principal components, directions at random.

Each is a dictionary itself, so that all are measured alike: a linear map is one without features
whose skip path does the work. Axes: d_in, d_out, F features.
"""

import torch
from torch import Tensor

from connectome.dictionaries import Dictionary
from connectome.moments import Moments

CUT = 1e-10  # share of the largest variance below which a direction of the inputs counts as none


def constant(value: Tensor, d_in: int) -> Dictionary:
    """The same reconstruction (d_out,) of every input."""
    return Dictionary(
        activation="relu",
        encoder=value.new_zeros(d_in, 0),
        encoder_bias=value.new_zeros(0),
        decoder=value.new_zeros(0, len(value)),
        decoder_bias=value,
    )


def linear(found: Moments, k: int, d_in: int) -> Dictionary:
    """The linear map of rank k with the least squared error (Izenman 1975).

    found: moments of inputs, with the targets behind them where these are others; where they are
    not, the map projects on the first k principal components.
    """
    m2, mean = torch.from_numpy(found.m2), torch.from_numpy(found.mean)
    inside = m2[:d_in, :d_in]
    if len(m2) == d_in:
        slope, fitted, centre = torch.eye(d_in, dtype=m2.dtype), inside, mean
    else:
        across = m2[:d_in, d_in:]
        slope = torch.linalg.pinv(inside, hermitian=True, rtol=CUT) @ across
        fitted, centre = slope.T @ inside @ slope, mean[d_in:]
    chosen = torch.linalg.eigh(fitted).eigenvectors[:, -k:]  # (d_out, k)
    slope = slope @ chosen @ chosen.T
    made = constant(centre - mean[:d_in] @ slope, d_in)
    return Dictionary(**{**vars(made), "skip": slope.T})


def untrained(found: Moments, features: int, k: int, d_in: int, seed: int) -> Dictionary:
    """Random directions as training starts from, with the k largest features of each token.

    found: as of `linear`. An autoencoder reads along the directions that it writes, a transcoder
    along others.
    """
    generator = torch.Generator().manual_seed(seed)
    mean = torch.from_numpy(found.mean)

    def directions(width: int) -> Tensor:
        drawn = torch.randn(features, width, generator=generator, dtype=mean.dtype)
        return drawn / torch.linalg.vector_norm(drawn, dim=1, keepdim=True)

    transcoder = len(mean) > d_in
    centre = mean[d_in:] if transcoder else mean
    decoder = directions(len(centre))
    encoder = (directions(d_in) if transcoder else decoder).T
    return Dictionary(
        activation="topk",
        encoder=encoder,
        encoder_bias=-mean[:d_in] @ encoder if transcoder else mean.new_zeros(features),
        decoder=decoder,
        decoder_bias=centre,
        centred=not transcoder,
        transcoder=transcoder,
        k=k,
    )
