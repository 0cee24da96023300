# Requires: a run that failed on its way to the report. Makes: report.unfinished.html, what there is and what went wrong.
# No target: a rule runs when its inputs are there, and here they are not. So Snakemake never takes this page for the
# report, and build_report removes it.
from connectome.report import unfinished


def unmade(job):
    """Whether this run was to make what a job makes, and did not: what lies there is older."""
    return workflow.dag.needrun(job) and not workflow.dag.finished(job)


def behind(job):
    """The jobs that failed for good among a job and all those it needs, in a fixed order."""
    failed = workflow.scheduler.failed
    failed = {part for job in failed for part in (job.jobs if job.is_group() else [job])}
    found = failed.intersection(workflow.dag.bfs(workflow.dag.dependencies, job))
    return sorted(found, key=lambda job: (job.rule.name, str(job.wildcards_dict)))


def failure_of(job):
    """What the page says of a failed job."""
    log = str(job.log[0]) if job.log else ""
    wildcards = {name: str(value) for name, value in job.wildcards_dict.items()}
    return unfinished.Failure(
        job.rule.name, wildcards, log, unfinished.tail(Path(log)) if log else ()
    )


def left_for(report):
    """What the job of the page was still waiting for, and the failures behind each file."""
    failed = behind(report)
    # `input` is in the order of page.inputs; a prefix or another root changes its paths alone
    below = dict(zip(map(str, report.input), page.inputs(PLAN), strict=True))
    missing = {
        below[str(path)]: tuple(failed.index(one) for one in behind(job))
        for job, files in workflow.dag.dependencies[report].items()
        if unmade(job)
        for path in files
    }
    return unfinished.Unfinished(tuple(map(failure_of, failed)), missing)


def write_unfinished():
    """Write the page of a failed run beside the report that it did not make, and say where."""
    from connectome.report import build

    target = str(rules.build_report.output[0])
    for report in [job for job in workflow.dag.jobs if target in job.output and unmade(job)]:
        try:
            path = build.write_unfinished(
                Path(target), PLAN, HOME / "workflow" / "report", left_for(report)
            )
            print(
                f"What there is stands in {path}, with the ends of the failed logs.",
                file=sys.stderr,
            )
        except Exception as error:  # whatever it is: it must not hide why the run failed
            print(f"There is no page of what there is: {error}", file=sys.stderr)


onerror:
    write_unfinished()
