"""Products with a matrix (N, F) that is 0 almost everywhere, and the choice of its entries.

A product with a dense matrix, and one with its transpose, are sums of chosen rows (bags); so are
the gradients of the weights on either side. Where more than a few entries are not 0 (features that
are not sparse yet), the matrix is made and multiplied as it is. Deterministic on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

SLACK = 0.8  # candidates are entries above this share of the last cut
DENSE = 1 / 8  # share of entries from which bags cost more than products with zeros


@dataclass(frozen=True)
class Bags:
    """Entries by output row (prefix * N + row of the matrix), and again by column."""

    starts: Tensor  # (prefixes * N,) int64, first entry of each output row
    by_column: Tensor  # (n,) int64, entries ordered by column, then as they are
    column_starts: Tensor  # (F,) int64, first of those of each column
    rows_by_column: Tensor  # (n,) int64, row of each of those
    outputs_by_column: Tensor  # (n,) int64, output row of each of those


@dataclass(frozen=True)
class Entries:
    """Where a matrix (N, F) is not 0; its columns are cut into nested prefixes."""

    shape: tuple[int, int]
    widths: tuple[int, ...]  # ends of the prefixes, the last one F
    flat: Tensor  # (n,) int64, places in the flattened matrix
    columns: Tensor  # (n,) int64
    bags: Bags | None  # None where there are too many entries for them

    def filled(self, values: Tensor) -> Tensor:
        """The matrix with these values (n,) at its entries."""
        zeros = values.new_zeros(self.shape[0] * self.shape[1])
        return zeros.scatter(0, self.flat, values).view(self.shape)


def entries_of(flat: Tensor, shape: tuple[int, int], widths: Sequence[int]) -> Entries:
    """Entries at places (n,), given row by row."""
    count, features = shape
    rows, columns = flat // features, flat % features
    if len(flat) > DENSE * count * features:
        return Entries(shape, tuple(widths), flat, columns, None)
    outputs, device = rows, flat.device
    if len(widths) > 1:
        prefixes = torch.bucketize(columns, torch.tensor(widths, device=device), right=True)
        order = prefixes.to(torch.int16).argsort(stable=True)
        flat, columns, rows = flat[order], columns[order], rows[order]
        outputs = prefixes[order] * count + rows
    by_column = columns.to(torch.int32).argsort(stable=True)
    bags = Bags(
        starts=torch.searchsorted(outputs, torch.arange(len(widths) * count, device=device)),
        by_column=by_column,
        column_starts=torch.searchsorted(columns[by_column], torch.arange(features, device=device)),
        rows_by_column=rows[by_column],
        outputs_by_column=outputs[by_column],
    )
    return Entries(shape, tuple(widths), flat, columns, bags)


def _sums(matrix: Tensor, rows: Tensor, starts: Tensor, factors: Tensor) -> Tensor:
    """Weighted sums (len(starts), width) of runs of chosen rows of a matrix."""
    return functional.embedding_bag(rows, matrix, starts, mode="sum", per_sample_weights=factors)


def encode(h: Tensor, x: Tensor, encoder: Tensor, bias: Tensor, entries: Entries) -> Tensor:
    """Entries (n,) of h = x @ encoder.T + bias, given h (N, F) without gradients.

    x (N, d_in) gets no gradient; encoder (F, d_in) and bias (F,) do.
    """
    return _Encoded.apply(h.flatten()[entries.flat], x, encoder, bias, entries)


class _Encoded(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, x: Tensor, encoder: Tensor, bias: Tensor, entries: Entries
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.entries = entries
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (x,), entries = ctx.saved_tensors, ctx.entries
        bags = entries.bags
        if bags is None:
            filled = entries.filled(gradient)
            return None, None, filled.T @ x, filled.sum(dim=0), None
        ordered = gradient[bags.by_column]
        encoder = _sums(x, bags.rows_by_column, bags.column_starts, ordered)
        bias = gradient.new_zeros(entries.shape[1]).index_add_(0, entries.columns, gradient)
        return None, None, encoder, bias, None


def decode(values: Tensor, decoder: Tensor, entries: Entries) -> Tensor:
    """Products (prefixes, N, d_out) of the entries of each prefix with decoder (F, d_out).

    A prefix has the columns that the one before it lacks.
    """
    if entries.bags is None:
        filled, spans = entries.filled(values), pairwise((0, *entries.widths))
        return torch.stack([filled[:, a:b] @ decoder[a:b] for a, b in spans])
    made = _sums(decoder.detach(), entries.columns, entries.bags.starts, values)
    made = _Decoded.apply(made, values.detach(), decoder, entries.bags)
    return made.view(-1, entries.shape[0], decoder.shape[1])


class _Decoded(torch.autograd.Function):
    """A product that is made already; adds the gradient of the decoder."""

    @staticmethod
    def forward(ctx: Any, made: Tensor, values: Tensor, decoder: Tensor, bags: Bags) -> Tensor:
        ctx.save_for_backward(values)
        ctx.bags = bags
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (values,), bags = ctx.saved_tensors, ctx.bags
        ordered = values[bags.by_column]
        decoder = _sums(gradient, bags.outputs_by_column, bags.column_starts, ordered)
        return gradient, None, decoder, None


def largest(h: Tensor, count: int, guess: float) -> tuple[Tensor, float]:
    """Places (n,) of the `count` largest entries above 0 of h (N, F), flattened, and their cut.

    Of equal ones at the cut the first are taken; where fewer are above 0, these. `guess` is a cut
    from which to look for candidates: it changes the time, not the result.
    """
    flat = h.flatten()
    places = (flat > max(SLACK * guess, 0.0)).nonzero().squeeze(1)
    if len(places) < count and guess > 0:
        places = (flat > 0).nonzero().squeeze(1)
    if len(places) < count:
        return places, 0.0
    values = flat[places]
    cut = values.topk(count, sorted=False).values.min()
    above, level = values > cut, values == cut
    kept = above | (level & (level.cumsum(0) <= count - above.sum()))
    return places[kept], float(cut)
