"""Rows that dictionaries are trained on: which, in which order, and their scale."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

import recordings
from connectome import dictionary_data as data
from connectome.errors import DataError
from connectome.moments import mixed

DOCUMENTS = 40
ROWS = DOCUMENTS * recordings.DOCUMENT


def numbered(dtype=np.float32) -> np.ndarray:
    """Rows (ROWS, 2) that say which they are: document and position."""
    place = np.arange(ROWS)
    return np.stack([place // recordings.DOCUMENT, place % recordings.DOCUMENT], 1).astype(dtype)


def expected() -> set[tuple[int, int]]:
    """Documents and positions to train on."""
    kept = [n for n in range(DOCUMENTS) if int(mixed(np.array([n]))[0]) % 5]
    assert 0.6 * DOCUMENTS < len(kept) < DOCUMENTS
    return set(itertools.product(kept, range(1, recordings.DOCUMENT)))


def taken(batches) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for batch in batches for a, b in batch[0]]


@pytest.fixture
def recording(tmp_path):
    return data.survey(
        [recordings.write(tmp_path / "part.parquet", {"mlp.0": numbered()})], ["mlp.0"]
    )


@pytest.mark.parametrize("buffer_rows", [1, 150, 10**6])
def test_an_epoch_is_every_row_once_without_start_tokens_and_held_out_documents(
    recording, buffer_rows
):
    rows = expected()
    assert recording.rows == len(rows)
    stream = data.stream(recording, 1, 1, buffer_bytes=buffer_rows * recording.row_bytes)
    epochs = [taken(itertools.islice(stream, len(rows))) for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(rows)] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("buffer_rows", [1, 150, 10**6])
def test_a_batch_follows_from_seed_and_number(recording, buffer_rows):
    size = 47
    given = {"buffer_bytes": buffer_rows * recording.row_bytes}
    whole = list(itertools.islice(data.stream(recording, 3, size, **given), 60))
    assert len(whole) * size > 3 * recording.rows
    for first in (0, 5, 13, 31, 59):
        (again,) = next(data.stream(recording, 3, size, first, **given))
        assert again.shape == (size, 2)
        np.testing.assert_array_equal(again, whole[first][0])
    other = next(data.stream(recording, 4, size, **given))
    assert not np.array_equal(other[0], whole[0][0])


def test_rows_of_one_document_do_not_come_together(recording):
    (rows,) = next(data.stream(recording, 1, 100))
    assert len(np.unique(rows[:, 0])) > 20


def test_the_order_is_the_same_for_any_number_of_parts(tmp_path, recording):
    half = ROWS // 2
    parts = [
        recordings.write(tmp_path / "0", {"mlp.0": numbered()[:half]}),
        recordings.write(tmp_path / "1", {"mlp.0": numbered()[half:]}, first=DOCUMENTS // 2),
    ]
    split = data.survey(parts, ["mlp.0"])
    assert split.digest == recording.digest
    for one, two in itertools.islice(
        zip(data.stream(recording, 1, 64), data.stream(split, 1, 64), strict=True), 12
    ):
        np.testing.assert_array_equal(one[0], two[0])


def test_the_digest_follows_the_values_that_are_trained_on(tmp_path, recording):
    start, row = numbered(), numbered()
    start[0, 0] = 9  # a start token
    document = min(expected())[0]
    row[document * recordings.DOCUMENT + 3, 1] = 9
    digests = [
        data.survey([recordings.write(tmp_path / "part", {"mlp.0": values})], ["mlp.0"]).digest
        for values in (numbered(), start, row)
    ]
    assert digests[0] == digests[1] == recording.digest != digests[2]


def test_inputs_and_targets_of_a_transcoder_stay_together(tmp_path):
    x = numbered(np.float16)
    y = np.concatenate([x, x, x], axis=1) * np.float16(2)
    path = recordings.write(tmp_path / "part", {"mlp.0": y, "mlp.0.in": x})
    columns = data.columns_of("mlp.0", transcoder=True)
    for inputs, targets in itertools.islice(data.stream(data.survey([path], columns), 1, 64), 20):
        assert inputs.dtype == targets.dtype == np.float32
        np.testing.assert_array_equal(targets, 2 * np.tile(inputs, 3))


def test_scales_are_root_mean_square_lengths(tmp_path):
    x = np.random.default_rng(1).normal(3, 2, (ROWS, 4)).astype(np.float32)
    parts = [recordings.write(tmp_path / "part", {"a": x, "b": x[:, :1]})]
    recording = data.survey(parts, ["a", "b"])
    kept = [document * recordings.DOCUMENT + position for document, position in expected()]
    lengths = (
        (x[kept].astype(np.float64) ** 2).sum(1).mean(),
        (x[kept, 0].astype(float) ** 2).mean(),
    )
    assert data.scales(recording, 5) == pytest.approx(np.sqrt(lengths), rel=1e-12)


def test_scales_are_those_of_the_first_rows_of_the_seeded_order(recording, monkeypatch):
    monkeypatch.setattr(data, "SCALE_ROWS", 10)
    (first,) = next(data.stream(recording, 2, 10))
    assert data.scales(recording, 2)[0] == pytest.approx(np.sqrt((first**2).sum(1).mean()))


def test_what_cannot_be_trained_on_is_refused(tmp_path):
    x = numbered()
    x[25, 1] = np.nan  # document 1
    for name, values, reason in (
        ("nan", x, "mlp.0 holds values that are not finite"),
        ("start", x[:1], "no row to train a dictionary on .* record more documents"),
        ("none", x[:0], "no row to train a dictionary on"),
    ):
        path = recordings.write(tmp_path / name, {"mlp.0": values})
        with pytest.raises(DataError, match=reason):
            data.survey([path], ["mlp.0"])
    with pytest.raises(DataError, match="column 'mlp.1' was not recorded"):
        data.survey([path], ["mlp.1"])
    path = recordings.write(tmp_path / "zero", {"mlp.0": np.zeros_like(x)})
    with pytest.raises(DataError, match="mlp.0 is 0 in every row"):
        data.scales(data.survey([path], ["mlp.0"]), 0)


def test_the_geometric_median_is_the_point_of_least_summed_distance():
    line = np.array([[0.0, 0], [1, 0], [2, 0], [4, 0], [900, 0]])
    assert data.geometric_median(line) == pytest.approx([2, 0], abs=1e-3)
    rows = np.random.default_rng(1).gamma(0.5, size=(200, 5))

    def distance(point):
        return np.linalg.norm(rows - point, axis=1).sum()

    best = minimize(distance, rows.mean(0), method="BFGS").x
    assert data.geometric_median(rows) == pytest.approx(best, abs=1e-3)
    assert data.geometric_median(np.full((7, 2), 3.0)).tolist() == [3, 3]
