"""Print what each step of the finished jobs cost: wall time x threads, and the peak memory."""

import csv
from collections import defaultdict

import jobs

COLUMNS = "{:<24} {:>5} {:>11} {:>11} {:>9}"


def of_job(job: jobs.Job) -> tuple[float, float | None] | None:
    """Core seconds and peak memory (MB, None where unknown) of a job; None before it ever ended."""
    if job.benchmark is None or not job.benchmark.exists():
        return None
    with open(job.benchmark, encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file, delimiter="\t"))
    memory = row["max_rss"]
    peak = None if memory in ("-", "NA") else float(memory)
    return float(row["s"]) * job.threads, peak


def measured(today: list[jobs.Job]) -> dict[str, list[tuple[float, float | None]]]:
    """What each finished job cost, by rule."""
    found = defaultdict(list)
    for job in today:
        cost = of_job(job)
        if cost is not None:
            found[job.rule].append(cost)
    return dict(found)


def by_dictionary(today: list[jobs.Job]) -> str:
    """A line per dictionary: core seconds of the jobs that name it."""
    found: dict[str, float] = defaultdict(float)
    for job in today:
        cost = of_job(job)
        if cost is not None and "dictionary" in job.wildcards:
            found[job.wildcards["dictionary"]] += cost[0]
    return "\n".join(f"jobs of {name}: {found[name]:.1f} core s" for name in sorted(found))


def table(found: dict[str, list[tuple[float, float | None]]]) -> str:
    """The text: a line per rule, dearest first, and the total."""
    lines = [COLUMNS.format("rule", "jobs", "core s", "longest s", "peak MB")]
    total = 0.0
    for rule, costs in sorted(found.items(), key=lambda item: -sum(s for s, _ in item[1])):
        seconds = [s for s, _ in costs]
        peaks = [peak for _, peak in costs if peak is not None]
        total += sum(seconds)
        peak = f"{max(peaks):.0f}" if peaks else "-"
        sums = (f"{sum(seconds):.1f}", f"{max(seconds):.1f}")
        lines.append(COLUMNS.format(rule, len(costs), *sums, peak))
    count = sum(map(len, found.values()))
    return "\n".join([*lines, COLUMNS.format("all", count, f"{total:.1f}", "", "")])


if __name__ == "__main__":
    args = jobs.parser(__doc__).parse_args()
    today = jobs.today(args.targets, args.configfile)
    found = measured(today)
    print(table(found) if found else "no job has finished yet: there is nothing to count")
    print(by_dictionary(today))
