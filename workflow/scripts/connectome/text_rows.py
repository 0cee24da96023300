"""Rows of files that hold texts: JSONL, Parquet, and data sets read by the `datasets` library.

Every reader yields (place, row) one row after the other; a row that cannot be read is an error in
place of the row, so that its reader's caller can name all of them. Nothing here runs code that
comes with the data: no loading scripts, no pickles.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectome import hub
from connectome.errors import DataError

Row = tuple[str, Mapping[str, Any] | Exception]
_BATCH = 256  # rows in memory


def read_jsonl(path: Path) -> Iterator[Row]:
    """Objects of a file with one JSON object per line; blank lines are left out.

    A byte-order mark and line ends of any system are allowed. Raises DataError where the file
    cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield f"row {number}", _object(line)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _object(line: bytes) -> Mapping[str, Any] | Exception:
    try:
        found = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return DataError(f"not UTF-8 ({error.reason} at byte {error.start})")
    except ValueError as error:
        return DataError(f"not a JSON object ({error})")
    return found if isinstance(found, dict) else DataError(f"not a JSON object: {found!r:.80}")


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Rows of some columns of a Parquet file, a batch in memory at a time; rows count from 1.

    Raises DataError where the file is damaged or has not these columns.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for column in columns:
                if column not in names:
                    raise DataError(f"{path}: has no column {column!r}; it has {', '.join(names)}")
            number = 0
            for batch in file.iter_batches(_BATCH, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error


def read_dataset(
    settings: Mapping[str, Any], columns: Sequence[str], cache: Path | None = None
) -> Iterator[Row]:
    """Rows of one split of a data set: a local folder, or an id that is in the local cache.

    settings: `dataset`, and where they stand `split` (default train), `config`, `revision`. A data
    set's own class names stand in place of their numbers. Without a network nothing is asked of
    one: HF_HUB_OFFLINE is set unless the environment says otherwise.
    Raises DataError where the data set, split or column is not there, and where it is held in a
    format other than Parquet, JSON, CSV, text or Arrow.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the library reads it when it is imported
    import datasets

    datasets.disable_progress_bars()
    name, split = settings["dataset"], settings.get("split", "train")
    try:
        folder = _folder(name, settings.get("revision"), cache)
        version = {"revision": settings.get("revision")} if folder is None else {}
        builder: Any = datasets.load_dataset_builder(
            folder or name, settings.get("config"), **version
        )
        readable = isinstance(builder, _safe_builders())
        if not readable:
            raise DataError(
                f"corpus.dataset: {name!r} is held as {builder.name!r}, which is not read here; "
                "give it as Parquet, JSON, CSV, text or Arrow files"
            )
        if folder is None:
            builder.download_and_prepare()
            found = builder.as_dataset(split=split)
        else:
            found = builder.as_streaming_dataset(split=split)
        features = found.features or {}
        for column in columns:
            if features and column not in features:
                raise DataError(
                    f"corpus.dataset: {name!r} has no column {column!r}; it has "
                    f"{', '.join(features)}"
                )
        for number, row in enumerate(found, 1):
            yield f"row {number}", {key: _named(row.get(key), features.get(key)) for key in columns}
    except DataError:
        raise
    except Exception as error:  # the library raises anything, up to its dependencies' own errors
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        if Path(name).is_dir():
            raise DataError(
                f"corpus.dataset: {name!r}, split {split!r}, cannot be read: {said:.300}"
            ) from error
        raise DataError(
            f"corpus.dataset: {name!r}, split {split!r}, is neither a folder here nor readable in "
            f"the local cache ({said:.300}); bring it there on a machine with a network"
        ) from error


def _safe_builders() -> tuple[type, ...]:
    """Readers of formats that can hold no code (those of archives and pandas files unpickle)."""
    from datasets.packaged_modules.arrow.arrow import Arrow
    from datasets.packaged_modules.cache.cache import Cache
    from datasets.packaged_modules.csv.csv import Csv
    from datasets.packaged_modules.json.json import Json
    from datasets.packaged_modules.parquet.parquet import Parquet
    from datasets.packaged_modules.text.text import Text

    return Arrow, Cache, Csv, Json, Parquet, Text


def _folder(name: str, revision: str | None, cache: Path | None) -> str | None:
    """A local folder of data files: the one named, or the snapshot in the cache of the hub."""
    if Path(name).is_dir():
        return name
    found = hub.cached_dataset(name, revision, cache)
    return None if found is None else str(found)


def _named(value: Any, feature: Any) -> Any:
    """The name of a class that a data set holds by number."""
    names = getattr(feature, "names", None)
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
