"""The rest of a pass from a changed stream, many runs at once, read at the answers alone.

In the last block only the answer's position is computed: its query against all keys, and the MLP
there. What other positions write that late reaches no answer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from connectome.blocks import Attention, Mlp, Rotary, activate, normalise, rotate
from connectome.transformer import Trace, Transformer, compute, unembed


def finish(model: Transformer, trace: Trace, stream: Tensor, sites: Sequence[str]) -> Tensor:
    """Answer logits (c, n, vocabulary) of c runs of a pass's prompts that go on from other streams.

    `stream` (c, n, t, d) is what the first of the remaining `sites` reads.
    """
    c, n = stream.shape[:2]
    stream = stream.flatten(0, 1)  # (c n, t, d)
    turn = Rotary(*(None if part is None else part.repeat(c, 1, 1) for part in trace.turn))
    hidden_keys = trace.batch.hidden_keys.repeat(c, 1, 1)
    for site in sites:
        if site in model.sites[-2:]:
            continue
        x = normalise(stream, model.size).x
        features = compute(model, site, x[None, None], turn, hidden_keys)[0]
        stream = stream + features @ model.writing(site) + model.module(site).constant
    rows = torch.arange(c * n, device=stream.device)
    last = trace.batch.last.repeat(c)
    answer = stream[rows, last]  # (c n, d)
    attention, mlp = (model.module(site) for site in model.sites[-2:])
    assert isinstance(attention, Attention) and isinstance(mlp, Mlp)
    if model.sites[-2] in sites:
        x = normalise(stream, model.size).x
        at_answer = Rotary(*(None if part is None else part[rows, last] for part in turn))
        features = _attend_at(attention, x, x[rows, last], turn, at_answer, hidden_keys[rows, last])
        answer = answer + features @ model.writing(model.sites[-2]) + attention.constant
    if model.sites[-1] in sites:
        x = normalise(answer, model.size).x
        hidden = activate(mlp, x[None, None], model.size.activation).hidden[0, 0]
        answer = answer + hidden @ mlp.output + mlp.constant
    return unembed(model, answer.unflatten(0, (c, n)))


def _attend_at(
    module: Attention, x: Tensor, own: Tensor, turn: Rotary, own_turn: Rotary, hidden: Tensor
) -> Tensor:
    """Value features (m, h w) at one position of each of m prompts.

    x (m, t, d) and own (m, d), that position's, are normed; hidden (m, t) marks keys that it must
    not see.
    """
    query = rotate(own @ module.query.mT + module.query_bias[:, None], own_turn)  # (h, m, w)
    key = x.flatten(0, 1) @ module.key.mT + module.key_bias[:, None]  # (h, m t, w)
    key = key.unflatten(1, x.shape[:2])
    scores = (rotate(key, turn) @ query[..., None])[..., 0] * query.shape[-1] ** -0.5  # (h, m, t)
    pattern = scores.masked_fill_(hidden, float("-inf")).softmax(-1)
    read = torch.einsum("hmt,mtd->hmd", pattern, x)  # values are linear in what is read
    return (read @ module.value.mT).permute(1, 0, 2).flatten(1)
