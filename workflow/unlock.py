"""Take away the lock that a killed run left in this folder, unless a live run holds it.

Snakemake locks its working directory by files, and leaves them behind after a SIGKILL.
"""

import os
import sys
from pathlib import Path

import psutil


def live_runs(folder: Path) -> list[int]:
    """Process ids of Snakemake runs working in `folder`, this process and its parents left out."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            running = process.pid not in own and "snakemake" in " ".join(process.cmdline())
            if running and Path(process.cwd()) == folder:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def main() -> None:
    folder = Path.cwd().resolve()
    locks = sorted((folder / ".snakemake" / "locks").glob("*.lock"))
    if not locks:
        return
    running = live_runs(folder)
    if running:
        sys.exit(f"another run is working in this folder (process {running[0]}); wait for it")
    for lock in locks:
        lock.unlink()
    print("took away the lock of a run that was killed")


if __name__ == "__main__":
    main()
