"""Today's jobs of the workflow, found by a dry run in this process: nothing is run or written."""

import argparse
import ast
import contextlib
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.exceptions import print_exception
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    ExecutionSettings,
    OutputSettings,
    ResourceSettings,
)

HOME = Path(__file__).resolve().parent
sys.path.insert(0, str(HOME / "scripts"))


@dataclass(frozen=True)
class Job:
    """One job as it would run today, and why Snakemake would run it."""

    rule: str
    outputs: tuple[Path, ...]
    stamp: dict[str, str]  # {"cfg", "code"}; empty for a rule without a script
    threads: int
    benchmark: Path | None
    stale: bool
    wildcards: dict[str, str] = field(default_factory=dict)
    memory_mb: int = 0  # that it asks for
    gpu: int = 0
    missing: tuple[str, ...] = ()  # outputs
    incomplete: tuple[str, ...] = ()  # outputs
    changed: tuple[str, ...] = ()  # input files that are newer and differ
    remade: tuple[str, ...] = ()  # input files that another job will make
    new_inputs: bool = False  # the list of its input files changed
    new_environment: bool = False  # the definition of its conda environment changed
    old_stamp: dict[str, str] = field(default_factory=dict)  # of the earlier run, where it differs


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments that every question about the workflow takes."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("targets", nargs="*", help="files or rules; default: everything")
    result.add_argument("--configfile", type=Path, action="append", default=[])
    return result


def today(targets: Sequence[str], configfiles: Sequence[Path]) -> list[Job]:
    """All jobs behind the targets, stale or not, in an order in which they can run.

    Exits with Snakemake's own message where the workflow does not parse.
    """
    return with_config(targets, configfiles)[0]


def with_config(
    targets: Sequence[str], configfiles: Sequence[Path]
) -> tuple[list[Job], dict[str, Any]]:
    """The same, and the completed configuration."""
    profile = yaml.safe_load((HOME.parent / "profiles/default/profile.v9+.yaml").read_text())
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        SnakemakeApi(OutputSettings(dryrun=True)) as api,
    ):
        try:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=list(configfiles)),
                snakefile=HOME.parent / "Snakefile",
            )
            settings = DAGSettings(
                targets=set(targets),
                force_incomplete=profile["rerun-incomplete"],
                max_checksum_file_size=profile["max-checksum-file-size"],
            )
            workflow.dag(settings).execute_workflow(
                executor="dryrun", execution_settings=ExecutionSettings(lock=False)
            )
        except Exception as error:  # Snakemake raises many kinds; each has its own text
            print_exception(error)
            sys.exit(said.getvalue().strip())
        # the one attribute that is not public: the dry run's jobs with their reasons
        dag = workflow._workflow.dag
        found = [
            _job(job, dag.reason(job))
            for level in dag.toposorted()
            for job in sorted(level, key=str)
        ]
        return found, dict(workflow._workflow.globals["config"])


def _job(job, reason) -> Job:
    old = _stamp(reason.params_changed.only_old) if reason.params_changed else {}
    stamp = dict(job.params.items())
    return Job(
        rule=job.rule.name,
        # files that another job has used up are missing by right
        outputs=tuple(Path(str(path)) for path in job.output if path not in job.temp_output),
        stamp=stamp,
        threads=job.threads,
        benchmark=Path(str(job.benchmark)) if job.benchmark else None,
        stale=bool(reason) or reason.finished,  # a dry run marks them as done
        wildcards={name: str(value) for name, value in job.wildcards_dict.items()},
        memory_mb=int(job.resources.get("mem_mb", 0)),
        gpu=int(job.resources.get("gpu", 0)),
        missing=tuple(sorted(map(str, reason.missing_output))),
        incomplete=tuple(sorted(map(str, reason.incomplete_output))),
        changed=tuple(sorted(map(str, reason.updated_input - reason.updated_input_run))),
        remade=tuple(sorted(map(str, reason.updated_input_run))),
        new_inputs=bool(reason.input_changed),
        new_environment=bool(reason.software_stack_changed),
        old_stamp={**stamp, **old} if reason.params_changed else {},
    )


def _stamp(stored: set[str]) -> dict[str, str]:
    """The parameters that only the earlier run had; Snakemake keeps them as unnamed literals."""
    result = {}
    for literal in stored:
        text = ast.literal_eval(literal)
        keys = list(json.loads(text)) if text.startswith("{") else []
        is_code = any(str(key).endswith(".py") for key in keys)
        result["code" if is_code else "cfg"] = text
    return result
