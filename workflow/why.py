"""Say in words why each job of a run to come is stale: which key, which module, which input."""

from collections import Counter

import jobs  # sets the path to the library

from connectome import stamps


def reasons(job: jobs.Job) -> list[str]:
    """Sentences about a stale job itself; none where it only follows other stale jobs."""
    found = []
    if job.missing:
        made = any(path.exists() for path in job.outputs)
        found.append(f"missing: {_some(job.missing)}" if made else "not made yet")
    if job.incomplete:
        found.append(f"left half made: {_some(job.incomplete)}")
    if job.old_stamp:
        found += stamps.differences(job.old_stamp, job.stamp)
    if job.new_inputs:
        found.append("the list of its input files changed")
    if job.new_environment:
        found.append("the definition of its environment changed")
    if job.changed:
        found.append(f"input changed: {_some(job.changed)}")
    return found


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def explain(today: list[jobs.Job]) -> str:
    """The text: stale jobs by rule and reason, then those that only follow them."""
    every = [job for job in today if job.outputs]
    stale = [job for job in every if job.stale]
    if not stale:
        return "Nothing is stale."
    groups = Counter((job.rule, tuple(reasons(job))) for job in stale)
    lines = [f"{len(stale)} of {len(every)} jobs would run:"]
    for (rule, sentences), count in groups.items():
        if sentences:
            lines.append(f"  {_counted(rule, count)}: {'; '.join(sentences)}")
    followers = [_counted(rule, count) for (rule, why), count in groups.items() if not why]
    if followers:
        lines.append(f"  and what is made from these: {', '.join(followers)}")
    return "\n".join(lines)


def _counted(rule: str, count: int) -> str:
    return f"{rule} ({count} jobs)" if count > 1 else rule


if __name__ == "__main__":
    args = jobs.parser(__doc__).parse_args()
    print(explain(jobs.today(args.targets, args.configfile)))
