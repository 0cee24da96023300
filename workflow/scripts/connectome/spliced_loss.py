"""What the model loses where reconstructions stand for what a site writes.

Mean cross-entropy of the next token, in nats, over the predictions made at the positions where a
reconstruction is spliced in: all but the first, which holds the start token. Only the one site
differs from the clean run. Axes: n documents, t positions, d width, N tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from connectome import dictionary_quality, precision
from connectome.activations import column, groups
from connectome.devices import within_memory
from connectome.dictionaries import Dictionary
from connectome.prompts import Batch
from connectome.transformer import Trace, Transformer, forward, unembed

CLEAN = "clean"
BATCH_TOKENS = 4096  # places in a batch
LEAST_LOSS = 0.01  # nats that an ablation must cost for a share of it to mean something
_ENTRIES = 1 << 22  # logits in memory


def losses(
    model: Transformer,
    documents: Sequence[Sequence[int]],
    site: str,
    reads: str,
    spliced: Mapping[str, Dictionary],
) -> dict[str, dict[str, float]]:
    """Cross-entropy `ce` of the clean run and of one run for each of the dictionaries, with `kl`.

    documents: token ids. reads: what the dictionaries read, the site itself or its input
    (`mlp.0.in`). `kl` is the mean of KL(p_clean || p_spliced). {} where no document is long enough.
    """
    size, dtype = precision.widen(model.embedding[:0]).dtype, model.device
    placed = {name: found.to(dtype, size) for name, found in spliced.items()}

    def run(rows: Sequence[int]) -> tuple[int, dict[str, Tensor]]:
        batch = Batch.of([list(documents[row]) for row in rows]).to(model.device)
        return _of_batch(model, batch, site, reads, placed)

    totals: dict[str, Tensor] = {}
    count = 0
    for found, of_batch in within_memory(run, groups(documents, BATCH_TOKENS), "documents"):
        count += found
        for name, total in of_batch.items():
            totals[name] = totals.get(name, 0) + total
    if not count:
        return {}
    means = {name: (total / count).tolist() for name, total in totals.items()}
    return {name: {"tokens": count, "ce": ce, "kl": kl} for name, (ce, kl) in means.items()}


def inner(batch: Batch) -> Tensor:
    """Positions behind the start token of each document, bool (n, t)."""
    return batch.real & (batch.positions > 0)


@torch.inference_mode()
def _of_batch(
    model: Transformer,
    batch: Batch,
    site: str,
    reads: str,
    spliced: Mapping[str, Dictionary],
) -> tuple[int, dict[str, Tensor]]:
    """Number of predictions, and summed cross-entropy and divergence (2,) of each run."""
    kept = inner(batch)
    clean, behind, x, y = _clean_run(model, batch, site, reads)
    scored = kept[:, :-1] & batch.real[:, 1:]
    final = {CLEAN: clean}
    for name, dictionary in spliced.items():
        change = torch.zeros_like(y)
        change[kept] = dictionary_quality.reconstruct(dictionary, x[kept]) - y[kept]
        stream = (precision.widen(behind) + change).to(behind.dtype)
        final[name] = _run_from(model, batch, site, stream)
    targets = batch.ids[:, 1:][scored]
    ends = {name: stream[:, :-1][scored] for name, stream in final.items()}  # (N, d)
    return len(targets), _summed(model, ends, targets)


def _clean_run(
    model: Transformer, batch: Batch, site: str, reads: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The last stream, the one behind the site, inputs and targets there (n, t, width)."""
    seen: dict[str, Tensor] = {}

    def visit(at: str, trace: Trace) -> None:
        if at == module_of(model, site):
            seen["stream"] = trace.streams[0 if site == "embed" else -1]
            for name in {reads, site}:
                seen[name] = precision.widen(column(model, trace, name))

    clean = forward(model, batch, visit=visit).streams[-1]
    return clean, seen["stream"], seen[reads], seen[site]


def module_of(model: Transformer, site: str) -> str:
    """The module behind which the output of a site is there; the first one for the embedding."""
    return model.sites[0] if site == "embed" else site.replace("resid", "mlp")


def _run_from(model: Transformer, batch: Batch, site: str, stream: Tensor) -> Tensor:
    """The last stream of a run in which `stream` stands for the one behind the site."""
    if site == "embed":
        return forward(model, batch, stream, visit=lambda at, trace: None).streams[-1]
    at_site = module_of(model, site)
    trace = forward(model, batch, visit=lambda at, trace: stream if at == at_site else None)
    return trace.streams[-1]


def _summed(model: Transformer, ends: Mapping[str, Tensor], targets: Tensor) -> dict[str, Tensor]:
    """Sums over tokens of -log p(target) and of KL(p_clean || p), (2,) float64 of each run."""
    sums = {name: torch.zeros(2, dtype=torch.float64) for name in ends}
    step = max(1, _ENTRIES // model.size.vocabulary)
    for first in range(0, len(targets), step):
        rows = slice(first, first + step)
        reference = _log_probabilities(model, ends[CLEAN][rows])
        for name, end in ends.items():
            found = reference if name == CLEAN else _log_probabilities(model, end[rows])
            ce = -found.gather(1, targets[rows, None]).sum()
            kl = (reference.exp() * (reference - found)).sum()
            sums[name] += torch.stack([ce, kl]).cpu()
    return sums


def _log_probabilities(model: Transformer, stream: Tensor) -> Tensor:
    """log p (N, vocabulary) behind streams (N, d), float64."""
    return unembed(model, stream).double().log_softmax(-1)


def compare(found: Mapping[str, Mapping[str, float]], name: str) -> dict[str, Any]:
    """What one of the runs of `losses` costs, and which share of an ablation's cost it recovers.

    `zero` and `mean` are the runs whose cost counts as everything; a share is None where that is
    below `LEAST_LOSS`.
    """
    clean, own = found[CLEAN]["ce"], found[name]
    delta = own["ce"] - clean
    shares = {
        f"recovered_{ablation}": None if cost < LEAST_LOSS else 1 - delta / cost
        for ablation, cost in ablation_costs(found).items()
    }
    return {"ce": own["ce"], "delta": delta, "kl": own["kl"], **shares}


def ablation_costs(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What it costs in nats to set the site to 0, and to its mean."""
    return {name: found[name]["ce"] - found[CLEAN]["ce"] for name in ("zero", "mean")}
