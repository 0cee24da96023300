"""How the parts of a graph are made of a model's heads and hidden units, and what they write."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectome.blocks import Group, Rotary, normalise, of_parts, rows
from connectome.parts import PartGraph
from connectome.transformer import Transformer, compute


class SiteParts(NamedTuple):
    """Where the parts of a site stand in the graph, and what they are made of."""

    low: int  # first node
    high: int  # one past the last node
    inputs: slice  # readers: one input for each part, or one for each slot of each part
    groups: list[Group]  # of neighbouring parts that are alike, in order

    @property
    def slots(self) -> int:
        """Inputs of each part: 1, or 3 for queries, keys and values."""
        return (self.inputs.stop - self.inputs.start) // (self.high - self.low)


def wiring(model: Transformer, graph: PartGraph) -> dict[str, SiteParts]:
    """The parts of each site as index tensors on the model's device."""
    result = {}
    for site in graph.sites:
        low, high = graph.bounds[site]
        local = (graph.members[site] - low).reshape(len(model.module(site).output), -1)
        inputs = slice(*graph.inputs[site])
        result[site] = SiteParts(low, high, inputs, list(_groups(model, local)))
    return result


def _groups(model: Transformer, local: np.ndarray) -> Iterator[Group]:
    """Groups of a site, given the part (units, w) of each value direction (or hidden unit, w = 1).

    Parts are told apart by the number of heads that they touch, or of units that they hold.
    """
    device, dtype = model.embedding.device, model.embedding.dtype
    touched = np.zeros((local.max() + 1, len(local)), dtype=bool)
    touched[local, np.arange(len(local))[:, None]] = True
    count = touched.sum(axis=1)
    first = [0, *(np.flatnonzero(np.diff(count)) + 1), len(count)]
    for start, stop in pairwise(map(int, first)):
        part, unit = np.nonzero(touched[start:stop])
        kept = (local[unit] == start + part[:, None]).reshape(stop - start, 1, 1, -1)
        in_order = np.array_equal(unit, np.arange(len(local)))
        yield Group(
            slice(start, stop),
            slice(None) if in_order else torch.tensor(unit, device=device),
            None if kept.all() else torch.tensor(kept, device=device).to(dtype),
        )


def multiply(out: Tensor, *factors: tuple[Tensor, Tensor]) -> None:
    """Products a (p, ..., m) @ b (p, m, d) into out (s, p, ..., d), the i-th into slot i.

    With one slot it takes their sum.
    """
    for number, (a, b) in enumerate(factors):
        slot = out[number % len(out)].view(len(a), -1, out.shape[-1])
        flat = a.reshape(len(a), -1, a.shape[-1])
        if number < len(out):
            torch.bmm(flat, b, out=slot)
        else:
            slot.baddbmm_(flat, b)


def split(model: Transformer, site: str, parts: SiteParts, features: Tensor) -> list[Tensor]:
    """Features (n, t, features) of a site as those of its parts, (p, n, t, m) per group."""
    return [of_parts(model.module(site), features, group) for group in parts.groups]


def write(model: Transformer, site: str, parts: SiteParts, features: Tensor) -> Tensor:
    """What each part of a site writes, (p, n, t, d), from features (n, t, features)."""
    output = model.module(site).output
    written = features.new_empty(parts.high - parts.low, *features.shape[:2], model.size.width)
    for group, own in zip(parts.groups, split(model, site, parts, features), strict=True):
        multiply(written[None, group.parts], (own, rows(output, group)))
    return written


def run_parts(
    model: Transformer,
    site: str,
    parts: SiteParts,
    x: Tensor,
    turn: Rotary,
    hidden_keys: Tensor,
    ablated: Sequence[Tensor],
    out: Tensor,
) -> None:
    """What each part of a site writes on inputs of its own, minus its ablated value, into `out`.

    x (readers, c, n, t, d), out (p, c, n, t, d); turn and hidden_keys of the c n prompts; ablated:
    features of the parts as `split` returns them. Writing is linear: the difference is taken
    between features.
    """
    output, normed = model.module(site).output, normalise(x, model.size).x
    normed = normed.flatten(1, 2).unflatten(0, (parts.slots, -1))  # (s, p, c n, t, d)
    for group, values in zip(parts.groups, ablated, strict=True):
        own = normed[:, group.parts]
        found = compute(model, site, own, turn, hidden_keys, group).unflatten(1, x.shape[1:3])
        if group.kept is not None:
            found *= group.kept[:, None]
        found -= values[:, None]
        multiply(out[None, group.parts], (found, rows(output, group)))
