"""Sparse features: encoded, counted, related by phi, grouped, and described like dense ones."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from connectome import (
    cofiring,
    controls,
    descriptions,
    dictionaries,
    dictionary_encoding,
    encoded,
    graphs,
    moments,
    planted,
    profiles,
    sparse_graphs,
)
from connectome.cofiring import Cofiring
from connectome.errors import DataError
from connectome.labelling import DEAD, UNGROUPED
from connectome.plots import covariance as figure
from connectome.tabulate import rois
from test_graphs import SETTINGS

ORIGIN = {"site": "mlp.0", "kind": "activation", "dictionary": "sae", "skip_start": True}
SELDOM = 17  # firings in 2,850 samples: two such features meet 0.1 times by chance
LABELS = planted.groups((14, 12, 10, 8), noise=20, dead=2, seed=1)


def firing(rows=3000, labels=LABELS, seed=0):
    """Indicators (rows, d) of planted features that fire at rates from 1 % to 8 %."""
    rates = np.exp(np.random.default_rng(seed).uniform(np.log(0.01), np.log(0.08), len(labels)))
    token, feature = planted.firing(labels, rates, rows, 0.6, 3, seed)
    x = np.zeros((rows, len(labels)), dtype=np.float32)
    x[token, feature] = 1
    return x


def keys_of(rows, document=20):
    place = np.arange(rows, dtype=np.int32)
    return {
        "document": place // document,
        "position": place % document,
        "token": place % 7,
    }


def listed(x):
    """Rows (n, d) as lengths, features and values."""
    token, feature = np.nonzero(x)
    lengths = np.bincount(token, minlength=len(x))
    return lengths, feature.astype(np.int32), x[token, feature].astype(np.float32)


def batches_of(x, size, keys=None):
    keys = keys or keys_of(len(x))
    for start in range(0, max(len(x), 1), size):
        some = x[start : start + size]
        lengths, feature, _ = listed(some)
        rows = {name: column[start : start + size] for name, column in keys.items()}
        yield encoded.rows(lengths, feature, x.shape[1]), rows


def counted(x, size=500, keys=None):
    rows = moments.samples(batches_of(x, size, keys), "mlp.0", "activation", True)
    return moments.accumulate(encoded.stacked(rows), ORIGIN)


def built(x, size=256, settings=SETTINGS):
    """The graph by the sparse path."""
    content, meta = counted(x)

    def read():
        rows = moments.samples(batches_of(x, 170), "mlp.0", "activation", True)
        return graphs.blocks(rows, size, encoded.join)

    return graphs.build(sparse_graphs.Fired(content, read), meta, settings, seed=1)


def built_densely(x, size=256, settings=SETTINGS):
    """The graph of the indicators as dense values, those that fire seldom dead."""
    settings = settings | {"min_variance": 0.0, "min_active": SELDOM}
    rows = list(moments.samples([(x, keys_of(len(x)))], "mlp.0", "activation", True))
    content, meta = moments.accumulate(rows, ORIGIN)
    source = graphs.Recorded(content, graphs.blocks(rows, size), exchangeable=False)
    return graphs.build(source, meta, settings, seed=1)


# Encoding


def dictionary(kind, d=6, features=17, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    own = {
        "relu": {},
        "topk": {"k": 3},
        "jumprelu": {"threshold": drawn(features).abs()},
        "gated": {"gate": (drawn(features), drawn(features).exp())},
    }[kind]
    return dictionaries.Dictionary(
        kind, drawn(d, features), drawn(features), drawn(features, d), drawn(d), True, **own
    )


@pytest.mark.parametrize("kind", dictionaries.ACTIVATIONS)
def test_encoded_features_are_those_of_the_dense_encoding(kind, monkeypatch):
    coder = dictionary(kind)
    x = np.random.default_rng(1).standard_normal((23, 6)).astype(np.float32)
    keys = keys_of(23)
    whole = dictionaries.encode(coder, torch.from_numpy(x)).numpy()
    for block in (1, 17 * 5, 10_000):
        monkeypatch.setattr(dictionary_encoding, "BLOCK", block)
        cuts = [(x[:9], {k: v[:9] for k, v in keys.items()})]
        cuts += [(x[9:], {k: v[9:] for k, v in keys.items()})]
        found = pa.Table.from_batches(dictionary_encoding.encode(coder, cuts, "mlp.0"))
        dense = np.zeros_like(whole)
        for row, (features, values) in enumerate(
            zip(found["feature"].to_pylist(), found["value"].to_pylist(), strict=True)
        ):
            assert features == sorted(set(features)) and min(values, default=1) > 0
            dense[row, features] = values
        assert ((dense > 0) == (whole > 0)).all()
        np.testing.assert_allclose(dense, whole, rtol=1e-5)  # whatever else is in the block
        assert found["position"].to_pylist() == keys["position"].tolist()
        if kind == "topk":
            assert max(map(len, found["feature"].to_pylist())) == 3


def test_inputs_that_do_not_fit_are_named_and_start_tokens_may_overflow():
    coder = dictionary("relu")
    x = np.ones((4, 6), np.float16)
    keys = {name: np.arange(4) for name in encoded.KEYS}
    x[0] = np.inf  # position 0
    assert len(list(dictionary_encoding.encode(coder, [(x, keys)], "mlp.0"))) == 1
    x[2, 3] = np.nan
    with pytest.raises(DataError, match="mlp.0: a value that is not finite at document 2, posi"):
        list(dictionary_encoding.encode(coder, [(x, keys)], "mlp.0"))
    with pytest.raises(DataError, match=r"attn.1: 5 values; the dictionary reads 6"):
        list(dictionary_encoding.encode(coder, [(x[:, :5], keys)], "attn.1"))


# Counting


def test_counts_are_those_of_brute_force_and_the_correlation_is_phi():
    x = firing(800)
    content, meta = counted(x)
    kept = keys_of(800)["position"] > 0
    half = moments.half_of(keys_of(800)["document"])
    for number, found in enumerate(moments.of_halves(content)):
        own = x[kept & (half == number)].astype(int)
        together = np.triu(own.T @ own, 1)
        matrix = cofiring.matrix(found).toarray()
        np.testing.assert_array_equal(matrix, together)
        assert found.active.tolist() == own.sum(axis=0).tolist() and found.count == len(own)
    full = moments.full(content)
    assert isinstance(full, Cofiring)
    live = np.flatnonzero(x[kept].any(axis=0))
    expected = np.corrcoef(x[kept][:, live].T)
    np.testing.assert_allclose(moments.correlations(full, live), expected, atol=1e-12)
    whole = moments.correlations(full)
    assert (
        (LABELS == DEAD).sum() == 2 and not whole[LABELS == DEAD].any() and np.isfinite(whole).all()
    )
    np.testing.assert_allclose(full.mean, x[kept].mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(full.variance, x[kept].astype(float).var(axis=0), atol=1e-12)
    assert (meta["samples"], meta["features"]) == (kept.sum(), len(LABELS))
    phi = sparse_graphs.phi_of(full, full.active[None], np.array([full.count])).upper.toarray()
    above = np.triu(np.where(whole > 0, whole, 0), 1)
    met = np.triu(x[kept].T @ x[kept], 1) > 0
    np.testing.assert_allclose(phi, above, atol=1e-12)
    assert not above[~met].any()  # what never fires together is at most 0


def test_batches_and_shards_change_nothing_to_the_last_bit(monkeypatch, tmp_path):
    x = firing(900)
    keys = keys_of(900)
    whole, meta = counted(x, 900)
    monkeypatch.setattr(encoded, "PAIRS", 50)  # stacks of a few rows
    for size in (1, 37, 400):
        content, again = counted(x, size)
        assert again == meta
        for name, values in whole.items():
            assert content[name].dtype == values.dtype
            assert content[name].tobytes() == values.tobytes(), name
    for cuts in ((300,), (100, 120, 700)):
        parts = []
        for start, stop in zip((0, *cuts), (*cuts, 900), strict=True):
            rows = {name: column[start:stop] for name, column in keys.items()}
            parts.append(counted(x[start:stop], 64, rows))
        content, again = moments.gather(parts, ORIGIN)
        assert again == meta
        assert {name: v.tobytes() for name, v in content.items()} == {
            name: v.tobytes() for name, v in whole.items()
        }


def test_a_half_without_documents_and_a_file_without_rows_have_their_width():
    keys = keys_of(40, document=40)
    content, meta = counted(firing(40), keys=keys)
    assert sorted(content["count"]) == [0, 39] and meta["documents"] == 1
    assert content["active"].shape == (2, len(LABELS))
    content, meta = counted(np.zeros((1, 5)), keys=keys_of(1))
    assert (meta["features"], meta["status"]) == (5, "refused")


def test_many_features_at_once_are_refused_in_words(monkeypatch):
    full = moments.full(counted(firing(400))[0])
    monkeypatch.setattr(cofiring, "WIDEST", 10)
    with pytest.raises(DataError, match="66 sparse features at once; 10 are the most"):
        moments.correlations(full)


# Graphs


def test_rolling_and_permuting_keep_the_firing_of_each_feature():
    x = firing(300)
    x[:, 0], x[:, 1], x[:, 2] = 1, np.arange(300) < 200, 0
    block = encoded.rows(*listed(x)[:2], x.shape[1])
    offsets = np.random.default_rng(0).integers(300, size=x.shape[1])
    expected = np.stack([np.roll(x[:, j], offsets[j]) for j in range(x.shape[1])], axis=1)
    np.testing.assert_array_equal(sparse_graphs.rolled(block, offsets).toarray(), expected)
    drawn = [
        sparse_graphs.permuted(block, np.random.default_rng(seed)).toarray() for seed in range(400)
    ]
    for one in drawn:
        assert one.max() == 1
        np.testing.assert_array_equal(one.sum(axis=0), x.sum(axis=0))
    share = np.mean(drawn, axis=0)  # every row as likely as every other
    for j in (1, 5, 9):
        p = x[:, j].mean()
        assert np.abs(share[:, j] - p).max() < 5 * np.sqrt(p * (1 - p) / 400)


def test_nulls_take_the_mean_of_each_block_out():
    x = firing(700)
    live = np.flatnonzero(x.sum(axis=0) > 5)
    content, _ = counted(x)
    rows = list(moments.samples(batches_of(x, 170), "mlp.0", "activation", True))
    cuts = list(graphs.blocks(rows, 128, encoded.join))
    (null,) = sparse_graphs.Fired(content, lambda: cuts).nulls(live, 1, seed=3)
    of_half = {0: [], 1: []}
    for half, number, block in cuts:
        dense = block.toarray()[:, live]
        offsets = np.random.default_rng([3, graphs.ROLLED, 0, half, number])
        moved = offsets.integers(len(dense), size=len(live))
        series = np.stack([np.roll(dense[:, j], moved[j]) for j in range(len(live))], axis=1)
        of_half[half].append(series - series.mean(axis=0))
    both = np.concatenate(of_half[0] + of_half[1])
    for alike, centred in zip(
        null.rolled, (both, *map(np.concatenate, of_half.values())), strict=True
    ):
        r = moments.correlation(centred.T @ centred)
        np.testing.assert_allclose(alike.upper.toarray(), np.triu(np.maximum(r, 0), 1), atol=1e-12)


def test_the_graph_is_the_one_that_dense_indicators_give():
    x = firing(3000)
    sparse, meta = built(x)
    dense, of_dense = built_densely(x)
    assert meta["similarity"] == "phi" and meta["status"] == "ok"
    for name in ("live", "k", "quantile", "samples"):
        assert meta[name] == of_dense[name], name
    np.testing.assert_allclose(sparse["threshold"], dense["threshold"], rtol=1e-9)
    for name in ("data", "half0", "half1"):
        np.testing.assert_array_equal(sparse[name], dense[name])
        np.testing.assert_allclose(sparse[f"{name}.r"], dense[f"{name}.r"], atol=1e-12)
    assert len(sparse["data"]) > 60
    for name in ("permuted.1", "entries.1", "rolled.1"):  # no threshold: nobody is left out
        assert len(np.unique(sparse[name])) == meta["live"] and (sparse[f"{name}.r"] > 0).all()


def test_features_that_fire_seldom_are_left_out_but_not_dead():
    x = firing(1000)
    x[:, :6] = 0
    for j, fires in enumerate((4, 5, 9, 10, 500, 950)):  # 950 samples: the line lies at 9.7
        x[np.flatnonzero(keys_of(1000)["position"])[:fires], j] = 1
    content, meta = built(x)
    states = [graphs.RARE, *[graphs.SELDOM] * 2, graphs.LIVE, graphs.LIVE, graphs.CONSTANT]
    assert content["dead_reason"][:6].tolist() == states
    assert content["dead"][:6].tolist() == [True, False, False, False, False, True]
    assert content["isolated"][1:3].all() and not np.isin([1, 2], content["permuted.0"]).any()
    assert meta["seldom"] == np.sum(content["dead_reason"] == graphs.SELDOM) >= 2
    content, meta = built(x[:, [1, 2, 3]])
    assert meta["reason"].endswith("(2 firing too seldom to be related)")


def test_shuffled_entries_are_the_largest_ones_at_random_pairs():
    generator = np.random.default_rng(0)
    d = 40
    upper = np.triu(generator.random((d, d)) * (generator.random((d, d)) < 0.6), 1)
    alike = sparse_graphs.Phi(sparse_graphs.csr_array(upper))
    met = np.zeros((d, d))
    for seed in range(300):
        drawn = alike.shuffled(np.random.default_rng(seed), k=1).upper
        assert not np.tril(drawn.toarray()).any()
        np.testing.assert_array_equal(np.sort(drawn.data), np.sort(upper[upper > 0])[-4 * d :])
        met += drawn.toarray() > 0
    share = 4 * d / (d * (d - 1) / 2)
    pairs = met[np.triu_indices(d, 1)] / 300
    assert np.abs(pairs - share).max() < 5 * np.sqrt(share * (1 - share) / 300)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.zeros((400, 6)), "0 live of 6 features (6 constant)"),
        (np.ones((400, 1)) * (np.arange(400) % 3 == 0)[:, None], "1 live of 1 features"),
        (np.eye(6)[np.arange(400) % 6], "no pair of features correlates above the threshold phi"),
        (np.empty((0, 6)), "0 token positions recorded"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_reason(x, reason):
    content, meta = built(x)
    assert meta["status"] == "refused" and meta["reason"].startswith(reason)
    assert len(content.get("data", [])) == 0


# What comes after


def described(x, values, found):
    """What ROIs respond to, from indicators in any form."""
    keys = keys_of(len(x))
    batches = values(x, keys)
    join = encoded.join if isinstance(found, Cofiring) else np.concatenate
    corpus = descriptions.Corpus(
        lambda: profiles.whole_documents(batches(), join), True, 7, lambda token: f"<{token}>"
    )
    labels = {"rois": np.where(LABELS == UNGROUPED, UNGROUPED, LABELS)}
    settings = {"firing": 0.05, "examples": 3, "window": 2, "tokens": 4, "min_count": 5}
    return descriptions.describe("mlp.0", labels, found, corpus, settings, seed=1)


def test_cards_of_sparse_features_are_those_of_their_indicators():
    x = firing(1500)
    kept = keys_of(1500)["position"] > 0
    dense = described(
        x, lambda x, keys: lambda: iter([(x, keys)]), moments.of_rows(x[kept].astype(float))
    )
    sparse = described(
        x, lambda x, keys: lambda: batches_of(x, 333, keys), moments.full(counted(x)[0])
    )
    assert len(sparse["profiles"]) == 4 and len(sparse["examples"]) == 4 * 2 * 3
    for name, rows in dense.items():
        assert len(rows) == len(sparse[name])
        for row, other in zip(rows, sparse[name], strict=True):
            assert {key: pytest.approx(value) for key, value in row.items()} == other


def test_wide_sites_are_drawn_from_their_pairs_and_refused_where_they_do_not_fit(monkeypatch):
    x = firing(1200)
    content, _ = counted(x)
    full = moments.full(content)
    fit = {"status": "ok", "reason": None, "levels": [LABELS.tolist()]}
    shown = figure.select(full, fit, "token positions", bins=11)
    basis = controls.Basis(full, None, LABELS == DEAD, 4, 3, 1)
    assert controls.refusal("kmeans", basis) is None
    monkeypatch.setattr(Cofiring, "widest", 10)
    assert figure.select(full, fit, "token positions", bins=11) == shown
    assert "64 live features" in controls.refusal("kmeans", basis)
    pairs = rois.Pairs(full, np.array([[0, 1]]))
    assert rois.mean_inside(pairs, np.arange(11)) is None
    assert rois.mean_inside(pairs, np.arange(3))[1] == 1 / 3
    with_large = profiles.regions("mlp.0", {"rois": LABELS}, full)
    assert [len(region.members) for region in with_large] == [10, 8]
