"""Streaming moments against numpy.cov, and the data that break careless sums."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import SCRIPTS
from connectome import arrays, moments, tables
from connectome.errors import DataError

ORIGIN = {"site": "mlp.0", "kind": "activation", "dictionary": "neurons", "skip_start": True}


def batched(values, documents, positions, size):
    """The stream that a reader gives, in batches of `size` rows."""
    for start in range(0, len(values), size):
        part = slice(start, start + size)
        yield values[part], {"document": documents[part], "position": positions[part]}


def accumulated(values, documents=None, positions=None, size=64, skip_start=True):
    n = len(values)
    documents = np.arange(n) // 5 if documents is None else documents
    positions = np.full(n, 1) if positions is None else positions
    stream = batched(values, documents, positions, size)
    rows = moments.samples(stream, "mlp.0", "activation", skip_start)
    return moments.accumulate(rows, ORIGIN)


@pytest.mark.parametrize("shards", [1, 3, 7])
def test_shards_in_any_order_agree_with_numpy(shards):
    generator = np.random.default_rng(shards)
    x = generator.standard_normal((500, 6)) @ generator.standard_normal((6, 6)) + 100
    pieces = np.array_split(x, shards)
    total = moments.empty()
    for i in generator.permutation(shards):
        total = moments.merge(total, moments.of_rows(pieces[i]))
    assert total.count == 500
    np.testing.assert_allclose(total.mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance(total), np.cov(x.T), rtol=0, atol=1e-10)
    np.testing.assert_allclose(moments.correlation(total.m2), np.corrcoef(x.T), atol=1e-12)


@given(cuts=st.lists(st.integers(0, 40), max_size=6), offset=st.sampled_from([0.0, 1e3, 1e8]))
def test_any_cut_gives_the_moments_of_the_whole(cuts, offset):
    x = np.random.default_rng(0).integers(-3, 4, (40, 3)) + offset
    total = moments.empty()
    for piece in np.split(x, sorted(cuts)):
        total = moments.merge(total, moments.of_rows(piece))
    np.testing.assert_allclose(
        moments.covariance(total), np.cov(x.T), atol=1e-6 * max(1, offset / 1e6)
    )
    np.testing.assert_array_equal(total.active, np.count_nonzero(x, axis=0))


def test_halves_are_even_in_size_and_blind_to_alternation():
    half = moments.half_of(np.arange(1000))
    assert abs(half.mean() - 0.5) < 0.05
    for period in (2, 3, 4, 6):  # variants that take turns
        assert all(abs(half[turn::period].mean() - 0.5) < 0.1 for turn in range(period))


def test_halves_hold_disjoint_documents_and_merge_to_all_rows():
    generator = np.random.default_rng(3)
    x = generator.standard_normal((90, 4))
    documents = np.repeat(np.arange(9), 10)
    content, meta = accumulated(x, documents, size=7)
    half = moments.half_of(documents)
    assert set(half[::10]) == {0, 1}
    for number, part in enumerate(moments.of_halves(content)):
        expected = np.cov(x[half == number].T)
        np.testing.assert_allclose(moments.covariance(part), expected, atol=1e-12)
    np.testing.assert_allclose(moments.covariance(moments.full(content)), np.cov(x.T), atol=1e-12)
    assert (meta["samples"], meta["documents"], content["count"].sum()) == (90, 9, 90)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_mirror_images_at_a_large_offset_correlate_at_minus_one(size):
    swing = np.random.default_rng(1).integers(-8, 9, 300) / 16
    x = np.stack([1e6 + swing, 1e6 - swing], axis=1).astype(np.float32)
    content, _ = accumulated(x, size=size)
    r = moments.correlation(moments.full(content).m2)
    assert abs(r[0, 1] + 1) < 1e-12
    assert moments.full(content).variance == pytest.approx(swing.var(), rel=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1, -3.7e-9])
def test_a_constant_feature_has_exactly_no_variance_and_no_nan(value):
    x = np.random.default_rng(2).standard_normal((50, 2))
    x[:, 1] = value
    content, _ = accumulated(x, size=7)
    total = moments.full(content)
    assert total.variance[1] == 0
    r = moments.correlation(total.m2)
    assert r[1].tolist() == [0, 0] and r[0, 0] == 1


def test_start_tokens_are_out_by_default():
    x = np.random.default_rng(4).standard_normal((60, 3))
    positions = np.arange(60) % 6
    x[positions == 0, :2] = 3000
    content, meta = accumulated(x, positions=positions)
    kept = x[positions > 0]
    assert meta["samples"] == 50
    np.testing.assert_allclose(
        moments.covariance(moments.full(content)), np.cov(kept.T), atol=1e-12
    )
    everything, _ = accumulated(x, positions=positions, skip_start=False)
    r = moments.correlation(moments.full(everything).m2)
    assert r[0, 1] > 0.999  # what the start tokens would have made of two independent features


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(value):
    x = np.zeros((30, 3))
    x[17, 2] = value
    with pytest.raises(DataError, match=rf"mlp\.0: feature 2 is {value} in row 17 \(document 3\)"):
        accumulated(x, size=4)


def test_a_start_token_that_overflowed_stops_nobody():
    x = np.ones((30, 3))
    x[10] = np.inf
    content, meta = accumulated(x, positions=np.where(np.arange(30) == 10, 0, 1))
    assert meta["samples"] == 29 and np.isfinite(content["m2"]).all()


def test_one_sample_has_moments_and_no_nan():
    total = moments.of_rows(np.array([[2.0, -1.0]]))
    assert total.mean.tolist() == [2, -1]
    assert moments.covariance(total).tolist() == [[0, 0], [0, 0]]
    assert moments.correlation(total.m2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples_are_refused_with_the_reason(n):
    _, meta = accumulated(np.ones((n, 2)))
    assert meta["status"] == "refused"
    assert meta["reason"] == f"{n} token positions recorded, at least 2 are needed"


def written_part(path: Path, column: str, values, **keys):
    cells = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    tables.write_table(path, {**keys, column: cells}, {"cfg": "", "code": ""})
    return path


def test_the_script_reads_its_parts_and_ends_with_one_sentence_on_nan(tmp_path):
    x = np.random.default_rng(5).standard_normal((40, 3)).astype(np.float32)
    parts = [
        written_part(
            tmp_path / f"part-{i}.parquet",
            "mlp.1.hidden",
            x[20 * i : 20 * (i + 1)],
            document=np.arange(20 * i, 20 * (i + 1)) // 4,
            position=np.arange(20) % 4 + 1,
        )
        for i in (0, 1)
    ]
    target = tmp_path / "mlp.1.activation.npz"
    call = [sys.executable, SCRIPTS / "compute_covariance.py", "--samples", *parts]
    call += ["--site", "mlp.1", "--kind", "activation", "--dictionary", "neurons"]
    call += ["--output", target, "--cfg", '{"skip_start": true, "batch_rows": 7}']
    subprocess.run(call, check=True)
    content, meta = arrays.read_npz(target)
    np.testing.assert_allclose(moments.covariance(moments.full(content)), np.cov(x.T), atol=1e-10)
    assert (meta["unit"], meta["documents"], meta["status"]) == ("token positions", 10, "ok")
    x[33, 1] = np.nan
    written_part(
        parts[1], "mlp.1.hidden", x[20:], document=np.arange(20), position=np.ones(20, int)
    )
    failed = subprocess.run(call, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: mlp.1: feature 1 is nan in row 13 (document 13)")
