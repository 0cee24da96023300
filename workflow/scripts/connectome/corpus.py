"""The text that activity is recorded on, as documents of token ids."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from connectome.errors import DataError
from connectome.tokenizer import Tokenizer, encode_prompt


def read_documents(path: Path) -> Iterator[str]:
    """Paragraphs of a UTF-8 text file: runs of lines between blank lines.

    Raises DataError where the file is missing, empty or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    lines: list[str] = []
    found = False
    for line in [*text.splitlines(), ""]:
        if line.strip():
            lines.append(line.strip())
        elif lines:
            yield " ".join(lines)
            found = True
            lines = []
    if not found:
        raise DataError(f"{path}: holds no text; a corpus needs at least one document")


def encode(
    texts: Iterable[str], tokenizer: Tokenizer, context: int, documents: int, tokens: int
) -> dict[str, list]:
    """Columns of corpus.parquet: document int, text, tokens (start token first).

    A document longer than `context` is cut there (its text is kept whole). Stops at `documents`
    documents or before the document that would exceed `tokens` tokens; one document is always
    kept. Raises DataError where there is no document at all.
    """
    kept_texts: list[str] = []
    kept_ids: list[list[int]] = []
    total = 0
    for text in texts:
        ids = encode_prompt(tokenizer, text)[:context]
        if len(kept_ids) == documents or (kept_ids and total + len(ids) > tokens):
            break
        kept_texts.append(text)
        kept_ids.append(ids)
        total += len(ids)
    if not kept_ids:
        raise DataError("the corpus is empty: it needs at least one document")
    return {"document": list(range(len(kept_ids))), "text": kept_texts, "tokens": kept_ids}
