"""How the parts of a graph are made of a model's heads and hidden units, and what they write."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectome.blocks import Group, Sight, normalise, of_parts, rms_normalise, rows
from connectome.errors import DataError
from connectome.parts import PartGraph
from connectome.transformer import Transformer, compute


class SiteParts(NamedTuple):
    """Where the parts of a site stand in the graph, and what they are made of."""

    low: int  # first node
    high: int  # one past the last node
    seen: int  # writers that its parts read: the first so many nodes
    inputs: slice  # readers: one input for each part, or one for each slot of each part
    groups: list[Group]  # of neighbouring parts that are alike, in order

    @property
    def slots(self) -> int:
        """Inputs of each part: 1, or 3 for queries, keys and values."""
        return (self.inputs.stop - self.inputs.start) // (self.high - self.low)


def wiring(model: Transformer, graph: PartGraph) -> dict[str, SiteParts]:
    """The parts of each site as index tensors on the model's device.

    Raises DataError where the graph has edges that the model's blocks have not, or the reverse.
    """
    if graph.parallel != model.size.parallel:
        raise DataError("blocks of the graph and of the model differ: parallel and sequential")
    result = {}
    for site in graph.sites:
        low, high = graph.bounds[site]
        if len(graph.members[site]) != model.features(site):
            raise DataError(
                f"the graph has {len(graph.members[site])} features at {site}, the model "
                f"{model.features(site)}; they are of another model or dictionary"
            )
        local = (graph.members[site] - low).reshape(len(model.writer(site).output), -1)
        inputs = slice(*graph.inputs[site])
        groups = list(_groups(local, model.device, model.embedding.dtype, _coded(model, site)))
        result[site] = SiteParts(low, high, graph.seen[site], inputs, groups)
    return result


def _coded(model: Transformer, site: str) -> int | None:
    """Features proper of a site with a dictionary, before what stands beside them."""
    found = model.dictionaries.get(site)
    return None if found is None else len(found.encoder)


def _groups(
    local: np.ndarray, device: torch.device, dtype: torch.dtype, coded: int | None
) -> Iterator[Group]:
    """Groups of a site, given the part (units, w) of each value direction (or hidden unit, w = 1).

    Parts are told apart by the number of heads that they touch, or of units that they hold; with a
    dictionary of `coded` features, whatever stands beside these is run with all of them.
    """
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
            coded is not None and bool((unit >= coded).any()),
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
    return [of_parts(model.writer(site), features, group) for group in parts.groups]


def write(model: Transformer, site: str, parts: SiteParts, features: Tensor) -> Tensor:
    """What each part of a site writes, (p, n, t, d), from features (n, t, features) as written."""
    writer = model.writer(site)
    written = features.new_empty(parts.high - parts.low, *features.shape[:2], model.size.width)
    for group, own in zip(parts.groups, split(model, site, parts, features), strict=True):
        multiply(written[None, group.parts], (own, rows(writer.output, group)))
    return written if writer.gain is None else written.mul_(writer.gain)


def features_of_parts(
    model: Transformer, site: str, parts: SiteParts, x: Tensor, sight: Sight
) -> Iterator[Tensor]:
    """Features (p, c, n, t, m) of the parts of each group, on inputs x (readers, c, n, t, d)."""
    normed = normalise(x, model.size).x
    normed = normed.flatten(1, 2).unflatten(0, (parts.slots, -1))  # (s, p, c n, t, d)
    for group in parts.groups:
        own = normed[:, group.parts]
        found = compute(model, site, own, sight, group).unflatten(1, x.shape[1:3])
        if group.kept is not None:
            found *= group.kept[:, None]
        yield found


def write_difference(
    model: Transformer,
    site: str,
    parts: SiteParts,
    found: Iterable[Tensor],
    others: Sequence[Tensor],
    out: Tensor,
) -> None:
    """What parts of a site add to its sum, minus what they add with other features, into `out`.

    found (p, c, n, t, m) and others (p, n, t, m) per group, out (p, c, n, t, d). Writing is linear:
    the difference is taken between features, and `found` overwritten.
    """
    rows_of = model.writer(site).output
    for group, features, values in zip(parts.groups, found, others, strict=True):
        features -= values[:, None]
        multiply(out[None, group.parts], (features, rows(rows_of, group)))


def run_parts(
    model: Transformer,
    site: str,
    parts: SiteParts,
    x: Tensor,
    sight: Sight,
    ablated: Sequence[Tensor],
    out: Tensor,
) -> None:
    """What each part of a site writes on inputs of its own, minus its ablated value, into `out`.

    x (readers, c, n, t, d), out (p, c, n, t, d); sight of the c n prompts; ablated: features of the
    parts as written, as `split` returns them. A norm behind the module takes its scale from the sum
    of all parts in this run.
    """
    writer = model.writer(site)
    found: Iterable[Tensor] = features_of_parts(model, site, parts, x, sight)
    if writer.gain is not None:
        found = list(found)
        whole = out.new_zeros(out.shape[1:])
        for group, features in zip(parts.groups, found, strict=True):
            together = features.movedim(0, 3).flatten(3)  # (c, n, t, p m)
            whole += together @ rows(writer.output, group).flatten(0, 1)
        scale = rms_normalise(whole, model.size.eps).scale
        for features in found:
            features *= scale
    write_difference(model, site, parts, found, ablated, out)
    if writer.gain is not None:
        out *= writer.gain
