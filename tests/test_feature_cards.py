"""Cards of dictionary features, against plain loops over hand-made encoded features."""

import functools
import json

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from connectome import feature_cards, tables, windows
from connectome.feature_cards import BINS, Scores, Site, Words
from connectome.region_writing import Reader

STAMP = {"cfg": "{}", "code": ""}
VOCABULARY = 7
SETTINGS = {
    "features": 12, "examples": 4, "window": 2, "tokens": 3, "min_count": 3, "logits": 2
}  # fmt: skip
READER = Reader(np.random.default_rng(8).standard_normal((5, VOCABULARY)), 0.25, True)
WORDS = Words(VOCABULARY - 1, VOCABULARY, lambda token: f"<{token}>")


class Text:
    """Documents of token ids with the value of every feature at every token."""

    def __init__(self, seed=0, documents=40):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(1, 12, documents)
        self.document = np.repeat(np.arange(documents), lengths)
        self.position = np.concatenate([np.arange(n) for n in lengths])
        self.token = rng.integers(0, VOCABULARY, len(self.document))
        shape = (len(self.token), 6)
        self.values = (rng.exponential(1, shape) * (rng.random(shape) < 0.3)).astype(np.float32)
        self.values[:, 1] *= self.token == 3
        self.values[:, 4:] = 0
        self.values[self.position == 0, 4] = 9  # dead, but for start tokens
        self.once = int(np.flatnonzero(self.position == 4)[2])
        self.values[self.once, 5] = 0.5  # fires once

    @property
    def counts(self):
        return self.position > 0

    def batches(self, size=10_000):
        for first in range(0, len(self.token), size):
            rows = slice(first, first + size)
            keys = ("document", "position", "token")
            yield csr_array(self.values[rows]), {key: getattr(self, key)[rows] for key in keys}


def scores(values, total=10.0):
    return {"task": Scores(np.array(values, float), total)}


ALL_BY_SCORE = scores([6, 5, 4, 3, 2, 1])


def described(text, size=10_000, of_tasks=ALL_BY_SCORE, **changes):
    decoder = np.random.default_rng(9).standard_normal((text.values.shape[1], 5))
    site = Site("mlp.0", decoder, functools.partial(text.batches, size))
    return feature_cards.describe(site, of_tasks, READER, WORDS, SETTINGS | changes, 1)


def of(rows, table, feature, **wanted):
    wanted |= {"feature": feature}
    return [r for r in rows[table] if all(r[key] == value for key, value in wanted.items())]


def test_density_median_highest_and_histogram_equal_plain_numpy():
    text = Text()
    rows = described(text)
    assert [row["feature"] for row in rows["cards"]] == [0, 1, 2, 3, 4, 5]
    for row in rows["cards"]:
        column = text.values[text.counts, row["feature"]]
        known = np.sort(column[column > 0])
        assert (row["tokens"], row["fires"]) == (text.counts.sum(), len(known))
        assert len(row["histogram"]) == BINS and sum(row["histogram"]) == len(known)
        if not len(known):
            continue
        assert row["highest"] == known[-1]
        assert row["median"] == np.quantile(known, 0.5, method="inverted_cdf")
        for i, count in enumerate(row["histogram"]):
            low, high = i * row["highest"] / BINS, (i + 1) * row["highest"] / BINS
            inside = (known >= low) & ((known < high) | (i == BINS - 1))
            assert count == inside.sum()


def test_quantile_examples_stand_at_the_middles_of_equal_shares_of_all_firings():
    text = Text()
    rows = described(text)
    for feature in (0, 2, 3):
        column = text.values[text.counts, feature]
        known = column[column > 0]
        found = of(rows, "examples", feature, kind="quantile")
        assert [row["quantile"] for row in found] == [0.875, 0.625, 0.375, 0.125]
        for row in found:
            assert row["score"] == np.quantile(known, row["quantile"], method="inverted_cdf")


def test_windows_hold_the_tokens_around_and_the_value_of_each():
    text = Text()
    rows = described(text)
    assert {row["kind"] for row in rows["examples"]} == {"top", "quantile"}
    for row in rows["examples"]:
        inside = np.flatnonzero(text.document == row["document"])
        first = max(0, row["position"] - 2)
        shown = inside[first : row["position"] + 3]
        assert row["tokens"] == [f"<{token}>" for token in text.token[shown]]
        values = [
            None if text.position[i] == 0 else text.values[i, row["feature"]].item() for i in shown
        ]
        assert row["scores"] == values and values[row["at"]] == row["score"]
        assert row["cut_left"] == (first > 0)
        assert row["cut_right"] == (row["position"] + 3 < len(inside))


def test_the_strongest_examples_are_those_of_a_plain_sort_over_documents():
    text = Text(seed=3)
    rows = described(text)
    for feature in (0, 2, 3):
        column = np.where(text.counts, text.values[:, feature], 0)
        peaks = [np.flatnonzero(text.document == d) for d in range(40)]
        best = [inside[np.argmax(column[inside])] for inside in peaks]
        best = sorted((i for i in best if column[i] > 0), key=lambda i: -column[i])
        found = of(rows, "examples", feature, kind="top")
        assert [row["score"] for row in found] == column[best[:4]].tolist()
        assert [row["rank"] for row in found] == [0, 1, 2, 3]


def test_a_feature_that_fires_once_has_one_example_and_a_dead_one_none():
    text = Text()
    rows = described(text)
    (only,) = of(rows, "examples", 5)
    assert (only["kind"], only["score"], only["position"]) == ("top", 0.5, 4)
    assert only["document"] == text.document[text.once]
    (card,) = of(rows, "cards", 5)
    assert card["histogram"] == [0] * (BINS - 1) + [1] and card["median"] == 0.5
    (dead,) = of(rows, "cards", 4)
    assert (dead["fires"], dead["median"], dead["highest"]) == (0, None, None)
    assert not any(dead["histogram"])
    assert not of(rows, "examples", 4) and not of(rows, "tokens", 4)
    assert len(of(rows, "logits", 4)) == 4 and of(rows, "scores", 4)[0]["score"] == 2


def test_equal_values_give_different_examples():
    text = Text(documents=80)
    text.values[:, 0] = text.values[:, 0] > 0
    found = of(described(text), "examples", 0)
    assert {row["score"] for row in found} == {1.0}
    assert [row["kind"] for row in found[:5]] == ["top"] * 4 + ["quantile"]
    assert len({(row["document"], row["position"]) for row in found}) == len(found)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_batches_of_any_size_give_the_same_rows(size):
    text = Text()
    assert json.dumps(described(text, size)) == json.dumps(described(text))


def test_favoured_tokens_are_counted_as_a_plain_loop_counts_them():
    text = Text()
    rows = described(text)
    assert of(rows, "tokens", 1, place="token")[0]["text"] == "<3>"
    fires = (text.values[:, 1] > 0) & text.counts
    (first, *_) = of(rows, "tokens", 1, place="token")
    of_kind = text.counts & (text.token == 3)
    assert (first["count"], first["fires"]) == (of_kind.sum(), fires.sum())
    assert first["share"] == fires.sum() / of_kind.sum() and first["coverage"] == 1
    for row in of(rows, "tokens", 1, place="previous"):
        follows = text.counts & (np.roll(text.token, 1) == row["token"])
        assert (row["count"], row["fires"]) == (follows.sum(), (follows & fires).sum())


def test_logit_effects_equal_the_decoder_row_through_the_norm_and_the_unembedding():
    """By hand: mean taken off (the norm centres), times its scale, times the unembedding."""
    rows = described(Text())
    decoder = np.random.default_rng(9).standard_normal((6, 5))
    for feature in range(6):
        row = decoder[feature] - decoder[feature].mean()
        logits = np.array([0.25 * row @ READER.unembedding[:, token] for token in range(7)])
        logits -= logits.mean()
        order = np.argsort(logits[:6]).tolist()  # token 6 is embedded, but has no text
        found = of(rows, "logits", feature)
        assert [(r["side"], r["rank"]) for r in found] == [
            ("top", 0), ("top", 1), ("bottom", 0), ("bottom", 1),
        ]  # fmt: skip
        assert [r["token"] for r in found] == [order[-1], order[-2], order[0], order[1]]
        assert [r["logit"] for r in found] == pytest.approx(logits[[r["token"] for r in found]])


def test_half_of_the_cards_go_to_the_largest_shares_and_the_rest_is_drawn_among_what_fires():
    fires = np.ones(50, dtype=int)
    fires[40:] = 0
    one, other = np.full(50, np.nan), np.zeros(50)
    one[[7, 8, 45]] = [-3, 1, 2]  # of a total of 100
    other[[20, 7]] = [0.5, 0.01]  # of a total of 1
    of_tasks = {"one": Scores(one, 100.0), "other": Scores(other, 1.0)}
    found = feature_cards.choose(of_tasks, fires, 6, "mlp.0", 1)
    assert [f for f, why in found.items() if why == "score"] == [20, 7, 45]
    drawn = [f for f, why in found.items() if why == "draw"]
    assert len(found) == 6 and drawn == sorted(drawn) and max(drawn) < 40
    assert feature_cards.choose(of_tasks, fires, 6, "mlp.0", 1) == found
    assert feature_cards.choose(of_tasks, fires, 6, "mlp.1", 1) != found
    without = feature_cards.choose({}, fires, 6, "mlp.0", 1)
    assert set(without.values()) == {"draw"} and len(without) == 6
    assert len(feature_cards.choose({}, fires, 99, "mlp.0", 1)) == 40


def test_each_feature_is_drawn_about_equally_often():
    fires = np.ones(8, dtype=int)
    drawn = [next(iter(feature_cards.choose({}, fires, 1, "mlp.0", seed))) for seed in range(800)]
    counts = np.bincount(drawn, minlength=8)
    assert ((counts - 100) ** 2 / 100).sum() < 24.3  # chi-square, 7 degrees of freedom, p = .001


def test_scores_are_told_by_the_names_of_nodes_and_shares_are_of_all_nodes():
    names = ["input", "m0.f0", "m0.f12", "m0.error", "a0.n3", "m0.f2"]
    sites = ["embed", "mlp.0", "mlp.0", "mlp.0", "attn.0", "mlp.0"]
    nodes = pa.table({"node": names, "site": sites, "score": [1.0, -2.0, 3.0, -3.0, 1.0, None]})
    found = feature_cards.scores_of(nodes, "mlp.0", 13)
    assert found.total == 10 and np.flatnonzero(~np.isnan(found.score)).tolist() == [0, 12]
    assert found.share[[0, 2, 12]].tolist() == [0.2, 0, 0.3]
    native = feature_cards.scores_of(nodes, "attn.0", 4)
    assert native.share.tolist() == [0, 0, 0, 0.1]
    rows = described(Text(), of_tasks={"a": Scores(np.array([1.0, -4, 2, np.nan, 0, 0]), 8.0)})
    (first,) = of(rows, "scores", 1)
    assert (first["score"], first["share"], first["rank"]) == (-4, 0.5, 1)
    assert of(rows, "scores", 0)[0]["rank"] == 3
    if unknown := of(rows, "scores", 3):
        assert unknown[0]["score"] is None is unknown[0]["rank"]


def test_quantiles_of_a_feature_that_fires_often_are_those_of_a_uniform_sample():
    text = Text(documents=600)
    column = np.random.default_rng(4).exponential(1, len(text.token)).astype(np.float32)
    text.values = column[:, None]
    fires, salts = np.array([text.counts.sum()]), [windows.salt("x", 1)]

    def sampled(size, most):
        blocks = ((v.toarray(), keys) for v, keys in text.batches(size))
        (found,) = feature_cards.sample(
            feature_cards.profiles.whole_documents(blocks), fires, salts, most
        )
        return found

    some = sampled(10_000, 800)
    assert 700 < len(some.value) < 900 and some.highest == column[text.counts].max()
    assert abs((column[text.counts] <= some.value[some.at(0.5)]).mean() - 0.5) < 0.06
    again = sampled(13, 800)
    assert again.value.tolist() == some.value.tolist() and np.array_equal(again.place, some.place)
    everything = sampled(10_000, 10**6)
    assert everything.value.tolist() == np.sort(column[text.counts]).tolist()


def test_encoded_parts_are_read_as_they_were_written(tmp_path):
    """Rows where nothing fires, an empty part, and batches that end within a part."""
    dense = np.array([[0, 2.5, 0], [0, 0, 0], [1, 0, 4], [0, 0, 0.5]], np.float32)
    parts = []
    for number, rows in enumerate([slice(0, 3), slice(3, 3), slice(3, 4)]):
        block = dense[rows]
        table = pa.table(
            {
                "document": pa.array([0] * len(block), pa.int32()),
                "position": pa.array(range(len(block)), pa.int32()),
                "token": pa.array([7] * len(block), pa.int32()),
                "feature": pa.array(
                    [np.flatnonzero(r).tolist() for r in block], pa.list_(pa.int32())
                ),
                "value": pa.array([r[r > 0].tolist() for r in block], pa.list_(pa.float32())),
            }
        )
        parts.append(tmp_path / f"part-{number}-of-3.parquet")
        tables.write_table(parts[-1], table, STAMP, {"site": "mlp.0", "features": 3})
    found = list(feature_cards.batches(parts, 3))
    assert np.array_equal(np.concatenate([values.toarray() for values, _ in found]), dense)
    assert np.concatenate([keys["position"] for _, keys in found]).tolist() == [0, 1, 2, 0]
    lists = list(tables.iter_lists(parts, "value", (), batch_rows=2))
    assert [lengths.tolist() for lengths, _, _ in lists] == [[1, 0], [2], [1]]
    assert [values.tolist() for _, values, _ in lists] == [[2.5], [1, 4], [0.5]]
