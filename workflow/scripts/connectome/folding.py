"""Weights of a checkpoint folded into what they do to a bare norm, in float64.

Every inner norm's gain and bias goes into the matrices that read it; what a head writes whatever it
attends to (value biases, norm bias) goes into the module's constant; each head's value-output
product diag(gain) W_V W_O is rewritten by its singular value decomposition. Matrices come out with
one row (d,) per direction or hidden unit, so that the rows of a part are picked by whole rows.

The gain of a norm BEHIND a module is not folded: it acts on the sum of what the parts write, after
the size of that sum has set their scale, and from folded rows that size could not be had where a
gain is 0. Value directions are singular directions of what a head adds to the sum, and what it
writes into the stream is that, times the run's scale and the gain. Heads that share keys and values
have products of their own, since their W_O differ.
Axes: h heads, w head width, d width, f hidden units.
"""

import torch
from torch import Tensor

from connectome.architectures import Dimensions, RawAttention, RawMlp, RawNorm


def fold(norm: RawNorm, matrix: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Matrix (d, m) and bias (m,) that read the bare norm, not the norm with gain and bias."""
    total = torch.zeros(matrix.shape[1], dtype=matrix.dtype) if bias is None else bias
    if norm.bias is not None:
        total = total + norm.bias @ matrix
    return norm.gain[:, None] * matrix, total


def attention(raw: RawAttention, size: Dimensions) -> tuple[Tensor | None, ...]:
    """Query, its bias, key, its bias, value, output, constant and gains, as in blocks.Attention."""
    width = size.head_width

    def heads(matrix: Tensor, bias: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        folded, total = fold(raw.norm, matrix, bias)
        folded = folded.reshape(size.width, count, width).permute(1, 2, 0)  # (count, w, d)
        total = total.reshape(count, width)
        repeat = size.heads // count  # grouped-query attention: each head gets its own key
        return folded.repeat_interleave(repeat, 0), total.repeat_interleave(repeat, 0)

    query, query_bias = heads(raw.query, raw.query_bias, size.heads)
    key, key_bias = heads(raw.key, raw.key_bias, size.kv_heads)
    value, value_bias = heads(raw.value, raw.value_bias, size.kv_heads)
    output = raw.output.reshape(size.heads, width, size.width)
    # weights of a pattern sum to 1: a value bias writes the same whatever is attended to
    constant = (value_bias[:, None] @ output).sum(dim=(0, 1))
    if raw.output_bias is not None:
        constant = constant + raw.output_bias
    value, output = _singular_directions(value.mT, output)
    query_gain = raw.query_gain
    if size.score_scale is not None:  # the engine multiplies scores by width ** -0.5
        rest = size.score_scale * width**0.5
        if query_gain is None:
            query, query_bias = query * rest, query_bias * rest
        else:
            query_gain = query_gain * rest
    gains = (query_gain, raw.key_gain, raw.post_gain)
    return query, query_bias, key, key_bias, value.mT, output, constant, *gains


def _singular_directions(value: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """U S (h, d, w) and V^T (h, w, d) of value @ output, by way of two small QR factors."""
    left, right = torch.linalg.qr(value)
    back, corner = torch.linalg.qr(output.transpose(1, 2))
    u, s, vt = torch.linalg.svd(right @ corner.transpose(1, 2))
    reading = left @ (u * s[:, None, :])
    writing = vt @ back.transpose(1, 2)
    largest = writing.gather(2, writing.abs().argmax(dim=2, keepdim=True))  # (h, w, 1)
    sign = torch.where(largest < 0, -1.0, 1.0).to(writing.dtype)
    return reading * sign.transpose(1, 2), writing * sign


def mlp(raw: RawMlp) -> tuple[Tensor | None, ...]:
    """Gate, its bias, up, its bias, down, constant and gains, as in blocks.Mlp."""
    gate, gate_bias = (None, None) if raw.gate is None else fold(raw.norm, raw.gate, raw.gate_bias)
    up, up_bias = fold(raw.norm, raw.up, raw.up_bias)
    constant = torch.zeros_like(raw.norm.gain) if raw.down_bias is None else raw.down_bias
    turned = None if gate is None else gate.T
    gains = (raw.post_gain, raw.norm.gain, raw.norm.bias)
    return turned, gate_bias, up.T, up_bias, raw.down, constant, *gains
