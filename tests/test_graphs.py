"""Graphs of correlated features against brute force, their nulls and their refusals."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.linalg import hadamard

from conftest import SCRIPTS
from connectome import arrays, graphs, moments
from test_moments import written_part

SETTINGS = {
    "k": 10,
    "small_k": 5,
    "small_site": 100,
    "false_pairs": 0.3,
    "draws": 2,
    "min_active": 5,
    "min_variance": 1e-4,
}


def autoregressive(n, d, memory, seed, document=200):
    """Independent series (n, d) that remember their past within a document."""
    noise = np.random.default_rng(seed).standard_normal((n, d))
    for t in range(1, n):
        if t % document:
            noise[t] = memory * noise[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    return noise


def built(
    x, kind="activation", documents=None, settings=SETTINGS, size=256, batch=100, positions=None
):
    documents = np.arange(len(x)) // 20 if documents is None else documents
    positions = np.ones(len(x), int) if positions is None else positions
    keys = {"document": documents, "pair": documents, "position": positions}
    batches = [
        (x[i : i + batch], {key: value[i : i + batch] for key, value in keys.items()})
        for i in range(0, len(x), batch)
    ]
    rows = list(moments.samples(batches, "mlp.0", kind, True))
    origin = {"site": "mlp.0", "kind": kind, "dictionary": "neurons", "skip_start": True}
    content, meta = moments.accumulate(rows, origin)
    source = graphs.Recorded(content, graphs.blocks(rows, size), kind == "attribution")
    return graphs.build(source, meta, settings, seed=1)


def planted(n=600, groups=3, members=8, noise=6, seed=0):
    generator = np.random.default_rng(seed)
    factors = np.repeat(generator.standard_normal((n, groups)), members, axis=1)
    x = factors + generator.standard_normal((n, groups * members))
    return np.hstack([x, generator.standard_normal((n, noise))])


def brute_force_neighbours(r, k, threshold):
    edges = set()
    for i in range(len(r)):
        others = sorted((j for j in range(len(r)) if j != i), key=lambda j: (-abs(r[i, j]), j))
        edges |= {(min(i, j), max(i, j)) for j in others[:k] if abs(r[i, j]) > threshold}
    return sorted(edges)


@pytest.mark.parametrize("k", [1, 4, 50])
@pytest.mark.parametrize("decimals", [1, 12])  # one decimal: nearly every neighbour is a tie
def test_neighbours_are_those_of_brute_force(k, decimals):
    r = np.round(np.corrcoef(np.random.default_rng(k).standard_normal((30, 24)).T), decimals)
    for threshold in (0.0, 0.2):
        edges = graphs.nearest_neighbours(graphs.Correlations(r), k, threshold)
        assert list(map(tuple, edges.tolist())) == brute_force_neighbours(r, k, threshold)


def test_blocks_depend_on_the_rows_and_not_on_their_batches():
    x = np.arange(53.0)[:, None]
    documents = np.arange(53) // 3
    cuts = {}
    for batch in (1, 10, 53):
        rows = [(x[i : i + batch], documents[i : i + batch]) for i in range(0, 53, batch)]
        found = {(h, b): rows[:, 0].tolist() for h, b, rows in graphs.blocks(rows, 8)}
        cuts[batch] = dict(sorted(found.items()))
    assert cuts[1] == cuts[10] == cuts[53]
    for half in (0, 1):
        of_half = [rows for (h, _), rows in cuts[1].items() if h == half]
        assert sum(of_half, []) == x[moments.half_of(documents) == half, 0].tolist()
        assert all(len(rows) == 8 for rows in of_half[:-1]) and 0 < len(of_half[-1]) <= 8


def test_rolling_is_rolling_each_series():
    block = np.random.default_rng(0).standard_normal((5, 9))
    offsets = np.array([0, 1, 4, 8, 3])
    expected = [np.roll(row, offset) for row, offset in zip(block, offsets, strict=True)]
    np.testing.assert_array_equal(graphs.rolled(block, offsets), expected)


def test_threshold_is_the_quantile_over_rolled_series():
    x = autoregressive(300, 12, 0.8, seed=2)
    live = np.arange(12)
    stream = [(0, 0, x[:200]), (0, 1, x[200:])]
    _, products = graphs.null_products(stream, live, draws=2, seed=5, exchangeable=False)
    pool = []
    for draw in range(2):
        series = []
        for number, rows in enumerate((x[:200], x[200:])):
            offsets = np.random.default_rng([5, 1, draw, 0, number]).integers(len(rows), size=12)
            centred = rows - rows.mean(axis=0)
            series.append(np.stack([np.roll(centred[:, j], offsets[j]) for j in live], axis=1))
        r = np.corrcoef(np.concatenate(series).T)
        pool += np.abs(r[np.triu_indices(12, 1)]).tolist()
    drawn = [graphs.Correlations(moments.correlation(m2)) for m2 in products.sum(axis=1)]
    for quantile in (0.0, 0.9, 0.999, 1.0):
        largest = [alike.largest(graphs.values_above(len(pool), quantile)) for alike in drawn]
        found = graphs.quantile_of(np.concatenate(largest), len(pool), quantile)
        assert found == pytest.approx(np.quantile(pool, quantile), rel=1e-9)


def test_the_quantile_follows_the_number_of_features():
    assert graphs.upper_quantile(101, 0.1) == pytest.approx(0.999)
    assert graphs.upper_quantile(10_001, 0.1) == pytest.approx(0.99999)
    assert graphs.upper_quantile(2, 5.0) == 0


def test_autocorrelated_independent_features_give_the_promised_share_of_false_pairs():
    x = autoregressive(3000, 40, 0.95, seed=4)
    content, _ = built(x, documents=np.arange(3000) // 200, size=1000)
    r = np.abs(np.corrcoef(x.T)[np.triu_indices(40, 1)])
    assert np.mean(r > content["threshold"][0]) * 39 < 1.0  # false partners; promised: 0.3
    assert np.mean(r > 2.576 / np.sqrt(3000)) > 0.4  # what counting tokens as samples would give


def test_permuted_draws_keep_no_correlation_and_rolled_no_shared_rows():
    x = planted(n=2000)
    stream = [(0, 0, x)]
    permuted, rolled = graphs.null_products(stream, np.arange(30), 1, 1, exchangeable=False)
    for m2 in (permuted[0], rolled[0, 0]):
        np.testing.assert_allclose(np.diagonal(m2), len(x) * x.var(axis=0), rtol=1e-9)
        r = np.abs(moments.correlation(m2)[np.triu_indices(30, 1)])
        assert r.max() < 5 / np.sqrt(len(x))
    assert np.abs(np.corrcoef(x.T)[0, 1]) > 0.4


def test_prompts_sorted_by_task_are_mixed_before_they_are_rolled():
    task = np.repeat(np.arange(4), 100)
    x = 3.0 * (task[:, None] == np.arange(24) % 4) + np.random.default_rng(0).normal(size=(400, 24))
    pairs = np.tile(np.arange(100), 4)
    as_prompts, _ = built(x, "attribution", documents=pairs)
    as_series, _ = built(x, "activation", documents=pairs)
    assert as_prompts["threshold"][0] < 0.25 < as_series["threshold"][0]


def test_permuted_entries_are_the_same_entries():
    r = np.corrcoef(np.random.default_rng(0).standard_normal((20, 9)).T)
    shuffled = graphs.permuted_entries(r, np.random.default_rng(1))
    upper = np.triu_indices(9, 1)
    np.testing.assert_array_equal(np.sort(shuffled[upper]), np.sort(r[upper]))
    np.testing.assert_array_equal(shuffled, shuffled.T)
    assert np.diagonal(shuffled).tolist() == [1] * 9 and not np.allclose(shuffled, r)


def test_the_complete_graph_has_each_pair_once_and_no_infinite_weight():
    r = np.array([[1, 0.5, -1], [0.5, 1, 0.0], [-1, 0.0, 1]])
    edges, weights = graphs.complete(r, np.array([2, 5, 7]))
    assert edges.tolist() == [[2, 5], [2, 7], [5, 7]]
    # 2 artanh r = log((1 + r) / (1 - r)), the largest |r| being 1 - 1e-6
    assert weights == pytest.approx([np.log(3), -np.log((2 - 1e-6) / 1e-6), 0])


def test_dead_features_have_their_reasons_whatever_the_scale():
    x = np.random.default_rng(0).standard_normal((200, 9))
    x[:, 3] = 0.1
    x[:, 5] = 0
    x[7, 5] = 40.0
    x[:, 8] *= 1e-3
    expected = [0, 0, 0, graphs.CONSTANT, 0, graphs.RARE, 0, 0, graphs.FAINT]
    for scale in (1.0, 1e-6, 1e5):
        state = graphs.dead_features(moments.of_rows(scale * x), min_active=5, min_variance=1e-4)
        assert state.tolist() == expected


def test_planted_groups_are_joined_and_noise_is_isolated():
    settings = {**SETTINGS, "false_pairs": 0.1}
    content, meta = built(planted(), settings=settings)
    group = np.arange(24) // 8
    edges = content["data"]
    inside = edges[(edges < 24).all(axis=1)]
    assert (group[inside[:, 0]] == group[inside[:, 1]]).mean() > 0.98
    assert content["isolated"][24:].sum() >= 4 and not content["isolated"][:24].any()
    assert meta["k"] == 5 and meta["status"] == "ok"
    r = np.corrcoef(planted().T)
    np.testing.assert_allclose(content["data.r"], r[edges[:, 0], edges[:, 1]], atol=1e-12)
    assert (np.abs(content["data.r"]) > content["threshold"][0]).all()
    for name in ("permuted.1", "entries.1", "rolled.1"):
        assert len(np.unique(content[name])) == 30  # no threshold: every live feature has edges


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.random.default_rng(0).standard_normal((50, 1)), "1 live of 1 features"),
        (np.ones((50, 4)), "0 live of 4 features (4 constant)"),
        (np.empty((0, 4)), "0 token positions recorded"),
        (
            np.repeat(hadamard(8)[:, 1:], 10, axis=0),  # exactly uncorrelated
            "no pair of features correlates above the threshold",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_reason(x, reason):
    content, meta = built(x)
    assert meta["status"] == "refused" and meta["reason"].startswith(reason)
    assert "data" not in content or len(content["data"]) == 0


def test_a_few_rows_or_the_number_format_own_nothing():
    generator = np.random.default_rng(7)
    x = generator.standard_normal((600, 10)).astype(np.float32)
    positions = np.arange(600) % 20
    x[positions == 0, :2] = 3000  # huge at start tokens only
    swing = generator.integers(-8, 9, 600) / 16
    x[:, 2], x[:, 3] = 1e6 + swing, 1e6 - swing  # mirror images far from 0
    x[:, 4], x[:, 5] = 0, 0.1
    x[123, 4] = 1  # fires once
    for batch in (1, 77, 600):
        content, meta = built(x, positions=positions, batch=batch)
        assert meta["dead"] == {"constant": 1, "active too rarely": 1, "variance too small": 0}
        assert np.flatnonzero(content["dead"]).tolist() == [4, 5]
        weights = dict(zip(map(tuple, content["data"].tolist()), content["data.r"], strict=True))
        assert weights[2, 3] == pytest.approx(-1, abs=1e-9) and (0, 1) not in weights
        assert all(np.isfinite(values).all() for values in content.values())


def test_the_scripts_give_the_same_bytes_twice(tmp_path):
    x = planted(n=400).astype(np.float32)
    keys = {"document": np.arange(400) // 20, "position": np.arange(400) % 20}
    part = written_part(tmp_path / "part.parquet", "mlp.0.hidden", x, **keys)
    covariance, graph = tmp_path / "covariance.npz", tmp_path / "graph.npz"
    first = [sys.executable, SCRIPTS / "compute_covariance.py", "--samples", part]
    first += ["--site", "mlp.0", "--kind", "activation", "--dictionary", "neurons"]
    first += ["--output", covariance, "--cfg", '{"skip_start": true, "batch_rows": 100}']
    second = [sys.executable, SCRIPTS / "build_graph.py", "--covariance", covariance]
    second += ["--samples", part, "--output", graph]
    settings = {"seed": 1, "graph": {**SETTINGS, "block_rows": 256}}
    second += ["--cfg", json.dumps(settings)]
    written = []
    for _ in range(2):
        for call in (first, second):
            subprocess.run(call, check=True)
        written.append((covariance.read_bytes(), graph.read_bytes()))
    assert written[0] == written[1]
    found, meta = arrays.read_npz(graph)
    expected, _ = built(x, positions=keys["position"])
    assert meta["samples"] == 380  # without the start tokens
    np.testing.assert_array_equal(found["data"], expected["data"])


def test_the_same_seed_gives_the_same_arrays():
    first, second = built(planted(), batch=100), built(planted(), batch=600)
    for name, values in first[0].items():
        np.testing.assert_allclose(values, second[0][name], atol=1e-12)
