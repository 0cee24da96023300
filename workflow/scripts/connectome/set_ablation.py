"""Ablation of sets of features of one site, many sets at once, on prompts already run.

Everything before the site is as in the intact run, so that only the rest of the model runs again.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from connectome.continuation import finish
from connectome.transformer import Trace, Transformer, shares_of


def bytes_per_run(model: Transformer, t: int) -> int:
    """Memory that one prompt of t tokens takes in one run, about."""
    size = model.size
    widest = max(size.hidden, size.heads * (size.head_width + t), size.vocabulary // t)
    return 6 * t * widest * model.embedding.element_size()


@torch.inference_mode()
def run_sets(
    model: Transformer,
    trace: Trace,
    site: str,
    sets: Sequence[np.ndarray],
    values: Tensor,
    memory: int,
) -> Iterator[Tensor]:
    """Answer logits (c, n, vocabulary), c sets at a time in order, with one set replaced in each.

    sets: numbers of features; these take `values` (n or 1, t or 1, features), as written, at every
    position, all others of the site keep theirs. What later sites read changes with them. Equal to
    `ablation.run_nodes` with the set as a node that is not kept.
    """
    place = model.sites.index(site)
    later, written = model.sites[place + 1 :], model.writing(site)
    intact = trace.streams[place + 1]  # (n, t, d)
    n, t = intact.shape[:2]
    # features first, so that those of a set are whole rows
    change = (values - shares_of(trace, site)).flatten(0, 1).T.contiguous()  # (features, n t)
    at_once = max(1, memory // (n * bytes_per_run(model, t)))
    for first in range(0, len(sets), at_once):
        stream = intact.expand(len(sets[first : first + at_once]), -1, -1, -1).clone()
        for run, members in zip(stream, sets[first : first + at_once], strict=True):
            chosen = torch.from_numpy(members).to(change.device)
            run.flatten(0, 1).addmm_(change[chosen].T, written[chosen])
        yield finish(model, trace, stream, later)
