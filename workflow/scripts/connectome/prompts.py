"""Prompt pairs as batches for the engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from connectome.errors import DataError


@dataclass(frozen=True)
class Batch:
    """Prompts of several lengths in one block; what is real follows from places, never from ids.

    A prompt occupies positions start to start + length - 1; the rest is padding, left or right.
    """

    ids: Tensor  # (n, t) int64
    starts: Tensor  # (n,) int64
    lengths: Tensor  # (n,) int64

    @classmethod
    def of(cls, prompts: list[list[int]], pad_left: bool = False) -> "Batch":
        """Pad lists of ids to the longest."""
        lengths = torch.tensor([len(ids) for ids in prompts], dtype=torch.int64)
        longest = max(map(len, prompts), default=0)
        starts = longest - lengths if pad_left else torch.zeros_like(lengths)
        block = torch.zeros(len(prompts), longest, dtype=torch.int64)
        for row, (ids, start) in enumerate(zip(prompts, starts.tolist(), strict=True)):
            block[row, start : start + len(ids)] = torch.tensor(ids)
        return cls(block, starts, lengths)

    @property
    def real(self) -> Tensor:
        """Which positions hold the prompt, bool (n, t)."""
        place = torch.arange(self.ids.shape[1], device=self.ids.device)
        end = self.starts + self.lengths
        return (place >= self.starts[:, None]) & (place < end[:, None])

    @property
    def last(self) -> Tensor:
        """Last position of each prompt, where the answer is read, (n,)."""
        return self.starts + self.lengths - 1

    @property
    def positions(self) -> Tensor:
        """Position within the prompt (n, t); padding has position 0."""
        place = torch.arange(self.ids.shape[1], device=self.ids.device)
        return (place - self.starts[:, None]).clamp(min=0) * self.real

    @property
    def hidden_keys(self) -> Tensor:
        """Keys that a query must not see, bool (n, q, k): later ones and padding."""
        place = torch.arange(self.ids.shape[1], device=self.ids.device)
        seen = (place[None, :] <= place[:, None]) & self.real[:, None, :]
        return ~(seen | torch.eye(len(place), dtype=torch.bool, device=self.ids.device))

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(*(x.to(device) for x in (self.ids, self.starts, self.lengths)))

    def rows(self, chosen: slice) -> "Batch":
        """Some of the prompts."""
        return Batch(self.ids[chosen], self.starts[chosen], self.lengths[chosen])


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

    def to(self, device: torch.device) -> "Prompts":
        """The same on a device."""
        return Prompts(
            self.clean.to(device),
            self.corrupted.to(device),
            self.right.to(device),
            self.wrong.to(device),
            self.groups,
        )

    def batches(self, size: int) -> list["Prompts"]:
        """All pairs in order, `size` at a time."""
        return [self.rows(slice(first, first + size)) for first in range(0, len(self), size)]


def padded(lists: Sequence[Sequence[int]]) -> Tensor:
    """Id lists as one int64 tensor (n, longest), -1 behind shorter ones."""
    longest = max(map(len, lists), default=0)
    rows = [[*ids, *[-1] * (longest - len(ids))] for ids in lists]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(lists), longest)


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
        np.array([number[key] for key in keys], dtype=np.int64),
    )


def of_table(table: Any, split: str, limit: int | None = None) -> Prompts:
    """Pairs of one split of `tasks/{task}.parquet`, at most `limit`, in the table's order.

    A refused task has none.
    """
    rows = [row for row in table.to_pylist() if row["split"] == split][:limit]

    def column(name: str) -> list[list[int]]:
        return [row[name] for row in rows]

    return of_lists(
        column("clean_ids"), column("corrupted_ids"), column("answers"), column("wrong")
    )
