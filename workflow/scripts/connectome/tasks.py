"""Tasks: pairs of clean and corrupted prompts with right and wrong answer tokens.

A pair is read from a user's file or made by a generator, encoded in context, and put into exactly
one split. Every faulty row is named in one message.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectome.errors import DataError
from connectome.starter import Fit
from connectome.tokenizer import Tokenizer, answer_ids, encode_prompt, word_fault

SPLITS = ("discovery", "heldout")
_COLUMNS = ("clean", "corrupted", "answers", "wrong")
_SHOWN = 20  # faulty rows listed in full; the rest are counted


@dataclass(frozen=True)
class Pair:
    """One pair as text. `place` names where it came from, for error messages."""

    clean: str
    corrupted: str
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    split: str | None = None
    template: str = ""
    place: str = ""


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a JSONL or CSV file with the columns clean, corrupted, answers, wrong [, split].

    Cells are text and nothing else: NA, None, nan, True are words. `answers` and `wrong` hold
    one answer, or a JSON list of answers. A byte-order mark is allowed.

    Raises DataError naming every row that cannot be read.
    """
    faults: list[str] = []
    pairs = []
    for place, row in _rows(path, faults):
        try:
            pairs.append(_pair(row, place))
        except DataError as error:
            faults.append(f"{place}: {error}")
    _refuse(path, faults)
    if not pairs:
        raise DataError(f"{path}: holds no prompt pairs")
    return pairs


def _rows(path: Path, faults: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise DataError(f"{path}: column {missing[0]!r} is missing; needed: {_COLUMNS}")
        try:
            return [(f"row {number}", row) for number, row in enumerate(reader, 2)]
        except csv.Error as error:
            raise DataError(f"{path}: line {reader.line_num}: {error}") from error
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append((f"row {number}", json.loads(line)))
            except ValueError as error:
                faults.append(f"row {number}: not a JSON object ({error})")
    return rows


def _pair(row: Any, place: str) -> Pair:
    if not isinstance(row, Mapping):
        raise DataError("not an object with the keys clean, corrupted, answers, wrong")
    for name in _COLUMNS:
        if row.get(name) is None:
            raise DataError(f"{name!r} is missing")
    for name in ("clean", "corrupted"):
        if not isinstance(row[name], str):
            raise DataError(f"{name!r} is not text: {row[name]!r}")
    split = row.get("split") or None
    if split is not None and split not in SPLITS:
        raise DataError(f"split {split!r} is neither 'discovery' nor 'heldout'")
    return Pair(
        row["clean"],
        row["corrupted"],
        _answers(row["answers"], "answers"),
        _answers(row["wrong"], "wrong"),
        split,
        str(row.get("template") or ""),
        place,
    )


def _answers(cell: Any, name: str) -> tuple[str, ...]:
    if isinstance(cell, str) and cell.startswith("["):
        try:
            cell = json.loads(cell)
        except ValueError as error:
            raise DataError(f"{name!r} starts with '[' but is no JSON list ({error})") from error
    words = [cell] if isinstance(cell, str) else cell
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{name!r} is neither text nor a list of texts: {cell!r}")
    if not words or not all(words):
        raise DataError(f"{name!r} is empty")
    return tuple(words)


def of_language(found: Sequence[Mapping[str, Any]], source: str) -> list[Pair]:
    """Pairs of a generator (`language.pairs`), numbered for error messages."""
    return [
        Pair(
            pair["clean"],
            pair["corrupted"],
            tuple(pair["answers"]),
            tuple(pair["wrong"]),
            pair["split"],
            pair["template"],
            f"{source}, pair {number}",
        )
        for number, pair in enumerate(found)
    ]


def encode(
    pairs: Sequence[Pair],
    tokenizer: Tokenizer,
    context: int,
    counts: Mapping[str, int],
    heldout_share: float,
    source: str,
) -> dict[str, list[Any]]:
    """Columns of `tasks/{task}.parquet`, one row per pair, at most `counts[split]` of each split.

    Pairs without a split get one by a hash of their clean prompt, so that no clean prompt stands
    in both; the order within a split is by hash too, so a smaller count is a prefix of a larger.

    Raises DataError naming every pair that is faulty: prompts of unequal length or longer than
    `context`, answers that are no single token in context, right answers that are also wrong,
    duplicate rows, a clean prompt in both splits.
    """
    faults: list[str] = []
    seen: dict[tuple[Any, ...], str] = {}
    split_of: dict[str, str] = {}
    rows = []
    for pair in pairs:
        key = (pair.clean, pair.corrupted, pair.answers, pair.wrong)
        if key in seen:
            faults.append(f"{pair.place}: the same pair as {seen[key]}")
            continue
        seen[key] = pair.place
        split = pair.split or _hashed_split(pair.clean, heldout_share)
        if split_of.setdefault(pair.clean, split) != split:
            faults.append(f"{pair.place}: its clean prompt stands in both splits")
            continue
        try:
            rows.append((split, _digest(repr(key)), pair, _encode_pair(pair, tokenizer, context)))
        except DataError as error:
            faults.append(f"{pair.place}: {error}")
    _refuse(source, faults)
    rows.sort(key=lambda row: (row[0], row[1]))
    kept = [
        row for split in SPLITS for row in [row for row in rows if row[0] == split][: counts[split]]
    ]
    for split in SPLITS:
        if not any(row[0] == split for row in kept):
            raise DataError(
                f"{source}: no pair fell into the split {split!r}; give more pairs, or a column "
                "'split' with both values"
            )
    return {
        "pair": list(range(len(kept))),
        "split": [split for split, _, _, _ in kept],
        "clean": [pair.clean for _, _, pair, _ in kept],
        "corrupted": [pair.corrupted for _, _, pair, _ in kept],
        "clean_ids": [ids[0] for _, _, _, ids in kept],
        "corrupted_ids": [ids[1] for _, _, _, ids in kept],
        "answers": [ids[2] for _, _, _, ids in kept],
        "wrong": [ids[3] for _, _, _, ids in kept],
        "answer_text": [json.dumps(pair.answers) for _, _, pair, _ in kept],
        "wrong_text": [json.dumps(pair.wrong) for _, _, pair, _ in kept],
        "template": [pair.template for _, _, pair, _ in kept],
    }


def _encode_pair(
    pair: Pair, tokenizer: Tokenizer, context: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    clean = encode_prompt(tokenizer, pair.clean)
    corrupted = encode_prompt(tokenizer, pair.corrupted)
    if len(clean) != len(corrupted):
        raise DataError(
            f"clean and corrupted prompt have {len(clean)} and {len(corrupted)} tokens; a pair "
            "needs equal lengths, token by token comparable"
        )
    if clean == corrupted:
        raise DataError("clean and corrupted prompt are the same")
    if len(clean) > context:
        raise DataError(f"{len(clean)} tokens, but the model's context is {context}")
    right, wrong = (
        [answer_ids(tokenizer, pair.clean, answer)[0] for answer in answers]
        for answers in (pair.answers, pair.wrong)
    )
    both = sorted(set(right) & set(wrong))
    if both:
        raise DataError(f"token {both[0]} is both a right and a wrong answer")
    for name, ids in (("answers", right), ("wrong", wrong)):
        if len(set(ids)) != len(ids):
            raise DataError(f"{name!r} holds the same token twice")
    return clean, corrupted, right, wrong


def fit(tokenizer: Tokenizer, context: int) -> Fit:
    """What a tokenizer says about the words and pairs of a starter task."""

    def pair_fault(pair: Mapping[str, Any]) -> str | None:
        try:
            prompts = [encode_prompt(tokenizer, pair[name]) for name in ("clean", "corrupted")]
        except DataError:
            return "with something outside the vocabulary"
        if len(prompts[0]) != len(prompts[1]):
            return "with prompts of unequal length"
        if len(prompts[0]) > context:
            return "longer than the context"
        try:
            _encode_pair(of_language([pair], "")[0], tokenizer, context)
        except DataError:
            return "whose answer is no token of its own"
        return None

    return Fit(lambda prompt, word: word_fault(tokenizer, prompt, word), pair_fault)


def _hashed_split(clean: str, heldout_share: float) -> str:
    return "heldout" if int(_digest(clean)[:8], 16) / 16**8 < heldout_share else "discovery"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(source: Path | str, faults: Sequence[str]) -> None:
    if not faults:
        return
    more = f"\n  and {len(faults) - _SHOWN} more rows" if len(faults) > _SHOWN else ""
    lines = "".join(f"\n  {fault}" for fault in faults[:_SHOWN])
    raise DataError(f"{source}: {len(faults)} faulty rows{lines}{more}")
