"""What single features of a sparse dictionary are: how often and how strongly they fire, and where.

A feature fires at a token where its value is above 0; start tokens are left out. Cards are made of
some features of a site: half of them those with the largest shares of a task's absolute node
scores, the others drawn by lot among all that fire, so that not everything shown was picked for
what it does. Examples are the strongest firings, and those that stand at evenly spaced quantiles of
all values above 0. Three passes over the tokens; what is kept is of fixed length, and depends
neither on the batches nor on the number of shards.

What a feature writes is its row of the decoder, per unit of its value; the effect on the logits is
the direct one alone, with the conventions of region_writing.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from connectome import firing, profiles, region_writing, tables, windows
from connectome.firing import PLACES
from connectome.profiles import Array, Block
from connectome.region_writing import Reader
from connectome.windows import Example, Shortlist, Windows

Row = dict[str, Any]
Batch = tuple[csr_array, Mapping[str, Array]]  # values (rows, F), 0 where silent; keys (rows,)
KEYS = ("document", "position", "token")
BINS = 20  # of a histogram, equally wide from 0 to the highest value
SAMPLE = 10_000  # values of a feature among which its quantiles are looked for
_FEATURE = {"site": pa.string(), "feature": pa.int32()}
SCHEMAS = {
    "cards": pa.schema(
        {
            **_FEATURE,
            "chosen": pa.string(),
            "tokens": pa.int64(),
            "fires": pa.int64(),
            "median": pa.float64(),
            "highest": pa.float64(),
            "histogram": pa.list_(pa.int64()),
        }
    ),
    "examples": pa.schema(
        {
            **_FEATURE,
            "kind": pa.string(),
            "rank": pa.int32(),
            "quantile": pa.float64(),
            **windows.FIELDS,
        }
    ),
    "tokens": pa.schema({**_FEATURE, **firing.FAVOURED}),
    "logits": pa.schema({**_FEATURE, **region_writing.LOGIT}),
    "scores": pa.schema(
        {
            **_FEATURE,
            "task": pa.string(),
            "score": pa.float64(),
            "share": pa.float64(),
            "rank": pa.int32(),
        }
    ),
}


def batches(parts: Sequence[Path], features: int) -> Iterator[Batch]:
    """Encoded features over the part files of a site, in the order given."""
    fired, strong = tables.iter_lists(parts, "feature", KEYS), tables.iter_lists(parts, "value")
    for (lengths, feature, keys), (_, value, _) in zip(fired, strong, strict=True):
        first = np.concatenate([[0], np.cumsum(lengths)])
        yield csr_array((value, feature, first), shape=(len(lengths), features)), keys


class Site(NamedTuple):
    """A site in features: what they write, and its recorded tokens, read more than once."""

    name: str
    decoder: Array  # (F, d)
    batches: Callable[[], Iterable[Batch]]


class Scores(NamedTuple):
    """Node scores of the features of a site for one task."""

    score: Array  # (F,) NaN where a feature has none
    total: float  # of absolute scores over all nodes of the graph

    @property
    def share(self) -> Array:
        """Share (F,) of that total; 0 where a feature has no score."""
        return np.nan_to_num(np.abs(self.score) / self.total if self.total else 0 * self.score)


def scores_of(nodes: pa.Table, site: str, features: int) -> Scores:
    """Scores of the features of a site, from the nodes of a graph of single features.

    Nodes are named as in `m2.f17` or `m2.n17`; other nodes of the site are no features.
    """
    score = np.full(features, np.nan)
    columns = (nodes[name].to_pylist() for name in ("node", "site", "score"))
    total = 0.0
    for node, of, value in zip(*columns, strict=True):
        total += abs(value or 0.0)
        found = re.fullmatch(r"\w+\.[nf](\d+)", node) if of == site else None
        if found and value is not None:
            score[int(found[1])] = value
    return Scores(score, total)


def choose(
    scores: Mapping[str, Scores], fires: Array, count: int, site: str, seed: int
) -> dict[int, str]:
    """Features of a site that get a card and why, {feature: "score" or "draw"}.

    fires: firings (F,) of each. Ties of shares by number; where fewer have a share above 0, more
    are drawn, and where fewer fire, less.
    """
    share = np.max([of_task.share for of_task in scores.values()], axis=0, initial=0)
    share = np.broadcast_to(share, fires.shape)
    order = np.argsort(-share, kind="stable")[: math.ceil(count / 2)]
    scored = order[share[order] > 0]
    pool = np.setdiff1d(np.flatnonzero(fires), scored)
    lot = windows.lots(pool, windows.salt(site, seed))
    drawn = np.sort(pool[np.argsort(lot, kind="stable")[: count - len(scored)]])
    return dict.fromkeys(scored.tolist(), "score") | dict.fromkeys(drawn.tolist(), "draw")


def firings(batches: Iterable[Batch], features: int) -> tuple[int, Array]:
    """Tokens that count, and firings (F,) of each feature among them."""
    tokens, fires = 0, np.zeros(features, dtype=np.int64)
    for values, keys in batches:
        kept = values[np.asarray(keys["position"]) > 0]
        tokens += kept.shape[0]
        fires += np.bincount(kept.indices[kept.data > 0], minlength=features)
    return tokens, fires


class Sampled(NamedTuple):
    """Values above 0 of one feature: all of them, or about SAMPLE drawn by lot."""

    value: Array  # (n,) increasing, ties by lot
    place: Array  # (n,) uint64, which tokens they are
    highest: float  # of all values; 0 of none

    def at(self, quantile: float) -> int:
        """Number of the smallest value that at least this share of the values does not exceed."""
        return max(0, math.ceil(quantile * len(self.value)) - 1)


def sample(
    blocks: Iterable[Block], fires: Array, salts: Sequence[np.uint64], most: int = SAMPLE
) -> list[Sampled]:
    """Values of features (C,) that fire so many times each (C,), from blocks of their values."""
    every = 2**64 - 1
    limits = [np.uint64(min(every, every * most // max(count, 1))) for count in fires.tolist()]
    nothing = (np.empty(0, np.float32), np.empty(0, np.uint64), np.empty(0, np.uint64))
    found = [[nothing] for _ in salts]
    highest = np.zeros(len(salts))
    for block in blocks:
        values = np.where(profiles.counted(block, True)[:, None], block.values, 0)
        highest = np.maximum(highest, values.max(axis=0, initial=0))
        for c, salt in enumerate(salts):
            rows = np.flatnonzero(values[:, c] > 0)
            place = windows.places(block, rows)
            lot = windows.lots(place, salt)
            kept = lot <= limits[c]
            found[c].append((values[rows[kept], c], lot[kept], place[kept]))
    result = []
    for c, pieces in enumerate(found):
        value, lot, place = map(np.concatenate, zip(*pieces, strict=True))
        order = np.lexsort((lot, value))
        result.append(Sampled(value[order], place[order], float(highest[c])))
    return result


def quantiles(count: int) -> list[float]:
    """Middles of so many equal shares of all firings, the strongest first: .875, .625, .375, ..."""
    return [1 - (i + 0.5) / count for i in range(count)]


class Seen(NamedTuple):
    """What the last pass found, per feature in order."""

    top: list[list[Example]]
    at: list[dict[float, Example]]  # by quantile, the strongest first; none that is among `top`
    histogram: Array  # (C, BINS)
    tallies: dict[str, firing.Tally]  # by place


def scan(
    blocks: Iterable[Block],
    samples: Sequence[Sampled],
    vocabulary: int,
    settings: Mapping[str, int],
) -> Seen:
    """Examples, histograms and tallies of features, from blocks of their values (rows, C).

    settings: `examples` (strongest ones, and quantiles) and `window` (tokens on either side). Two
    quantiles that fall on one firing are one example, that of the larger.
    """
    count = len(samples)
    tallies = firing.tallies_of(vocabulary, count)
    top = [Shortlist(settings["examples"]) for _ in samples]
    wanted = [_at(of, quantiles(settings["examples"])) for of in samples]
    found: list[dict[int, Example]] = [{} for _ in samples]
    histogram = np.zeros((count, BINS), dtype=np.int64)
    for block in blocks:
        scored = profiles.counted(block, True)
        fires = (block.values > 0) & scored[:, None]
        firing.tally(tallies, block, scored, fires)
        cut = Windows(block, scored, settings["window"])
        for c in range(count):
            rows, values = np.flatnonzero(fires[:, c]), block.values[:, c]
            if not len(rows):
                continue
            ends = (0.0, samples[c].highest)
            histogram[c] += np.histogram(values[rows].astype(np.float64), BINS, ends)[0]
            windows.offer_top(top[c], cut, rows, values)
            place = windows.places(block, rows)
            for i in np.flatnonzero(np.isin(place, np.array([*wanted[c]], np.uint64))).tolist():
                found[c][int(place[i])] = cut.example(int(rows[i]), values)
    strongest = [shortlist.sorted() for shortlist in top]
    at = [{share: found[c][place] for place, share in wanted[c].items()} for c in range(count)]
    for examples, of_feature in zip(strongest, at, strict=True):
        for share in [share for share, example in of_feature.items() if example in examples]:
            del of_feature[share]
    return Seen(strongest, at, histogram, tallies)


def _at(of_feature: Sampled, shares: Sequence[float]) -> dict[int, float]:
    """The firing at each quantile, as a place; the first quantile where several fall on one."""
    found: dict[int, float] = {}
    for share in shares if len(of_feature.place) else ():
        found.setdefault(int(of_feature.place[of_feature.at(share)]), share)
    return found


class Words(NamedTuple):
    """The vocabulary of a model."""

    size: int  # tokens that have a text
    embedded: int  # token ids that may be recorded
    text_of: Callable[[int], str]


def describe(
    site: Site,
    scores: Mapping[str, Scores],
    reader: Reader,
    words: Words,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, list[Row]]:
    """Rows of the tables of SCHEMAS, for the chosen features of one site.

    scores: by task, those that the model can do. settings: `features` (cards), `examples`,
    `window`, `tokens` (rows per feature and place), `min_count`, `logits` (rows at either end).
    """
    tokens, fires = firings(site.batches(), len(site.decoder))
    chosen = choose(scores, fires, settings["features"], site.name, seed)
    columns = np.array(list(chosen), dtype=np.int64)

    def blocks() -> Iterable[Block]:
        dense = ((values[:, columns].toarray(), keys) for values, keys in site.batches())
        return profiles.whole_documents(dense)

    salts = [windows.salt(f"{site.name}:{feature}", seed) for feature in chosen]
    samples = sample(blocks(), fires[columns], salts) if chosen else []
    seen = scan(blocks(), samples, words.embedded, settings)
    rows: dict[str, list[Row]] = {name: [] for name in SCHEMAS}
    for c, (feature, reason) in enumerate(chosen.items()):
        name: Row = {"site": site.name, "feature": feature}
        known = samples[c].value
        rows["cards"].append(
            name
            | {"chosen": reason, "tokens": tokens, "fires": int(fires[feature])}
            | {"median": float(known[samples[c].at(0.5)]) if len(known) else None}
            | {"highest": samples[c].highest or None, "histogram": seen.histogram[c].tolist()}
        )
        strongest = [("top", None, example) for example in seen.top[c]]
        at = [("quantile", share, example) for share, example in seen.at[c].items()]
        rows["examples"] += [
            name
            | {"kind": kind, "rank": rank, "quantile": share}
            | windows.row_of(example, words.text_of)
            for found in (strongest, at)
            for rank, (kind, share, example) in enumerate(found)
        ]
        for place in PLACES:
            favoured = firing.favoured(
                seen.tallies[place], c, settings["min_count"], settings["tokens"]
            )
            rows["tokens"] += [
                name | {"place": place, "rank": rank, "text": words.text_of(row["token"])} | row
                for rank, row in enumerate(favoured)
            ]
        effect = region_writing.logit_effect(site.decoder[feature], reader)[: words.size]
        listed = region_writing.extremes(effect, settings["logits"], words.text_of)
        rows["logits"] += [name | row for row in listed]
        rows["scores"] += [name | {"task": task} | _score(scores[task], feature) for task in scores]
    return rows


def _score(of_task: Scores, feature: int) -> Row:
    """Score of a feature, its share of all, and its rank among the features of its site."""
    score, share = of_task.score[feature], of_task.share
    if np.isnan(score):
        return {"score": None, "share": None, "rank": None}
    rank = 1 + int((share > share[feature]).sum())
    return {"score": float(score), "share": float(share[feature]), "rank": rank}
