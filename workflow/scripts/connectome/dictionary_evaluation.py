"""Everything measured of one dictionary at its site, on documents that it was not trained on.

One record: how near its reconstructions are, what they cost the model, what single features tell of
a text, and the same for the controls. What cannot be measured stands there with its reason.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from connectome import (
    decoder_cosines,
    dictionary_controls,
    dictionary_quality,
    moments,
    probing,
    spliced_loss,
    tables,
)
from connectome.dictionaries import Dictionary
from connectome.dictionary_data import columns_of, held_out
from connectome.dictionary_quality import Sums
from connectome.errors import DataError
from connectome.moments import Moments
from connectome.transformer import Transformer

FITTED_TOKENS = 100_000  # of training documents, on which the controls are fitted
OWN, ZERO, MEAN = "dictionary", "zero", "mean"
PCA, LINEAR, UNTRAINED = "pca", "linear", "untrained"
_UNDEFINED = {
    "explained_variance": "the targets are the same on every token",
    "cosine": "on every token the target or its reconstruction is 0",
    "bias": "targets and reconstructions are orthogonal",
    "norm_ratio": "every target is 0",
    "redundancy": "there is a single feature",
}

Rows = Iterable[tuple[Tensor, Tensor, np.ndarray]]  # inputs, targets, documents


class Control(NamedTuple):
    """What stands beside a dictionary, with so many numbers for each token."""

    dictionary: Dictionary
    k: int


class Texts(NamedTuple):
    """Sums over the tokens of each text."""

    features: Tensor  # (texts, F)
    channels: Tensor  # (texts, d_in)
    tokens: Tensor  # (texts,)


def evaluate(
    model: Transformer,
    corpus: pa.Table,
    parts: Sequence[Path],
    dictionary: Dictionary,
    site: str,
    settings: Mapping[str, int],
    seed: int,
) -> dict[str, Any]:
    """The record of a dictionary, from the recorded columns of its site.

    settings: section `dictionary_quality` of the configuration. Raises DataError where the columns
    or documents were not recorded, and for values that are not finite.
    """
    columns = columns_of(site, dictionary.transcoder)
    texts = {row["document"]: row for row in corpus.drop_columns("text").to_pylist()}
    judged = chosen(texts, settings["tokens"], seed, held=True)
    fitted = chosen(texts, FITTED_TOKENS, seed, held=False)
    for documents, which in ((judged, "held-out document"), (fitted, "document to train on")):
        if not documents:
            reason = f"no {which} has a token behind its start token; record more documents"
            return {"site": site, "status": "refused", "reason": reason}

    def rows(documents: Sequence[int]) -> Rows:
        return recorded(parts, columns, documents, model.device)

    exact = dictionary.to(model.device, torch.float64)
    labels = [texts[document]["label"] for document in judged]
    refused = probing.refusal(labels)
    sums, means = measured(exact, rows(judged), () if refused else judged)
    quality = {
        **dictionary_quality.fidelity(sums),
        **dictionary_quality.firing(sums),
        "redundancy": decoder_cosines.redundancy(exact.decoder.cpu().numpy()),
    }
    found = moments_of(rows(fitted), len(columns) > 1)
    controls = controls_of(found, dictionary, max(1, round(quality["l0"])), seed)
    of_controls = measured_controls(controls, rows(judged), model.device)
    loss, of_runs = lost(model, texts, judged, dictionary, controls, columns, settings)
    return {
        "site": site,
        "status": "ok",
        "reason": None,
        "documents": len(judged),
        "tokens": sums.count,
        "quality": quality,
        "undefined": {name: why for name, why in _UNDEFINED.items() if quality[name] is None},
        "density": dictionary_quality.histogram(sums),
        "loss": loss,
        "probes": probed(means, labels, refused, settings["probe_splits"], seed),
        "controls": [
            {
                "control": name,
                "k": control.k,
                "quality": _of_control(control, of_controls[name]),
                "loss": of_runs.get(name),
            }
            for name, control in controls.items()
        ],
    }


def _of_control(control: Control, sums: Sums) -> dict[str, float | int | None]:
    """Numbers of a control; one without features has its rank in place of their number."""
    active = dictionary_quality.mean_active(sums) if control.dictionary.features else control.k
    return {"l0": active, **dictionary_quality.fidelity(sums)}


def chosen(texts: Mapping[int, Mapping[str, Any]], tokens: int, seed: int, held: bool) -> list[int]:
    """Documents of the rows of a corpus by number, held out or not, in a seeded order.

    As many as have `tokens` tokens behind their start tokens, at least one; a document without any
    is left out.
    """
    numbers = np.array(sorted(texts), dtype=np.int64)
    numbers = numbers[held_out(numbers) == held]
    lengths = np.array([len(texts[number]["tokens"]) - 1 for number in numbers.tolist()], int)
    order = np.random.default_rng(seed).permutation(len(numbers))
    order = order[lengths[order] > 0]
    within = np.cumsum(lengths[order]) <= tokens
    return numbers[order[: max(1, int(within.sum()))]].tolist()


def recorded(
    parts: Sequence[Path],
    columns: Sequence[str],
    documents: Sequence[int],
    device: torch.device,
) -> Rows:
    """Blocks of recorded inputs and targets (n, width), float64, of some documents.

    Start tokens are left out. Raises DataError for a value that is not finite.
    """
    keys = moments.KEYS["activation"]
    streams = [
        moments.samples(tables.iter_column(parts, name, keys), name, "activation", True)
        for name in columns
    ]
    for found in zip(*streams, strict=True):
        ids = found[0][1]
        kept = np.flatnonzero(np.isin(ids, documents))
        if len(kept):
            values = [
                torch.from_numpy(matrix.take(kept, axis=0).astype(np.float64)).to(device)
                for matrix, _ in found
            ]
            yield values[0], values[-1], ids[kept]


def measured(dictionary: Dictionary, rows: Rows, texts: Sequence[int]) -> tuple[Sums, Texts]:
    """What all tokens add up to, and the tokens of each of these texts."""
    width = dictionary.widths[0]
    like = dictionary.encoder
    sums: Sums | None = None
    by_text = Texts(
        like.new_zeros(len(texts), dictionary.features),
        like.new_zeros(len(texts), width),
        like.new_zeros(len(texts)),
    )
    place = {document: number for number, document in enumerate(texts)}
    for x, y, documents in rows:
        for block in dictionary_quality.blocks(dictionary, len(x)):
            of_block, features = dictionary_quality.measure(dictionary, x[block], y[block])
            sums = dictionary_quality.merge(sums, of_block)
            if place:
                at = torch.tensor([place[i] for i in documents[block].tolist()], device=x.device)
                by_text.features.index_add_(0, at, features)
                by_text.channels.index_add_(0, at, x[block])
                by_text.tokens.index_add_(0, at, torch.ones_like(x[block][:, 0]))
    if sums is None:
        raise DataError("the recorded parts hold none of the held-out documents; record them again")
    return sums, by_text


def moments_of(rows: Rows, both: bool) -> Moments:
    """Moments of the inputs, with the targets behind them where they are others."""
    found = moments.empty()
    for x, y, _ in rows:
        values = torch.cat([x, y], dim=1) if both else x
        found = moments.merge(found, moments.of_rows(values.cpu().numpy()))
    return found


def controls_of(found: Moments, dictionary: Dictionary, k: int, seed: int) -> dict[str, Control]:
    """The controls of a dictionary that has k features on a token."""
    d_in, d_out = dictionary.widths
    mean = torch.from_numpy(found.mean[-d_out:])
    rank = min(k, d_in, d_out)
    start = dictionary_controls.untrained(found, dictionary.features, k, d_in, seed)
    best = PCA if len(found.mean) == d_in else LINEAR
    return {
        best: Control(dictionary_controls.linear(found, rank, d_in), rank),
        UNTRAINED: Control(start, k),
        MEAN: Control(dictionary_controls.constant(mean, d_in), 0),
    }


def measured_controls(
    controls: Mapping[str, Control], rows: Rows, device: torch.device
) -> dict[str, Sums]:
    """What all tokens add up to under each control."""
    exact = {name: found.dictionary.to(device, torch.float64) for name, found in controls.items()}
    sums: dict[str, Sums] = {}
    for x, y, _ in rows:
        for name, dictionary in exact.items():
            for block in dictionary_quality.blocks(dictionary, len(x)):
                of_block, _ = dictionary_quality.measure(dictionary, x[block], y[block])
                sums[name] = dictionary_quality.merge(sums.get(name), of_block)
    return sums


def lost(
    model: Transformer,
    texts: Mapping[int, Mapping[str, Any]],
    judged: Sequence[int],
    dictionary: Dictionary,
    controls: Mapping[str, Control],
    columns: Sequence[str],
    settings: Mapping[str, int],
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What reconstructions cost the model: the record of the dictionary, and that of each control.

    Measured on the first of the judged documents, as many as have `loss_tokens` tokens.
    """
    site, d_in = columns[-1], dictionary.widths[0]
    ends = np.cumsum([len(texts[document]["tokens"]) - 1 for document in judged])
    documents = judged[: max(1, int((ends <= settings["loss_tokens"]).sum()))]
    mean = controls[MEAN].dictionary
    runs = {OWN: dictionary, **{name: found.dictionary for name, found in controls.items()}}
    runs[ZERO] = dictionary_controls.constant(torch.zeros_like(mean.decoder_bias), d_in)
    tokens = [texts[document]["tokens"] for document in documents]
    found = spliced_loss.losses(model, tokens, site, columns[0], runs)
    if not found:
        reason = "no held-out document has two tokens behind its start token"
        return {"status": "refused", "reason": reason}, {}
    costs = spliced_loss.ablation_costs(found)
    undefined = {
        f"recovered_{name}": f"setting {site} to {'its mean' if name == MEAN else '0'} costs "
        f"{cost:.4f} nats: a share of so little means nothing"
        for name, cost in costs.items()
        if cost < spliced_loss.LEAST_LOSS
    }
    own = {
        "status": "ok",
        "reason": None,
        "documents": len(documents),
        "tokens": int(found[OWN]["tokens"]),
        "ce_clean": found[spliced_loss.CLEAN]["ce"],
        "ce_zero": found[ZERO]["ce"],
        "ce_mean": found[MEAN]["ce"],
        "undefined": undefined,
        **spliced_loss.compare(found, OWN),
    }
    return own, {name: spliced_loss.compare(found, name) for name in controls}


def probed(
    means: Texts, labels: Sequence[str | None], refused: str | None, splits: int, seed: int
) -> dict[str, Any]:
    """What single features, and raw channels, tell of the class of a text."""
    if refused:
        return {"status": "refused", "reason": refused}
    features, channels = (
        (total / means.tokens[:, None]).cpu().numpy() for total in (means.features, means.channels)
    )
    return {
        "status": "ok",
        "reason": None,
        "classes": probing.classes_of(labels),
        "texts": len(labels),
        "chance": probing.CHANCE,
        "probes": probing.probe(features, channels, labels, splits, seed),
    }
