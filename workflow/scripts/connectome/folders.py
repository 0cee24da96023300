"""Where a run may lie and write, checked before any job; standard library only."""

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectome.errors import ConfigError

# What Snakemake takes for syntax in a path (wildcards, path variables, lists of one file a line)
# and what ends the quotes in which it hands a conda environment to the shell. Nothing quotes them.
_SYNTAX = "{}<>\n\r"
_SHELL = "'\"$`\\\n\r"
_LEAST_FREE = 1_000_000  # bytes; below, neither results nor a log nor Snakemake's records fit


def check(home: Path, folder: Path, environments: Path | None = None) -> None:
    """Raise ConfigError where no run can start in `folder` from the checkout `home`.

    `environments` is where conda environments lie, None where conda is not used.
    """
    fault = _character_fault(str(home))
    if fault:
        raise ConfigError(f"the checkout lies in {str(home)!r}: {fault}; rename that folder")
    fault = _character_fault(str(environments or ""), _SHELL)
    if fault:
        raise ConfigError(
            f"conda environments would lie in {str(environments)!r}: {fault}; name another folder "
            "by --conda-prefix"
        )
    refusal = _write_refusal(folder)
    if refusal:
        raise ConfigError(
            f"{refusal}, and a run keeps its records in the folder where it works; name another "
            f"(snakemake --snakefile {str(home / 'Snakefile')!r} --directory FOLDER ...)"
        )


def check_submission(home: Path, folder: Path, interpreter: str) -> None:
    """Raise ConfigError where jobs that are submitted to other machines could not start.

    interpreter: the Python that runs Snakemake, whose path executor plugins hand to a shell as it
    is; checkout and working folder stand in Snakemake's own quotes, which are double where the path
    has a single one.
    """
    if shlex.quote(interpreter) != interpreter:
        raise ConfigError(
            f"jobs cannot be submitted: Snakemake runs in {interpreter!r}, whose path reaches the "
            "shell of a job without quotes; call it through a link to the environment that has no "
            'blank or sign in its path, such as: ln -s "$PWD/.venv" ~/venv, then '
            "~/venv/bin/snakemake ..."
        )
    for path in map(str, (home, folder)):
        if "'" in path and any(c in path for c in '$`\\"'):
            raise ConfigError(
                f"jobs cannot be submitted from {path!r}: a single quote together with one of "
                '$ ` \\ " cannot be quoted for the shell of a job; rename that folder'
            )


def check_prefix(config: Mapping[str, Any], root: str) -> None:
    """Raise ConfigError where a module's prefix stands before a root that takes none.

    `root` is what the path variable `<results>` has become in the workflow that imports this one.
    """
    results, prefix = config["pathvars"]["results"], str(root).partition("<results>")[0]
    if prefix and Path(results).is_absolute():
        raise ConfigError(
            f"pathvars.results: {results!r} cannot be used under the prefix {prefix!r} of the "
            "module; give a relative path, or no prefix"
        )


def path_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Faults of the paths that a configuration names; relative ones start where the run does."""
    results = config["pathvars"]["results"]
    paths = {"pathvars.results": results}
    corpus = config["corpus"]
    paths |= {f"corpus.{key}": corpus[key] for key in ("file", "dataset") if key in corpus}
    for section, key in (("models", "path"), ("tasks", "file")):
        entries = config[section].items()
        paths |= {f"{section}.{name}.{key}": e[key] for name, e in entries if key in e}
    cache = config["hub"]["cache"]
    paths |= {} if cache is None else {"hub.cache": cache}
    paths |= {f"partitions.files.{n}": path for n, path in config["partitions"]["files"].items()}
    for key, path in paths.items():
        fault = _character_fault(path)
        if path in ("", ".") or path[0] in "-~":
            fault = "a path is needed that starts with neither - nor ~ (write a home folder out)"
        if fault:
            yield f"{key}: {path!r} cannot be used; {fault}"
    if cache is not None and Path(cache).exists() and not Path(cache).is_dir():
        yield f"hub.cache: {cache!r} is no folder; name one, or null for Hugging Face's own"
    refusal = _write_refusal(Path.cwd() / results)
    if refusal:
        yield f"pathvars.results: {results!r} cannot be used; {refusal}"


def _character_fault(path: str, characters: str = _SYNTAX) -> str | None:
    found = next((c for c in path if c in characters), None)
    return found and f"the character {found!r} is not allowed there (Snakemake takes it for syntax)"


def _write_refusal(folder: Path) -> str | None:
    """Why nothing can be written in a folder that may be yet to be made; None where it can."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir():
        return f"{str(place)!r} is a file, not a folder"
    if not os.access(place, os.W_OK):
        return f"{str(place)!r} cannot be written to"
    full = shutil.disk_usage(place).free < _LEAST_FREE
    return f"no space is left on the disk of {str(place)!r}" if full else None
