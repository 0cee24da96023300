"""The rest of a pass from a changed stream, many runs at once, read at the answers alone.

In the last block only the answer's position is computed: its query against all keys, and the MLP
there. What other positions write that late reaches no answer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from connectome.architectures import Dimensions
from connectome.blocks import (
    Attention,
    Mlp,
    Rotary,
    Sight,
    activate,
    normalise,
    rms_normalise,
    rotate,
    with_gain,
)
from connectome.transformer import Trace, Transformer, compute, output, repeated, unembed


def changed(model: Transformer, trace: Trace, site: str, change: Tensor) -> Tensor:
    """The stream (..., n, t, d) after a site of a pass if its parts added `change` to their sum."""
    number, gain = model.sites.index(site), model.writer(site).gain
    if gain is None:
        return trace.streams[number + 1] + change
    normed = trace.behind[site]
    whole = rms_normalise(normed.x / normed.scale + change, model.size.eps)
    return trace.streams[number] + whole.x * gain


def finish(model: Transformer, trace: Trace, stream: Tensor, sites: Sequence[str]) -> Tensor:
    """Answer logits (c, n, vocabulary) of c runs of a pass's prompts that go on from other streams.

    `stream` (c, n, t, d) is what stands before the first of the remaining `sites`; where that one
    reads an earlier stream (parallel blocks), it is the pass's own. Dictionaries give their modules
    back exactly and are left out.
    """
    model = model.native
    c, n = stream.shape[:2]
    stream = stream.flatten(0, 1)  # (c n, t, d)
    read = stream
    if sites and model.reads(sites[0]) < model.sites.index(sites[0]):
        read = trace.streams[model.reads(sites[0])].repeat(c, 1, 1)
    seen_by = repeated(trace.sights, c)
    for site in sites:
        if site in model.sites[-2:]:
            continue
        read = _next(model, site, read, stream)
        x = normalise(read, model.size).x
        features = compute(model, site, x[None, None], seen_by[site])[0]
        stream = stream + output(model, site, features)
    rows = torch.arange(c * n, device=stream.device)
    last = trace.batch.last.repeat(c)
    answer = stream[rows, last]  # (c n, d)
    attention, mlp = (model.module(site) for site in model.sites[-2:])
    assert isinstance(attention, Attention) and isinstance(mlp, Mlp)
    if model.sites[-2] in sites:
        read = stream
        x, seen = normalise(stream, model.size).x, seen_by[model.sites[-2]]
        at_answer = Sight(
            Rotary(*(None if part is None else part[rows, last] for part in seen.turn)),
            seen.hidden_keys[rows, last],
        )
        features = _attend_at(attention, model.size, x, x[rows, last], seen.turn, at_answer)
        answer = answer + output(model, model.sites[-2], features)
    if model.sites[-1] in sites:
        x = normalise(read[rows, last] if model.size.parallel else answer, model.size).x
        hidden = activate(mlp, x[None, None], model.size.activation).hidden[0, 0]
        answer = answer + output(model, model.sites[-1], hidden)
    return unembed(model, answer.unflatten(0, (c, n)))


def _next(model: Transformer, site: str, read: Tensor, stream: Tensor) -> Tensor:
    """What a site reads: the running stream, or what the site before it read."""
    return read if model.reads(site) < model.sites.index(site) else stream


def _attend_at(
    module: Attention, size: Dimensions, x: Tensor, own: Tensor, turn: Rotary, at: Sight
) -> Tensor:
    """Value features (m, h w) at one position of each of m prompts.

    x (m, t, d) and own (m, d), that position's, are normed; `at` is the sight of that position, its
    hidden_keys (m, t).
    """
    query = own @ module.query.mT + module.query_bias[:, None]  # (h, m, w)
    query = rotate(with_gain(query, module.query_gain, size.eps)[0], at.turn)
    key = x.flatten(0, 1) @ module.key.mT + module.key_bias[:, None]  # (h, m t, w)
    key = with_gain(key, module.key_gain, size.eps)[0].unflatten(1, x.shape[:2])
    scores = (rotate(key, turn) @ query[..., None])[..., 0] * query.shape[-1] ** -0.5  # (h, m, t)
    if size.score_cap is not None:
        scores = scores.div_(size.score_cap).tanh_().mul_(size.score_cap)
    pattern = scores.masked_fill_(at.hidden_keys, float("-inf")).softmax(-1)
    read = torch.einsum("hmt,mtd->hmd", pattern, x)  # values are linear in what is read
    return (read @ module.value.mT).permute(1, 0, 2).flatten(1)
