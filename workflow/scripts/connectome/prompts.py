"""Prompt pairs as batches for the engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from connectome.errors import DataError
from connectome.transformer import Batch


@dataclass(frozen=True)
class Prompts:
    """n pairs; the answer is read at the last position of each prompt."""

    clean: Batch
    corrupted: Batch
    right: Tensor  # (n, k) int64 token ids, padded with -1
    wrong: Tensor  # (n, k') int64
    groups: np.ndarray  # (n,) number of the distinct clean prompt

    def __len__(self) -> int:
        return len(self.groups)

    def rows(self, chosen: slice) -> "Prompts":
        """Some of the pairs."""
        return Prompts(
            self.clean.rows(chosen),
            self.corrupted.rows(chosen),
            self.right[chosen],
            self.wrong[chosen],
            self.groups[chosen],
        )

    def batches(self, size: int) -> list["Prompts"]:
        """All pairs in order, `size` at a time."""
        return [self.rows(slice(first, first + size)) for first in range(0, len(self), size)]


def padded(lists: Sequence[Sequence[int]]) -> Tensor:
    """Id lists as one int64 tensor (n, longest), -1 behind shorter ones."""
    longest = max(map(len, lists))
    return torch.tensor([[*ids, *[-1] * (longest - len(ids))] for ids in lists])


def of_lists(
    clean: Sequence[Sequence[int]],
    corrupted: Sequence[Sequence[int]],
    right: Sequence[Sequence[int]],
    wrong: Sequence[Sequence[int]],
    pad_left: bool = False,
) -> Prompts:
    """Pairs from lists of token ids; a pair has equal lengths, pairs may differ.

    Raises DataError naming the first pair of unequal lengths, or without an answer or wrong token.
    """
    for pair, (a, b, yes, no) in enumerate(zip(clean, corrupted, right, wrong, strict=True)):
        if len(a) != len(b) or not a:
            raise DataError(
                f"pair {pair}: the prompts have {len(a)} and {len(b)} tokens; they must have "
                "equally many, and at least one"
            )
        if not yes or not no:
            raise DataError(f"pair {pair}: there is no {'wrong' if yes else 'right'} answer token")
    keys = [tuple(ids) for ids in clean]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return Prompts(
        Batch.of([list(ids) for ids in clean], pad_left),
        Batch.of([list(ids) for ids in corrupted], pad_left),
        padded(right),
        padded(wrong),
        np.array([number[key] for key in keys]),
    )


def of_table(table: Any, split: str, limit: int | None = None) -> Prompts:
    """Pairs of one split of `tasks/{task}.parquet`, at most `limit`, in the table's order."""
    rows = [row for row in table.to_pylist() if row["split"] == split][:limit]
    columns = ("clean_ids", "corrupted_ids", "answers", "wrong")
    return of_lists(*([row[name] for row in rows] for name in columns))
