"""What the run to come will take, by rule: jobs, core hours, memory, disk. Refuses what cannot fit.

Time is that of the same job's last run where there was one, else the median of other jobs of its
rule here, else what the embedded default took (calibration.json, one core), each scaled by the size
of the work: its leading term, so that far from the sizes that were measured only the order of
magnitude is told. The column `from` says which.
"""

import json
import os
import shutil
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cost
import jobs
from workload import UNITS, Work

from connectome import configuration, dictionary_config, hub

CALIBRATION = jobs.HOME / "calibration.json"
START = 3.0  # seconds: what an interpreter with torch takes to begin
COLUMNS = "{:<22} {:>9} {:>10} {:>9} {:>9} {:>9} {:>10}  {}"
HEAD = ("rule", "jobs", "core h", "longest h", "asked MB", "seen MB", "disk MB", "from")
Config = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """What the stale jobs of a rule will take."""

    rule: str
    stale: int
    every: int  # jobs of the rule, finished ones too
    seconds: list[float]  # core seconds of each stale job; NaN where nothing is known
    asked: int  # MB, the most that a job asks for
    seen: float | None  # MB, the largest peak of an earlier run
    disk: float  # bytes
    gpu: bool
    sources: str


def recorded(config: Config, model: str) -> float:
    """Bytes of the activations of a model: every recorded number of every token."""
    work = Work(config)
    wide = sum(work.features(model, site) for site in configuration.sites_of(config, model))
    size = work.sizes(model)
    width = 0 if size is None else size.width
    numbers = wide + len(dictionary_config.recorded_of(config, model)) * width
    bytes_each = {"float32": 4, "float16": 2}[config["activations"]["dtype"]]
    return work.tokens(model) * (numbers * bytes_each + 12)  # three int32 keys


def _disk(job: jobs.Job, config: Config, calibration: Mapping[str, Any]) -> float:
    """Bytes that a job writes."""
    if job.rule == "record_activations":
        return recorded(config, job.wildcards["model"]) / config["activations"]["shards"]
    if job.rule in ("compute_covariance", "compute_moments"):
        width = Work(config).features_in(job.wildcards)
        return 2 * 8 * width**2  # the centred products of both halves
    return float(calibration.get(job.rule, {}).get("bytes", 0))


def earlier(today: list[jobs.Job], config: Config) -> Config:
    """The configuration of the last run, as far as the stamps of stale jobs tell it.

    A job whose own part of the configuration changed tells what that was; jobs after it see the
    change only through their inputs, so it is taken for theirs too.
    """
    result = dict(config)
    for job in today:
        old = json.loads(job.old_stamp.get("cfg", "{}"))
        if job.rule == "train_model":
            train = {key: value for key, value in old.items() if key in config["training"]}
            if train:
                result["models"] = {**result["models"], job.wildcards["model"]: {"train": train}}
            continue
        for key, section in config.items():
            if isinstance(section, Mapping) and isinstance(old.get(key), Mapping):
                result[key] = {**section, **old[key]}
            elif isinstance(section, Mapping) and old and set(old) == set(section):
                result[key] = old
    return result


def _scaled(seconds: float, did: float, units: float) -> float:
    """Seconds for so many units of work, of a job that did others in `seconds`."""
    if not did or did == units:
        return seconds
    start = min(START, seconds / 2)
    return start + (seconds - start) * units / did


def lines(today: list[jobs.Job], config: Config, calibration: Mapping[str, Any]) -> list[Line]:
    """A line per rule with stale jobs, in the order in which they run.

    calibration: {rule: {start, unit, bytes}}, as `calibrate` makes it.
    """
    work, before = Work(config), Work(earlier(today, config))
    of_rule: dict[str, list[jobs.Job]] = defaultdict(list)
    for job in today:
        if job.stamp:  # a rule without a script is a name for its inputs
            of_rule[job.rule].append(job)
    found = []
    for rule, every in of_rule.items():
        stale = [job for job in every if job.stale]
        if not stale:
            continue
        past = {id(job): cost.of_job(job) for job in every}
        ended = [spent for spent in past.values() if spent is not None]
        did = [(spent[0], before.of(job)) for job in every if (spent := past[id(job)]) is not None]
        seconds, sources = [], set()
        for job in stale:
            own, units = past[id(job)], work.of(job)
            if own is not None:
                seconds.append(_scaled(own[0], before.of(job), units))
                sources.add("last run" if before.of(job) == units else "last run, scaled")
            elif did:
                seconds.append(statistics.median(_scaled(*other, units) for other in did))
                sources.add("others here")
            elif rule in calibration and work.of(job):
                seconds.append(
                    calibration[rule]["start"] + calibration[rule]["unit"] * work.of(job)
                )
                sources.add("scaled" if rule in UNITS else "default")
            else:
                seconds.append(float("nan"))
                sources.add("unknown")
        peaks = [peak for _, peak in ended if peak is not None]
        found.append(
            Line(
                rule,
                len(stale),
                len(every),
                seconds,
                max(job.memory_mb for job in stale),
                max(peaks, default=None),
                sum(_disk(job, config, calibration) for job in stale),
                any(job.gpu for job in stale),
                ", ".join(sorted(sources)) + (" (GPU: time of a CPU core)" if stale[0].gpu else ""),
            )
        )
    return found


def table(found: list[Line]) -> str:
    """The text: a line per rule, and the total; what is not known is a dash and not counted."""

    def hours(seconds: list[float], of: Callable[[list[float]], float]) -> str:
        known = [second for second in seconds if second == second]
        return f"{of(known) / 3600:.3f}" if known else "-"

    rows = [COLUMNS.format(*HEAD)]
    for line in found:
        rows.append(
            COLUMNS.format(
                line.rule,
                f"{line.stale} of {line.every}",
                hours(line.seconds, sum),
                hours(line.seconds, max),
                line.asked or "-",
                "-" if line.seen is None else f"{line.seen:.0f}",
                f"{line.disk / 1e6:.1f}",
                line.sources,
            )
        )
    every = [second for line in found for second in line.seconds]
    total = (
        f"{sum(line.stale for line in found)} of {sum(line.every for line in found)}",
        hours(every, sum),
        hours(every, max),
        max((line.asked for line in found), default=0),
        "",
        f"{sum(line.disk for line in found) / 1e6:.1f}",
        "",
    )
    return "\n".join([*rows, COLUMNS.format("all", *total)])


def refusals(found: list[Line], config: Config, free: float, memory_mb: float | None) -> list[str]:
    """Why the run cannot fit, a sentence each, with what would be right.

    free: bytes of the disk of the results; memory_mb: of this machine, None where jobs run on
    others.
    """
    result = []
    disk = sum(line.disk for line in found)
    if disk > free:
        of_rule = {line.rule: line.disk for line in found}
        part = of_rule.get("record_activations", 0.0)
        tokens = (
            int(config["corpus"]["tokens"] * max(0.0, free - (disk - part)) / part) if part else 0
        )
        hint = f"corpus.tokens of at most {tokens} would fit" if tokens else "use a larger disk"
        result.append(
            f"the results need {disk / 1e9:.1f} GB, {part / 1e9:.1f} of them activations, and "
            f"{free / 1e9:.1f} GB are free at {config['pathvars']['results']}: {hint}; fewer "
            "activations.sites, or activations.dtype float16, need less too"
        )
    for line in found:
        if memory_mb is not None and line.asked > memory_mb:
            result.append(
                f"{line.rule} asks for {line.asked} MB, and this machine has {memory_mb:.0f}: use "
                "a larger one or a cluster (plan.py --cluster), engine.dtype bfloat16, or smaller "
                "batches (activations.batch_tokens, circuits.batch_pairs)"
            )
    return result


def calibrate(today: list[jobs.Job], config: Config) -> dict[str, Any]:
    """{rule: {start, unit, bytes}} of a finished run, per job.

    start: seconds that no size changes, START or the quickest job of the rule; unit: seconds beyond
    them per unit of work; bytes: of its outputs.
    """
    work = Work(config)
    found: dict[str, Any] = {}
    for rule in dict.fromkeys(job.rule for job in today):
        of_rule = [job for job in today if job.rule == rule]
        spent = [(cost.of_job(job), work.of(job), job) for job in of_rule]
        ended = [(past[0], units, job) for past, units, job in spent if past is not None]
        if not ended:
            continue
        start = min(START, *(seconds for seconds, _, _ in ended)) if rule in UNITS else 0.0
        unit = sum(seconds - start for seconds, _, _ in ended) / sum(units for _, units, _ in ended)
        size = sum(
            path.stat().st_size for _, _, job in ended for path in job.outputs if path.exists()
        )
        found[rule] = {
            "start": round(start, 2),
            "unit": float(f"{unit:.3g}"),
            "bytes": size // len(ended),
        }
    return found


def notes(config: Config) -> list[str]:
    """What the plan cannot know, and which names of the hub may come to mean another commit."""
    said = []
    for name, source in config["models"].items():
        if "hub" in source and Work(config).sizes(name) is None:
            said.append(
                f"models.{name}: {source['hub']!r} is not in the local cache, so time and disk of "
                "its jobs are not known and not counted; `make fetch` brings it"
            )
        if "hub" in source and not hub.is_pinned(source.get("revision")):
            said.append(f"models.{name}: not pinned, its revision is no commit of 40 hex digits")
    corpus = config["corpus"]
    remote = "dataset" in corpus and not Path(corpus["dataset"]).is_dir()
    if remote and not hub.is_pinned(corpus.get("revision")):
        said.append("corpus.dataset: not pinned, its revision is no commit of 40 hex digits")
    return said


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


if __name__ == "__main__":
    parser = jobs.parser(__doc__)
    parser.add_argument("--cluster", action="store_true", help="jobs run on other machines")
    parser.add_argument("--calibrate", action="store_true", help="write calibration.json anew")
    args = parser.parse_args()
    today, config = jobs.with_config(args.targets, args.configfile)
    if args.calibrate:
        text = json.dumps(calibrate(today, config), indent=1, sort_keys=True)
        CALIBRATION.write_text(text + "\n", encoding="utf-8")
        sys.exit()
    found = lines(today, config, json.loads(CALIBRATION.read_text(encoding="utf-8")))
    if not found:
        print("nothing is stale: nothing would run")
        sys.exit()
    print(table(found))
    for sentence in notes(config):
        print(f"note: {sentence}")
    root = _existing(Path(config["pathvars"]["results"]).absolute())
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    said = refusals(found, config, shutil.disk_usage(root).free, None if args.cluster else machine)
    if said:
        sys.exit("\n".join(f"cannot fit: {sentence}" for sentence in said))
