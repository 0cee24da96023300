"""Take away the lock that a killed run left, unless a live run holds this folder.

Snakemake locks its working directory and cannot unlock it after a SIGKILL or a power cut.
"""

import os
import subprocess
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
    locks = folder / ".snakemake" / "locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return
    running = live_runs(folder)
    if running:
        sys.exit(f"another run is working in this folder (process {running[0]}); wait for it")
    subprocess.run([sys.executable, "-m", "snakemake", "--unlock", "--quiet"], check=True)
    print("took away the lock of a run that was killed")


if __name__ == "__main__":
    main()
