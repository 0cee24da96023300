"""The text that activity is recorded on, as documents of token ids.

Documents come from plain text, JSONL, Parquet or a data set, one after the other: memory depends
on the limits of the corpus, not on its file. What is wrong with rows is collected and named in one
message; reading stops at the limits, so rows behind them are never seen.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from connectome.errors import DataError
from connectome.text_rows import read_dataset, read_jsonl, read_parquet
from connectome.tokenizer import Tokenizer, encode_prompt

_SHOWN = 20  # faulty rows named; reading ends there
TEXT = "text"  # column that holds the text where the configuration names none


class Document(NamedTuple):
    """A text, its label (None: it has none), and where it comes from, for messages."""

    text: str
    label: str | None = None
    place: str = ""


def generated(texts: Iterable[tuple[str, str | None]]) -> Iterator[Document]:
    """Documents of texts that were made here, and their labels."""
    return (Document(*text, place=f"document {i}") for i, text in enumerate(texts))


def read_documents(path: Path) -> Iterator[Document]:
    """Paragraphs of a UTF-8 text file: runs of lines between blank lines.

    Raises DataError where the file is missing, empty or not UTF-8.
    """
    lines: list[str] = []
    found = False
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(_lines(file), 1):
                if line.strip():
                    lines.append(line.strip())
                elif lines:
                    yield Document(" ".join(lines), place=f"the paragraph above line {number}")
                    found, lines = True, []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    if not found:
        raise DataError(f"{path}: holds no text; a corpus needs at least one document")


def _lines(file: Iterable[str]) -> Iterator[str]:
    for line in file:
        yield from line.splitlines()
    yield ""


def read(settings: Mapping[str, Any], cache: Path | None = None) -> Iterator[Document]:
    """Documents of the configuration's section `corpus` (`file` or `dataset`), in their order.

    cache: folder of the Hugging Face cache, None for its own default.

    Rows whose text is blank are left out. Raises DataError where the source cannot be read, and
    one that names each row (up to a limit) whose text is no text or whose label is not among
    `classes`.
    """
    source = source_of(settings)
    rows: Iterator[tuple[str, Mapping[str, Any] | Exception]]
    columns = [settings.get("text", TEXT)]
    columns += [settings["label"]] if "label" in settings else []
    if "dataset" in settings:
        rows = read_dataset(settings, columns, cache)
    elif Path(source).suffix.lower() == ".parquet":
        rows = read_parquet(Path(source), columns)
    elif Path(source).suffix.lower() in (".jsonl", ".ndjson"):
        rows = read_jsonl(Path(source))
    else:
        yield from read_documents(Path(source))
        return
    classes = None if "label" not in settings else [str(name) for name in settings["classes"]]
    faults: list[str] = []
    for place, row in rows:
        try:
            document = _document(place, row, columns, classes)
        except DataError as error:
            faults.append(f"{place}: {error}")
            if len(faults) == _SHOWN:
                break
            continue
        if document.text.strip() and not faults:
            yield document
    _refuse(source, faults)


def source_of(settings: Mapping[str, Any]) -> str:
    """What messages call the source of a corpus."""
    return str(settings.get("file") or settings.get("dataset") or "corpus.language")


def _document(
    place: str,
    row: Mapping[str, Any] | Exception,
    columns: Sequence[str],
    classes: Sequence[str] | None,
) -> Document:
    """A row as a document. Raises DataError saying what is wrong with it."""
    if isinstance(row, Exception):
        raise row
    text = row.get(columns[0])
    if not isinstance(text, str):
        if columns[0] not in row:
            raise DataError(f"{columns[0]!r} is missing; the row has {', '.join(row)}")
        raise DataError(f"{columns[0]!r} is not text: {text!r:.80}")
    label = row.get(columns[1]) if classes is not None else None
    if label is None or classes is None:
        return Document(text, place=place)
    if isinstance(label, (bool, float)) or str(label) not in classes:
        raise DataError(f"label {label!r:.80} is none of corpus.classes: {', '.join(classes)}")
    return Document(text, str(label), place)


def encode(
    found: Iterable[Document],
    tokenizer: Tokenizer,
    context: int,
    documents: int,
    tokens: int,
    source: str = "the corpus",
) -> dict[str, list]:
    """Columns of corpus.parquet: document int, text, tokens (start token first), label.

    A document longer than `context` is cut there (its text is kept whole). Stops at `documents`
    documents or before the document that would exceed `tokens` tokens; one document is always
    kept. Raises DataError where there is no document at all, and one that names each document (up
    to a limit) with a word that has no token.
    """
    kept: list[Document] = []
    kept_ids: list[list[int]] = []
    faults: list[str] = []
    total = 0
    for document in found:
        if len(kept) == documents or len(faults) == _SHOWN:
            break
        try:
            ids = encode_prompt(tokenizer, document.text)[:context]
        except DataError as error:
            faults.append(f"{document.place}: {error!s:.200}")
            continue
        if kept and total + len(ids) > tokens:
            break
        kept.append(document)
        kept_ids.append(ids)
        total += len(ids)
    _refuse(source, faults)
    if not kept:
        raise DataError(f"{source}: the corpus is empty: it needs at least one document")
    return {
        "document": list(range(len(kept))),
        "text": [document.text for document in kept],
        "tokens": kept_ids,
        "label": [document.label for document in kept],
    }


def _refuse(source: str, faults: Sequence[str]) -> None:
    if faults:
        many = "the first " if len(faults) == _SHOWN else ""
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise DataError(f"{source}: {many}{len(faults)} faulty rows{lines}")
