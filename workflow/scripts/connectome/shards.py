"""Shards: work cut into runs of whole batches, and the part files that its jobs leave.

A shard takes whole batches, since the last digits of a float32 run depend on what else is in its
batch: each row comes out with the same bytes for any number of shards. Standard library alone.
"""

import re
from pathlib import Path

_PART = re.compile(r"part-\d+-of-(\d+)\.\w+")


def span(count: int, number: int, shards: int) -> slice:
    """Which of `count` batches shard `number` takes: consecutive ones, about equally many.

    With more shards than batches some take none; shard 0 takes one wherever there is one.
    """
    return slice(-(-count * number // shards), -(-count * (number + 1) // shards))


def rows(total: int, batch: int, number: int, shards: int) -> slice:
    """Which of `total` rows, in batches of `batch` rows, shard `number` takes."""
    batches = span(-(-total // batch), number, shards)
    return slice(min(total, batches.start * batch), min(total, batches.stop * batch))


def keep_only(part: Path) -> None:
    """Remove parts of another number of shards from the folder of `part`, once its own are whole.

    Readers of a folder (pandas, pyarrow.dataset) read every file in it. Nothing happens while a
    part of this number is missing (the job that writes the last one does it), nor where `part` is
    no part file at all.
    """
    name = _PART.fullmatch(part.name)
    if name is None:
        return
    kept = {f"part-{i}-of-{name[1]}{part.suffix}" for i in range(int(name[1]))}
    if not all(part.with_name(sibling).exists() for sibling in kept):
        return
    for other in part.parent.iterdir():
        if _PART.fullmatch(other.name) and other.name not in kept:
            other.unlink(missing_ok=True)  # a job beside this one may be at it too
