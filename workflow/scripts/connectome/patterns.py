"""Attention patterns: how much each head looks from one position of a prompt to another."""

from collections.abc import Sequence

import numpy as np
import torch

from connectome.prompts import Batch
from connectome.transformer import Transformer, forward


@torch.inference_mode()
def attention(
    model: Transformer, batch: Batch, queries: Sequence[int], keys: Sequence[int]
) -> dict[str, np.ndarray]:
    """Attention (n,) of every head `a0.h1` from position queries[i] to keys[i] of prompt i.

    Positions count from the start of a prompt, its start token included.
    """
    batch = batch.to(model.device)
    rows = torch.arange(len(batch.ids))
    starts = batch.starts.cpu()
    places = (rows, starts + torch.tensor(queries), starts + torch.tensor(keys))
    attended = forward(model, batch).attended
    return {
        f"a{site.split('.')[1]}.h{head}": pattern.cpu()[places].double().numpy()
        for site, found in attended.items()
        for head, pattern in enumerate(found.pattern)  # (n, q, k)
    }


def looks(
    model: Transformer, batch: Batch, expected: Sequence[dict[str, tuple[int, int]]]
) -> list[dict[str, object]]:
    """Rows (known, head, attention, lowest, n): every head where each known one should look.

    expected: per prompt the (query, key) position of each known head. `attention` is the mean over
    prompts, `lowest` the smallest.
    """
    result: list[dict[str, object]] = []
    for known in expected[0]:
        queries, keys = zip(*(places[known] for places in expected), strict=True)
        for head, weights in attention(model, batch, queries, keys).items():
            result.append(
                {
                    "known": known,
                    "head": head,
                    "attention": float(weights.mean()),
                    "lowest": float(weights.min()),
                    "n": len(weights),
                }
            )
    return result
