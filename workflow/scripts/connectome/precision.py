"""Numbers of 16 bits where they are enough, of 32 where sums decide results.

A model may run in bfloat16 or float16. Logits, scores and the norms' sums of squares are then taken
in float32: in 16 bits a logit of 20 is known to 0.06 only, and the square of 300 is infinite.
float32 and float64 pass through unchanged.
"""

import torch
from torch import Tensor

BLOCK = 1 << 24  # numbers of a matrix that are widened at a time


def is_narrow(x: Tensor) -> bool:
    """Whether a tensor holds numbers of 16 bits."""
    return x.dtype in (torch.bfloat16, torch.float16)


def widen(x: Tensor) -> Tensor:
    """`x` in float32 where it is narrower, else as it is, not copied."""
    return x.float() if is_narrow(x) else x


def product(x: Tensor, matrix: Tensor) -> Tensor:
    """x (..., m) @ matrix (m, k), not narrower than float32; a narrow matrix is widened by blocks.

    The blocks keep the whole matrix from standing in memory twice.
    """
    if not is_narrow(matrix):
        return x @ matrix
    wide = widen(x)
    if matrix.shape[0] <= matrix.shape[1]:  # many columns
        parts = matrix.split(max(1, BLOCK // len(matrix)), dim=1)
        return torch.cat([wide @ widen(part) for part in parts], dim=-1)
    step = max(1, BLOCK // matrix.shape[1])
    pairs = zip(wide.split(step, dim=-1), matrix.split(step), strict=True)
    return sum((some @ widen(part) for some, part in pairs), start=wide.new_zeros(()))
