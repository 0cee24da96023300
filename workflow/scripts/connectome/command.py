"""Arguments, atomic writes and stamps shared by all scripts; standard library only.

Every script is a plain command. The workflow hands it the slice of the configuration that it
uses (`--cfg`) and the digests of its code by module (`--code`), both as canonical JSON; both are
written into the metadata of what it makes.
"""

import argparse
import contextlib
import errno
import glob
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from connectome.errors import ConnectomeError, DiskError

# what a person mends at the disk, not in the code: full, over quota, too large, read-only, not ours
_REFUSALS = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM")


def canonical(value: Any) -> str:
    """JSON text that is equal exactly when the values are equal (keys sorted, no blanks)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Argument parser with the two arguments that every script takes."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--cfg", type=json.loads, default={}, help="configuration slice, as JSON")
    result.add_argument("--code", default="", help="digests of the code, kept in the metadata")
    return result


def add_cache(arguments: argparse.ArgumentParser) -> None:
    """The option of scripts that read what was fetched from the hub; where it lies is no result."""
    arguments.add_argument(
        "--cache",
        type=lambda text: None if text == "default" else Path(text),
        default=None,
        help="folder of the Hugging Face cache, or `default`: where Hugging Face has its own",
    )


def add_model(arguments: argparse.ArgumentParser) -> None:
    """Arguments of the scripts that run a model; on which device is not in `cfg`."""
    arguments.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def add_dictionaries(arguments: argparse.ArgumentParser) -> None:
    """The option of scripts whose model may write what some modules give as features."""
    arguments.add_argument(
        "--dictionaries",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="files of dictionaries, each in a folder named after its site (mlp.0); none: native",
    )


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.ArgumentParser) -> None:
    """Parse, call `main(args)`, and end with one sentence where the library refuses.

    `args.cfg` is the configuration slice; `args.stamp` the record of `cfg` and `code` that the
    writers store.
    """
    args = arguments.parse_args()
    args.stamp = {"cfg": canonical(args.cfg), "code": args.code}
    try:
        with _disk_refusals("a file"):
            main(args)
    except ConnectomeError as error:
        sys.exit(f"error: {error}")


@contextlib.contextmanager
def _disk_refusals(place: Path | str) -> Iterator[None]:
    """Turns a refusal of the disk into one sentence; `place` where the error names no file."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        if errno.errorcode.get(number) not in _REFUSALS:
            raise
        reason = os.strerror(number).lower()
        raise DiskError(f"{place} cannot be written: {reason}") from error


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it on success: complete or absent.

    What a killed process left of the same file is removed: one job at a time makes a file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _disk_refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                left.unlink(missing_ok=True)
            yield temporary
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # a read-only disk refuses that too
            temporary.unlink(missing_ok=True)
