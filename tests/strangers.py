"""What the tests of strangers' machines share: small disks, another user, the set-up's stand-in."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PLAIN = {"models": {"demo": {"train": {}}}, "pairs": {"discovery": 5, "heldout": 5}}
ODD = 'it\'s a tést "x" $HOME; & `id` %s'  # blanks, quotes, an umlaut, what shells expand


@contextlib.contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    """A mount of this test's own, its place the last argument; skips where none is allowed."""
    place = str(arguments[-1])
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NO MOUNTS here, so this was NOT tested: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextlib.contextmanager
def disk(place: Path, size: str) -> Iterator[Path]:
    """A small disk of its own at `place`."""
    place.mkdir(parents=True)
    with mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", place):
        yield place


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """`folder`, read-only meanwhile; also for root, whom permissions do not stop."""
    if os.geteuid():
        modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        try:
            yield folder
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    with mounted("--bind", folder, folder):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield folder


def stand_in_environment(folder: Path, lock: Path) -> None:
    """A `.venv` in `folder` that runs this interpreter and passes for filled from `lock`."""
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / ".venv/requirements.lock").write_bytes(lock.read_bytes())
