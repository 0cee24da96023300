"""Versions, code revision and measured cost of the run: what results themselves leave out."""

import csv
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path

from connectome import arrays, command

_GRAPH_TOOL_VERSION = (
    "import sys; sys.modules['cairo'] = None; import graph_tool; print(graph_tool.__version__)"
)


def answer(*words: str, cwd: Path | None = None) -> str | None:
    """Standard output of a command, None where it cannot run."""
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def costs(folder: Path) -> dict[str, dict[str, float | None]]:
    """Wall seconds and peak memory (MB) of each finished job, from Snakemake's benchmark files."""
    result = {}
    for path in sorted(folder.rglob("*.tsv")):
        with open(path, encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        memory = row["max_rss"]
        result[str(path.relative_to(folder).with_suffix(""))] = {
            "seconds": float(row["s"]),
            "peak_mb": None if memory in ("-", "NA") else float(memory),
        }
    return result


def main(args):
    home = Path(__file__).resolve().parent
    changes = answer("git", "status", "--porcelain", "--untracked-files=no", cwd=home)
    record = {
        "config": args.cfg,
        "git_revision": answer("git", "rev-parse", "HEAD", cwd=home),
        "git_dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "graph_tool": answer(args.graph_tool_python, "-c", _GRAPH_TOOL_VERSION),
        "packages": {item.name: item.version for item in distributions()},
        "costs": costs(args.benchmarks),
    }
    arrays.write_json(args.output, record, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--benchmarks", type=Path, required=True)
    parser.add_argument("--graph-tool-python", required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
