"""Compare what made each result with today's configuration and code.

Every Parquet, npz and JSON file carries the `cfg` and `code` that made it, so this holds also for
a copy without Snakemake's records. Exits with 1 where a file was made otherwise.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jobs  # sets the path to the library

from connectome import arrays, stamps
from connectome.errors import DataError


def faults(today: list[jobs.Job]) -> tuple[int, int, list[str]]:
    """Stamped files that agree, files without a stamp, and a sentence for each other file."""
    agree = unstamped = 0
    found = []
    for job in today:
        for path in job.outputs:
            if not path.exists():
                found.append(f"{path}: missing")
                continue
            try:
                stamp = stamps.stamp_of(path)
            except DataError as error:
                found.append(str(error))
                continue
            if stamp is None:
                unstamped += 1
            elif changes := stamps.differences(stamp, job.stamp):
                found.append(f"{path}: {'; '.join(changes)}")
            else:
                agree += 1
    return agree, unstamped, found


def upgrades(today: list[jobs.Job]) -> list[str]:
    """Packages whose version is not the one that provenance.json recorded."""
    records = [path for job in today for path in job.outputs if path.name == "provenance.json"]
    if not records or not records[0].exists():
        return []
    found = []
    for name, old in sorted(arrays.read_json(records[0])["packages"].items()):
        try:
            new = version(name)
        except PackageNotFoundError:
            new = "not installed"
        if new != old:
            found.append(f"{name} was {old}, is {new}")
    return found


if __name__ == "__main__":
    args = jobs.parser(__doc__).parse_args()
    today = jobs.today(args.targets, args.configfile)
    agree, unstamped, found = faults(today)
    print(f"{agree} files carry today's configuration and code; {unstamped} carry none (tables for")
    print("reading, figures, weights and the page are checked by the files they are made from)")
    changed = upgrades(today)
    if changed:
        print(f"libraries changed since provenance.json: {'; '.join(changed)}")
    for sentence in found:
        print(f"  {sentence}")
    if found:
        folder = Path.cwd()
        sys.exit(f"{len(found)} files are not what this checkout would make in {folder}")
