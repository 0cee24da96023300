"""Files on disk: complete or absent, equal bytes, nothing read as something else."""

import numpy as np
import pyarrow as pa
import pytest

from connectome import arrays, command, tables
from connectome.errors import DataError

STAMP = {"cfg": "{}", "code": "abc"}


def test_an_output_is_complete_or_absent(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), command.atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_of_a_file_goes_when_it_is_made(tmp_path):
    target = tmp_path / "a[1].txt"
    of_another = tmp_path / ".b.txt.7.tmp"
    for left in (tmp_path / ".a[1].txt.12.tmp", of_another):
        left.write_text("half")
    with command.atomic(target) as temporary:
        temporary.write_text("whole")
    assert set(tmp_path.iterdir()) == {target, of_another} and target.read_text() == "whole"


def test_arrays_and_metadata_come_back_and_bytes_repeat(tmp_path):
    content = {"x": np.arange(6.0).reshape(2, 3), "y": np.array([1, -2], np.int32)}
    for name in "ab":
        arrays.write_npz(tmp_path / name, content, STAMP, {"unit": "prompts"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    back, meta = arrays.read_npz(tmp_path / "a")
    assert meta == {"unit": "prompts", "made_by": STAMP}
    np.testing.assert_array_equal(back["x"], content["x"])
    assert back["y"].dtype == np.int32


def test_nan_never_reaches_a_json_file(tmp_path):
    with pytest.raises(ValueError):
        arrays.write_json(tmp_path / "r.json", {"value": float("nan")}, STAMP)
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("reader", [arrays.read_npz, arrays.read_json, tables.read_table])
def test_a_damaged_file_is_named(tmp_path, reader):
    path = tmp_path / "damaged"
    path.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(DataError, match="damaged"):
        reader(path)


def test_a_column_is_streamed_in_order_over_parts(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(8, 3)
    for part, rows in enumerate((slice(0, 5), slice(5, 8))):
        column = pa.FixedSizeListArray.from_arrays(pa.array(values[rows].ravel()), 3)
        tables.write_table(
            tmp_path / f"{part}", {"mlp.0.hidden": column, "document": range(8)[rows]}, STAMP
        )
    parts = [tmp_path / "0", tmp_path / "1"]
    batches = list(tables.iter_column(parts, "mlp.0.hidden", ("document",), batch_rows=2))
    assert [len(batch) for batch, _ in batches] == [2, 2, 1, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), values)
    np.testing.assert_array_equal(
        np.concatenate([keys["document"] for _, keys in batches]), np.arange(8)
    )
    with pytest.raises(DataError, match=r"mlp\.9\.hidden.*was not recorded"):
        next(tables.iter_column(parts, "mlp.9.hidden"))


def test_csv_keeps_seven_digits_and_every_word(tmp_path):
    rows = [{"a": 1 / 3, "b": 'NA, "None"\n', "c": None, "d": True, "e": np.float32(0.5)}]
    tables.write_csv(tmp_path / "t.csv", rows, list("abcde"))
    [back] = tables.read_csv(tmp_path / "t.csv")
    assert back["a"] == "0.3333333"
    assert (back["b"], back["c"], back["d"], back["e"]) == ('NA, "None"\n', "", "true", "0.5")
