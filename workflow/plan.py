"""Print what a run would cost before it starts, and refuse what cannot fit.

Per rule: the jobs that would run now, of how many; hours of one core, or of a card where the jobs
ask for one; the largest memory of a job; the disk that its large files take. The last column says
where the hours come from:

  measured    benchmark file of an earlier run of the same job
  scaled      benchmark files of this rule in this results folder, by the sizes of model and data
  calibrated  benchmark of the embedded default on one core, by the sizes of model and data
  guessed     a rule that the default does not run

Estimates count the leading term of each rule: trust them to a factor of two near the sizes of what
was measured, to an order of magnitude far from them. No run on a card is behind them unless the
benchmark files are of one: hours of a card are then those that one core would take, an upper bound.
Memory is the largest that was measured, else what the rule asks for. Nothing is run or written.
"""

import csv
import json
import os
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import jobs  # sets the path to the library, which estimates needs

import estimates  # isort: skip

from connectome import configuration, hub
from connectome.errors import NotFetchedError

Config = Mapping[str, Any]
BASES = ("measured", "scaled", "calibrated", "guessed", "unknown")
COLUMNS = "{:<24} {:>9} {:>8} {:>8} {:>8} {:>9}  {}"


@dataclass(frozen=True)
class Bill:
    """What one job would cost; None where the sizes of its model are not known yet."""

    rule: str
    seconds: float | None
    basis: str  # one of BASES
    card: bool
    memory_mb: float | None
    disk: int | None  # bytes


@dataclass(frozen=True)
class Measured:
    """What a job of an earlier run took, and how much it had to do."""

    seconds: float
    memory_mb: float | None
    work: float | None


def config_of(configfiles: Sequence[Path]) -> dict[str, Any]:
    """The completed configuration, as the Snakefile has it."""
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    for path in configfiles:
        update_config(config, configuration.read_yaml(path) or {})
    return configuration.complete(config, defaults())


def defaults() -> dict[str, Any]:
    """The embedded default."""
    return dict(configuration.read_yaml(jobs.HOME.parent / "config/config.yaml"))


def earlier(config: Config, today: Sequence[jobs.Job]) -> dict[str, Any]:
    """The configuration of the earlier run, as far as the stamps of stale jobs tell it.

    A job whose own part of the configuration changed tells what that part was; the jobs after it
    see the change only through their inputs, so it is taken for theirs too.
    """
    result = dict(config)
    for job in today:
        old = json.loads(job.old_stamp.get("cfg", "{}"))
        if job.rule == "train_model":
            name = job.wildcards["model"]
            train = {key: value for key, value in old.items() if key in config["training"]}
            if train:
                result["models"] = {**result["models"], name: {"train": train}}
            continue
        for key, section in config.items():
            if not isinstance(section, Mapping):
                continue
            if isinstance(old.get(key), Mapping):
                result[key] = {**section, **old[key]}
            elif old and set(old) == set(section):
                result[key] = old
    return result


def measurements(config: Config, today: Sequence[jobs.Job]) -> dict[Path, Measured]:
    """What the benchmark files of these jobs say, by file."""
    before = earlier(config, today)
    found = {}
    for job in today:
        if job.benchmark is None or not job.benchmark.is_file():
            continue
        with open(job.benchmark, encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        peak = None if row["max_rss"] in ("-", "NA") else float(row["max_rss"])
        work = estimates.work(job.rule, job.wildcards, before)
        found[job.benchmark] = Measured(float(row["s"]) * job.threads, peak, work)
    return found


def _works(job: jobs.Job) -> bool:
    """Whether a job does something; outputs that are deleted once used up are not listed."""
    return bool(job.outputs or job.stamp)


def bills(config: Config, today: Sequence[jobs.Job]) -> list[Bill]:
    """What each job that would run now costs."""
    known = measurements(config, today)
    of_rule = defaultdict(list)
    for job in today:
        if job.benchmark in known:
            of_rule[job.rule].append(known[job.benchmark])
    reference = defaults()
    return [
        _bill(job, config, known.get(job.benchmark), of_rule[job.rule], reference)  # type: ignore[arg-type]
        for job in today
        if job.stale and _works(job)
    ]


def _bill(
    job: jobs.Job, config: Config, own: Measured | None, others: list[Measured], reference: Config
) -> Bill:
    work = estimates.work(job.rule, job.wildcards, config)
    seconds, basis = _seconds(job.rule, work, own, others, reference)
    memory = own.memory_mb if own is not None and basis == "measured" else None
    asked = float(job.memory_mb) if job.memory_mb is not None else None
    return Bill(
        rule=job.rule,
        seconds=seconds,
        basis=basis,
        card=job.cards > 0,
        memory_mb=memory if memory is not None else asked,
        disk=estimates.disk(job.rule, job.wildcards, config),
    )


def _seconds(
    rule: str, work: float | None, own: Measured | None, others: list[Measured], reference: Config
) -> tuple[float | None, str]:
    if own is not None and own.work == work:
        return own.seconds, "measured"
    if work is None:
        return None, "unknown"
    told = [m for m in ([own] if own else others) if m.work]
    if told:
        seconds = sum(m.seconds for m in told) / len(told)
        mean = sum(m.work or 0.0 for m in told) / len(told)
        return estimates.scaled(rule, seconds, work / mean), "scaled"
    if rule in estimates.CALIBRATED:
        mean = _reference_work(rule, reference)
        return estimates.scaled(rule, estimates.CALIBRATED[rule], work / mean), "calibrated"
    return estimates.UNMEASURED, "guessed"


def _reference_work(rule: str, reference: Config) -> float:
    """Mean work of the default's jobs of a rule: those of all sites and both kinds."""
    model = next(iter(reference["models"]))
    sites = configuration.sites_of(dict(reference), model)
    every = [
        estimates.work(rule, {"model": model, "site": site, "kind": kind}, reference) or 0.0
        for site, kind in product(sites, ("activation", "attribution"))
    ]
    return sum(every) / len(every)


def table(today: Sequence[jobs.Job], found: Sequence[Bill]) -> str:
    """The text: a line per rule in the order of the run, and the totals."""
    lines = [COLUMNS.format("rule", "jobs", "CPU h", "GPU h", "peak MB", "disk MB", "hours are")]
    every = Counter(job.rule for job in today if _works(job))
    for rule in dict.fromkeys(job.rule for job in today if _works(job)):
        lines.append(_line(rule, [b for b in found if b.rule == rule], every[rule]))
    return "\n".join([*lines, _line("all", found, every.total())])


def _line(name: str, found: Sequence[Bill], every: int) -> str:
    peaks = [bill.memory_mb for bill in found if bill.memory_mb is not None]
    bases = Counter(bill.basis for bill in found)
    sizes = [bill.disk for bill in found]
    return COLUMNS.format(
        name,
        f"{len(found)}/{every}",
        _total([bill.seconds for bill in found if not bill.card], 3600),
        _total([bill.seconds for bill in found if bill.card], 3600),
        f"{max(peaks):.0f}" if peaks else "-",
        _total(sizes, 1e6) if any(size != 0 for size in sizes) else "-",
        ", ".join(f"{base} ({bases[base]})" for base in BASES if bases[base]),
    ).rstrip()


def _total(values: Sequence[float | None], unit: float) -> str:
    """Sum in a unit; with a question mark behind it where some are not known."""
    if not values:
        return "-"
    known = [value for value in values if value is not None]
    total = sum(known) / unit
    text = "" if not known else f"{total:.4f}" if total < 10 else f"{total:.1f}"
    return text + ("?" if len(known) < len(values) else "")


def notes(config: Config) -> list[str]:
    """Sentences on what the plan cannot know, and on revisions that may move."""
    found = []
    for name, source in config["models"].items():
        if "hub" not in source:
            continue
        if estimates.size_of(config, name) is None:
            found.append(
                f"models.{name}: {source['hub']!r} is not in the local cache, so its hours, disk "
                "and most of its memory are unknown (?); `make fetch` brings it"
            )
        if not hub.is_pinned(source.get("revision")):
            found.append(
                f"models.{name}: {source['hub']!r} is not pinned: `revision` is no commit of 40 "
                "hex digits, so another cache may hold another model"
            )
    corpus = config["corpus"]
    remote = "dataset" in corpus and not Path(corpus["dataset"]).is_dir()
    if remote and not hub.is_pinned(corpus.get("revision")):
        found.append(
            f"corpus.dataset: {corpus['dataset']!r} is not pinned: `revision` is no commit"
        )
    return found


def refusals(
    config: Config, today: Sequence[jobs.Job], found: Sequence[Bill], free: int, memory_mb: float
) -> list[str]:
    """Sentences on what cannot fit: `free` bytes at the results, `memory_mb` for one job."""
    sentences = []
    needed = sum(bill.disk or 0 for bill in found if bill.rule == "record_activations")
    if needed > free:
        row = sum(
            estimates.row_bytes(config, name, size)
            for name in {j.wildcards["model"] for j in today if j.rule == "record_activations"}
            if (size := estimates.size_of(config, name)) is not None
        )
        sentences.append(
            f"corpus.tokens: {config['corpus']['tokens']} tokens make activations of "
            f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free at "
            f"{config['pathvars']['results']}; at most {free // row} tokens fit (or list fewer "
            "activations.sites, or take activations.dtype float16)"
        )
    asked: dict[str, int] = {}
    for job in today:
        if job.stale and (job.memory_mb or 0) > memory_mb:
            asked[job.rule] = max(asked.get(job.rule, 0), job.memory_mb or 0)
    for rule, most in asked.items():
        sentences.append(
            f"{rule}: a job asks for {most} MB, and {memory_mb:.0f} MB are there; take a smaller "
            f"model, engine.dtype bfloat16, {_REMEDIES.get(rule, 'or a machine with more')}"
        )
    return sentences


_REMEDIES = {
    "record_activations": "a smaller activations.batch_tokens, or a machine with more",
    "attribute_circuit": "a smaller circuits.batch_pairs, or a machine with more",
}


def unfetched(config: Config) -> None:
    """Exit in one sentence where a hub model without `layers` is not here: its jobs are unknown."""
    models = config.get("models")
    for name, source in models.items() if isinstance(models, Mapping) else ():
        if isinstance(source, Mapping) and "hub" in source:
            try:
                configuration.layers_of(dict(config), name)
            except NotFetchedError as error:
                sys.exit(f"error: models.{name}: {error}")


def free_at(folder: Path) -> int:
    """Free bytes on the disk on which `folder` is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def main() -> None:
    """Print the plan; exit with 1 and a sentence each for what cannot fit."""
    parser = jobs.parser(__doc__)
    parser.add_argument(
        "--memory-mb", type=float, help="memory of a node; default: of this machine"
    )
    args = parser.parse_args()
    config = config_of(args.configfile)
    unfetched(config)
    today = jobs.today(args.targets, args.configfile)
    found = bills(config, today)
    print(table(today, found))
    for sentence in notes(config):
        print(f"note: {sentence}")
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    free = free_at(Path(config["pathvars"]["results"]).absolute())
    refused = refusals(config, today, found, free, args.memory_mb or here)
    if refused:
        sys.exit("cannot fit:\n" + "\n".join(f"  - {sentence}" for sentence in refused))


if __name__ == "__main__":
    main()
