"""Parquet and CSV files: the only module that knows how tables lie on disk."""

import contextlib
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectome.command import atomic
from connectome.errors import DataError

_META = b"connectome"


def write_table(
    path: Path,
    columns: Mapping[str, Any] | pa.Table,
    stamp: Mapping[str, str],
    meta: Mapping[str, Any] | None = None,
    schema: pa.Schema | None = None,
) -> None:
    """Write columns of equal length as Parquet; `meta` and the stamp go into its metadata."""
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns), schema=schema)
    table = table.replace_schema_metadata({_META: encode_meta(stamp, meta)})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


@contextlib.contextmanager
def batch_writer(
    path: Path,
    schema: pa.Schema,
    stamp: Mapping[str, str],
    meta: Mapping[str, Any] | None = None,
    compression: str = "none",
) -> Iterator[pq.ParquetWriter]:
    """A writer for record batches of floats: no dictionaries, no statistics, complete or absent.

    Those defaults of Parquet make such a file 6 times slower to write and 1.3 times larger; nor do
    dense floats grow smaller by compression.
    """
    schema = schema.with_metadata({_META: encode_meta(stamp, meta)})
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            use_dictionary=False,
            write_statistics=False,
            compression=compression,
        ) as writer,
    ):
        yield writer


def fixed_lists(values: np.ndarray) -> pa.FixedSizeListArray:
    """Rows of a matrix (n, width) as one column."""
    flat = pa.array(np.ascontiguousarray(values).ravel())
    item = pa.field("item", flat.type, nullable=False)
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(item, values.shape[1]))


def encode_meta(stamp: Mapping[str, str], meta: Mapping[str, Any] | None = None) -> bytes:
    """The value of the metadata key under which `read_meta` finds stamp and settings."""
    record = {**(meta or {}), "made_by": dict(stamp)}
    return json.dumps(record, sort_keys=True, allow_nan=False).encode()


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a Parquet file. Raises DataError where it is missing or damaged."""
    try:
        return pq.read_table(path, columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error


def meta_of(schema: pa.Schema) -> dict[str, Any]:
    """The metadata that `write_table` stored, {} where it stored none."""
    return json.loads((schema.metadata or {}).get(_META, b"{}"))


def read_meta(path: Path) -> dict[str, Any]:
    """The metadata that `write_table` stored. Raises DataError for any other file."""
    try:
        return json.loads((pq.read_schema(path).metadata or {})[_META])
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a Parquet file of this workflow ({error})") from error


@contextlib.contextmanager
def _opened(path: Path, columns: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """An open part file. Raises DataError where it is damaged or lacks one of the columns."""
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error
    with file:
        for column in columns:
            if column not in file.schema_arrow.names:
                raise DataError(
                    f"{path}: column {column!r} was not recorded; it has "
                    f"{', '.join(file.schema_arrow.names)}"
                )
        yield file


def row_groups(paths: Sequence[Path]) -> list[tuple[Path, int]]:
    """Every row group of part files, in the order given: file and number within it."""
    groups: list[tuple[Path, int]] = []
    for path in paths:
        with _opened(path) as file:
            groups += [(path, number) for number in range(file.metadata.num_row_groups)]
    return groups


def read_group(path: Path, number: int, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns (rows,) of one row group, FixedSizeList columns as matrices (rows, width).

    Raises DataError naming the part that lacks a column.
    """
    with _opened(path, columns) as file:
        table = file.read_row_group(number, columns=list(columns))
    return {name: _values(table[name].combine_chunks()) for name in columns}


def _values(column: pa.Array) -> np.ndarray:
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_numpy(zero_copy_only=False)
    return column.flatten().to_numpy().reshape(-1, column.type.list_size)


def read_names(path: Path) -> list[str]:
    """Names of the columns of a Parquet file. Raises DataError where it is missing or damaged."""
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error


def iter_column(
    paths: Sequence[Path], column: str, keys: Sequence[str] = (), batch_rows: int = 8192
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Stream one FixedSizeList column and its key columns over part files, in the order given.

    Yields (values (rows, features), {key: (rows,)}); only the columns asked for are read.
    Raises DataError naming the part that lacks the column.
    """
    for path in paths:
        with _opened(path, [column, *keys]) as file:
            width = file.schema_arrow.field(column).type.list_size
            if file.metadata.num_rows == 0:
                # a consumer learns the width even where there are no rows
                yield np.empty((0, width), np.float32), {key: np.empty(0, int) for key in keys}
            for batch in file.iter_batches(batch_rows, columns=[column, *keys]):
                yield (
                    _values(batch.column(column)),
                    {key: _values(batch.column(key)) for key in keys},
                )


def iter_lists(
    paths: Sequence[Path], column: str, keys: Sequence[str] = (), batch_rows: int = 8192
) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
    """Stream one column of lists of any length and its key columns, as `iter_column` does.

    Yields (lengths (rows,), values of all lists one behind the other, {key: (rows,)}).
    """
    for path in paths:
        with _opened(path, [column, *keys]) as file:
            for batch in file.iter_batches(batch_rows, columns=[column, *keys]):
                lists = batch.column(column)
                lengths = lists.value_lengths().to_numpy()
                yield (
                    lengths,
                    lists.flatten().to_numpy(),
                    {key: _values(batch.column(key)) for key in keys},
                )


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as RFC 4180 CSV: None is an empty field, floats have seven significant digits.

    No interval here is known better, and the page carries every field; Parquet keeps all digits.
    """
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_field(row[column]) for column in columns] for row in rows)


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        return repr(float(f"{value:.7g}"))
    return str(value)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV as written: every field is text, "NA" and "None" are words like others."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV file ({error})") from error
