"""Take away the lock that a killed run left in this folder, unless something still works here.

Snakemake locks its working directory by files, and leaves them behind after a SIGKILL.
"""

import contextlib
import os
import sys
from pathlib import Path

import psutil


def is_run(words: list[str]) -> bool:
    """Whether a command line is a Snakemake run, or a job that one started (and may have left)."""
    names = [Path(word).name for word in words]
    if not names or not names[0].startswith("python"):
        return False
    return "snakemake" in names[1:6] or ("--cfg" in words and "--code" in words)


def live_runs(folder: Path, owner: int) -> list[int]:
    """Process ids of the runs working in `folder`, this process and its parents left out.

    Where the folder of a run cannot be told, it counts if it belongs to the lock's `owner`.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid in own or not is_run(process.cmdline()):
                continue
            if _works_in(process, folder, owner):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _works_in(process: psutil.Process, folder: Path, owner: int) -> bool:
    try:
        return Path(process.cwd()) == folder
    except psutil.AccessDenied:
        return process.uids().real == owner


def locks(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Lock files of a folder, each with what tells it from a later one, and its owner."""
    found = {}
    for path in sorted((folder / ".snakemake" / "locks").glob("*.lock")):
        with contextlib.suppress(FileNotFoundError):  # its run has just ended
            state = path.stat()
            found[path] = (state.st_ino, state.st_mtime_ns, state.st_uid)
    return found


def main() -> None:
    folder = Path.cwd().resolve()
    left = locks(folder)
    if not left:
        return
    running = live_runs(folder, owner=next(iter(left.values()))[-1])
    if running:
        sys.exit(f"another run is working in this folder (process {running[0]}); wait for it")
    for path, _ in left.items() & locks(folder).items():  # the rest: of a run just started
        path.unlink(missing_ok=True)
    print("took away the lock of a run that was killed")


if __name__ == "__main__":
    main()
