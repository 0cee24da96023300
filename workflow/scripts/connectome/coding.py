"""What a module writes as features of a dictionary, and beside them what these leave over.

    y = f @ decoder + s + e + constant

y is what the module adds to the stream, behind a norm of its own where it has one; f its F
features, s the skip path of a transcoder, e the error: what neither gives. The d numbers of s,
where there is such a path, and the d of e stand behind the features as further ones that write by
the identity. So a module with a dictionary is a sum of features like any other, exactly so in every
run, whatever the dictionary leaves over. Axes as in blocks.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from connectome import dictionaries
from connectome.blocks import Group, read, rows, take
from connectome.dictionaries import Dictionary

ROOM = 1 << 24  # numbers of one kind that runs of whole modules leave behind at a time


@dataclass(frozen=True)
class Coding:
    """A dictionary folded to read what the module gives, or the bare norm that the module reads."""

    dictionary: Dictionary  # not centred; matrices are views of those here
    encoder: Tensor  # (F, d), a row per feature
    output: Tensor  # (features, d)
    constant: Tensor  # (d,)
    gain: None = None  # what is written has passed the norm behind the module already

    @property
    def beside(self) -> dict[str, int]:
        """What stands behind the features, in order, and its numbers."""
        d = len(self.constant)
        return {"error": d} if self.dictionary.skip is None else {"skip": d, "error": d}


class Coded(NamedTuple):
    """What a dictionary leaves behind in a pass."""

    pre: Tensor  # (..., F) before the activation
    features: Tensor  # (..., features) with skip path and error


def fold(
    dictionary: Dictionary, gain: Tensor | None = None, bias: Tensor | None = None
) -> Dictionary:
    """The same dictionary without centring; a transcoder reading the bare norm, in float64.

    gain and bias (d,) of the norm through which it read: 1 and 0 where they are None.
    """
    plain = dictionary.to(dictionary.encoder.device, torch.float64)
    encoder, skip, constant = plain.encoder, plain.skip, plain.decoder_bias
    shift = torch.zeros_like(plain.encoder_bias)
    if plain.centred:
        shift = shift - plain.decoder_bias @ encoder
    if bias is not None:
        shift = shift + bias.double() @ encoder
        constant = constant if skip is None else constant + skip @ bias.double()
    if gain is not None:
        encoder = gain.double()[:, None] * encoder
        skip = None if skip is None else skip * gain.double()
    gate, own = plain.gate, plain.encoder_bias + shift
    if gate is not None:
        own = plain.encoder_bias + shift * gate[1]
        gate = (gate[0] + shift, gate[1])
    return replace(
        plain,
        encoder=encoder,
        encoder_bias=own,
        decoder_bias=constant,
        skip=skip,
        gate=gate,
        centred=False,
    )


def coding(dictionary: Dictionary, device: torch.device, dtype: torch.dtype) -> Coding:
    """The coding of a folded dictionary, on a device and in a number format."""
    plain = dictionary.to(device, dtype)
    one = torch.eye(plain.decoder.shape[1], dtype=dtype, device=device)
    directions = [plain.decoder, one] if plain.skip is None else [plain.decoder, one, one]
    encoder, output = plain.encoder.mT.contiguous(), torch.cat(directions)
    plain = replace(plain, encoder=encoder.mT, decoder=output[: plain.features])
    return Coding(plain, encoder, output, plain.decoder_bias)


def reads_output(found: Coding, group: Group) -> bool:
    """Whether parts need what the module gives, and not only what it reads."""
    return group.beside or not found.dictionary.transcoder


def code(found: Coding, x: Tensor, y: Tensor) -> Coded:
    """Everything in what a module writes, y (..., d), on its normed input x (..., d)."""
    dictionary = found.dictionary
    pre = dictionaries.pre_activations(dictionary, x if dictionary.transcoder else y)
    features = dictionaries.activate(dictionary, pre)
    rest = y - dictionaries.decode(dictionary, features)
    if dictionary.skip is None:
        return Coded(pre, torch.cat([features, rest], -1))
    skipped = x @ dictionary.skip.mT
    return Coded(pre, torch.cat([features, skipped, rest - skipped], -1))


def code_parts(found: Coding, x: Tensor, y: Tensor | None, group: Group) -> Tensor:
    """Features (p, n, t, m) of each part, on normed inputs and outputs of its own (p, n, t, d).

    y may be None where `reads_output` says so. Parts of features alone take but their own columns
    of the encoder, except where all features together decide which of them fire.
    """
    dictionary = found.dictionary
    reading = x if dictionary.transcoder or y is None else y
    if not group.beside and dictionary.k is None:
        bias = None if dictionary.gate is not None else dictionary.encoder_bias
        pre = read(reading, found.encoder, bias, group)
        return dictionaries.activate(_narrowed(dictionary, group), pre)
    if group.beside:
        assert y is not None
        every = code(found, x, y).features
    else:
        every = dictionaries.encode(dictionary, reading)
    if group.count == 1:
        return take(every, group.units, -1)
    units = _units(found, group).reshape(group.count, 1, 1, -1)
    return every.gather(-1, units.expand(*every.shape[:3], -1))


def _narrowed(dictionary: Dictionary, group: Group) -> Dictionary:
    """The dictionary of the features of each part, as far as its activation goes."""

    def own(values: Tensor) -> Tensor:
        return take(values, group.units).reshape(group.count, 1, 1, -1)

    threshold, gate = dictionary.threshold, dictionary.gate
    return replace(
        dictionary,
        encoder_bias=own(dictionary.encoder_bias),
        threshold=None if threshold is None else own(threshold),
        gate=None if gate is None else (own(gate[0]), own(gate[1])),
    )


def _units(found: Coding, group: Group) -> Tensor:
    if isinstance(group.units, slice):
        return torch.arange(len(found.output), device=found.output.device)
    return group.units


def pieces(found: Coding, group: Group, cell: int) -> Iterator[Group]:
    """The parts of a group, as many at a time as have room for `cell` numbers each."""
    most = max(1, ROOM // cell)
    if group.count <= most:
        yield group
        return
    units = _units(found, group).reshape(group.count, -1)
    for first in range(0, group.count, most):
        some = units[first : first + most]
        start = group.parts.start + first
        yield Group(slice(start, start + len(some)), some.flatten(), None, group.beside)


def pull_features(found: Coding, flow: Tensor, group: Group) -> Tensor:
    """Gradient (p, n, t, d) at what the dictionary reads, through features of each part alone.

    flow (n, t, F) is the gradient at all pre-activations.
    """
    own = take(flow, group.units, 2).unflatten(2, (group.count, -1)).movedim(2, 0)
    back = torch.bmm(own.flatten(1, 2), rows(found.encoder, group))
    return back.unflatten(1, flow.shape[:2])


def pull_any(
    found: Coding, slope: Tensor, response: Tensor, group: Group
) -> tuple[Tensor, Tensor | None]:
    """Gradients (p, n, t, d) through each part alone, whatever it holds.

    At what the module gives, and at the normed input that a transcoder reads. slope (n, t, F) of
    the activation; response (n, t, features) is the gradient at all that the site writes.
    """
    dictionary, count, d = found.dictionary, slope.shape[-1], len(found.constant)
    held = torch.zeros(group.count, response.shape[-1], dtype=torch.bool, device=response.device)
    held.scatter_(1, _units(found, group).reshape(group.count, -1), True)
    at = response * held[:, None, None]  # (p, n, t, features)
    at_error = at[..., -d:]
    at_features = at[..., :count] - at_error @ dictionary.decoder.mT
    back = (at_features * slope) @ found.encoder
    if not dictionary.transcoder:
        return at_error + back, None
    if dictionary.skip is not None:
        back = back + (at[..., count:-d] - at_error) @ dictionary.skip
    return at_error, back
