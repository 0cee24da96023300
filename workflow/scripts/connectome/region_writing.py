"""What ROIs write: their direction in the logits, and how far their members write alike.

The direction of a ROI is what it adds to the stream when each member moves by one of its own
standard deviations in the direction of the ROI's profile: sum_j a_j sd_j w_j. Its effect on the
logits is the direct one alone (what later modules read of it is left out), with the final norm's
scale frozen at its mean over the answers of discovery prompts, and so that of a norm behind the
ROI's own module; where a model caps its logits, before the cap. float64.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from connectome import profiles, tokenizer
from connectome.blocks import normalise
from connectome.directions import mean_cosine
from connectome.moments import Found, correlations
from connectome.prompts import Prompts
from connectome.region_effects import REGION, Group
from connectome.tokenizer import Tokenizer
from connectome.transformer import Transformer, forward

Array = np.ndarray
Row = dict[str, Any]
MEASURES = ("rms", "cosine", "cosine_signed")
LOGIT = {
    "side": pa.string(),
    "rank": pa.int32(),
    "token": pa.int32(),
    "text": pa.string(),
    "logit": pa.float64(),
}
_SPREAD = ("random", "random_lo", "random_hi")
SCHEMAS = {
    "writing": pa.schema(
        REGION
        | dict.fromkeys(
            [name for m in MEASURES for name in (m, *(f"{m}_{end}" for end in _SPREAD))],
            pa.float64(),
        )
        | {"draws": pa.int32()}
    ),
    "logits": pa.schema(REGION | LOGIT),
}


class Site(NamedTuple):
    """What the ROIs of a site are measured on."""

    writing: Array  # (features, d)
    sd: Array  # (features,) of the activations
    moments: Found  # of the activations


class Reader(NamedTuple):
    """The final norm and the unembedding, as one linear map of a small change of the stream."""

    unembedding: Array  # (d, vocabulary)
    scale: float  # of the final norm
    centred: bool  # whether that norm subtracts the mean


def direction(site: Site, members: Array, signs: Array) -> Array:
    """What a set writes (d,) per standard deviation of all its members, each in its sign."""
    return (signs * site.sd[members]) @ site.writing[members]


def logit_effect(written: Array, reader: Reader) -> Array:
    """Change of the logits (vocabulary,) by a change (d,) of the last stream; their mean is 0.

    First order, with the norm's scale kept; a constant over the vocabulary changes no probability
    and is taken away.
    """
    if reader.centred:
        written = written - written.mean()
    logits = reader.scale * written @ reader.unembedding
    return logits - logits.mean()


def measure(site: Site, members: Array, signs: Array, reader: Reader) -> dict[str, float | None]:
    """Root mean square of the logit effect, and mean cosine between members' writing directions.

    `cosine` is between the directions as they are, `cosine_signed` with each turned by its sign.
    """
    effect = logit_effect(direction(site, members, signs), reader)
    written = site.writing[members]
    return {
        "rms": float(np.sqrt(np.mean(effect**2))),
        "cosine": mean_cosine(written),
        "cosine_signed": mean_cosine(signs[:, None] * written),
    }


def beside_random(site: Site, sets: Sequence[Array], reader: Reader) -> Row:
    """Mean and central 95 % of the measures over sets of features, each with signs of its own."""
    found = []
    for members in sets:
        signs = profiles.signs(correlations(site.moments, members))
        found.append(measure(site, members, signs, reader))
    row: Row = {"draws": len(found)}
    for name in MEASURES:
        known = np.array([values[name] for values in found if values[name] is not None], float)
        if len(known):
            spread = (known.mean(), *np.quantile(known, [0.025, 0.975]))
            row |= {f"{name}_{end}": float(x) for end, x in zip(_SPREAD, spread, strict=True)}
    return row


def extremes(effect: Array, most: int, text_of: Callable[[int], str]) -> list[Row]:
    """Rows of LOGIT: the largest and the smallest logit effects (tokens,); ties by token id."""
    order = np.argsort(-effect, kind="stable")
    most = min(most, len(order) // 2)
    ends = {"top": order[:most], "bottom": np.argsort(effect, kind="stable")[:most]}
    return [
        {"side": side, "rank": rank, "token": token, "text": text_of(token)}
        | {"logit": float(effect[token])}
        for side, found in ends.items()
        for rank, token in enumerate(found.tolist())
    ]


def site_of(writing: torch.Tensor, moments: Found) -> Site:
    """The writing directions and activity of a site, but for the scale of a norm behind it."""
    return Site(writing.double().cpu().numpy(), np.sqrt(moments.variance), moments)


def scaled(site: Site, name: str, scales: Sequence[Mapping[str, float]]) -> Site:
    """A site with what the norm behind it makes of its directions, at its mean scale over tasks."""
    found = [of_task[name] for of_task in scales if name in of_task]
    return site._replace(writing=site.writing * np.mean(found)) if found else site


@torch.inference_mode()
def mean_scales(model: Transformer, prompts: Prompts) -> dict[str, float]:
    """Mean scale at the answers of clean prompts of the final norm ("logits") and of those behind
    modules, by site."""
    trace = forward(model, prompts.clean, visit=lambda site, trace: None)
    rows = torch.arange(len(prompts), device=trace.batch.last.device)
    answer = trace.streams[-1][rows, trace.batch.last]
    norms = {site: normed.scale[rows, trace.batch.last] for site, normed in trace.behind.items()}
    norms["logits"] = normalise(answer, model.size).scale
    return {name: float(scale.double().mean()) for name, scale in norms.items()}


def reader_of(model: Transformer, scales: Sequence[Mapping[str, float]]) -> Reader:
    """The final norm at its mean scale over tasks (1 without any), and the folded unembedding."""
    unembedding = model.unembedding.double().cpu().numpy()
    scale = float(np.mean([of_task["logits"] for of_task in scales] or [1.0]))
    return Reader(unembedding, scale, model.size.centred)


def all_rows(
    of_groups: Sequence[Group],
    sites: Mapping[str, Site],
    random: Mapping[tuple[str, int], Sequence[Array]],
    reader: Reader,
    words: Tokenizer,
    most: int,
) -> dict[str, list[Row]]:
    """Rows of the tables of SCHEMAS: `most` tokens at either end of each ROI's logit effect."""
    beside = {
        (site, size): beside_random(sites[site], sets, reader)
        for (site, size), sets in random.items()
    }
    rows: dict[str, list[Row]] = {name: [] for name in SCHEMAS}
    text_of = functools.partial(tokenizer.piece, words)
    for group in of_groups:
        site, live = sites[group.site], len(group.members)
        name = {"partition": group.partition, "site": group.site, "part": group.part, "live": live}
        null = beside.get((group.site, live), {"draws": 0})
        measured = measure(site, group.members, group.signs, reader)
        rows["writing"].append(name | measured | null)
        effect = logit_effect(direction(site, group.members, group.signs), reader)[: words.size]
        rows["logits"] += [name | row for row in extremes(effect, most, text_of)]
    return rows
