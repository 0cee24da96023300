"""The supplement of a paper: one archive of results, the same bytes for the same content.

Nothing in it names the machine: what the configuration, the provenance and Snakemake's records say
of folders is replaced, and a file of the results that names one is refused.
"""

import ast
import base64
import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from connectome import arrays
from connectome.errors import DataError

MANIFEST = "MANIFEST.sha256"
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # the earliest time that an archive can hold
_FOLDER = re.compile(r"(?<![\w./~<>-])/(?!/)(?:[\w.+@~-]+/)*([\w.+@~-]+)/?")


def pack(path: Path, members: Mapping[str, bytes]) -> None:
    """Write an archive of these files with a manifest of their digests, by name.

    `sha256sum --check MANIFEST.sha256` reads the manifest.
    """
    every = {**members, MANIFEST: manifest(members)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(every):
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is packed
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, every[name], compresslevel=9)


def manifest(members: Mapping[str, bytes]) -> bytes:
    """Digest and name of each file, a line each."""
    lines = [f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in sorted(members)]
    return "".join(lines).encode()


def without_folders(value: Any) -> Any:
    """A JSON value whose strings name no folder: `/data/me/model` becomes `<path>/model`."""
    if isinstance(value, dict):
        return {without_folders(name): without_folders(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return _FOLDER.sub(r"<path>/\1", value) if isinstance(value, str) else value


def check(members: Mapping[str, bytes], folders: Iterable[Path]) -> None:
    """Raise DataError for a file that names one of these folders of the machine."""
    known = [str(folder).rstrip("/").encode() for folder in folders]
    for name, content in sorted(members.items()):
        for folder in known:
            # the whole name of the folder: /srv/me is not in /srv/mean
            if folder and re.search(re.escape(folder) + rb"(?![\w.-])", content):
                raise DataError(
                    f"{name} names a folder of this machine, which would be published: "
                    f"{folder.decode()}"
                )


def listed_features(root: Path, name: str) -> dict[str, bytes]:
    """The files of features that one list, of this name below `root`, says there are, by name.

    The workflow watches lists alone: raises DataError for a file that is gone or another since.
    """
    listed, found = arrays.read_json(root / name), {}
    for file, digest in sorted(listed["files"].items()):
        path = (root / name).parent / listed["scan"] / file
        content = path.read_bytes() if path.is_file() else None
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            state = "is gone" if content is None else "is not what was written"
            raise DataError(f"{path} {state}; delete {root / name} to have it made again")
        found[path.relative_to(root).as_posix()] = content
    return found


def records(folder: Path, results: Path, leave_out: Path) -> dict[str, dict[str, Any]]:
    """What Snakemake knows of each file below `results`: rule, times, inputs, `cfg` and `code`.

    folder: `.snakemake/metadata`; leave_out: the file that is made from them. Names are relative to
    `results`; shell commands and environments, which name folders, are left out.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        made = Path(_subject(path.relative_to(folder))).absolute()
        if made == leave_out.absolute() or not made.is_relative_to(results.absolute()):
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        found[_relative(made, results)] = {
            "rule": record["rule"],
            "starttime": record["starttime"],
            "endtime": record["endtime"],
            "input": sorted(_relative(Path(name), results) for name in record["input"] or []),
            "input_checksums": {
                _relative(Path(name), results): digest
                for name, digest in sorted((record.get("input_checksums") or {}).items())
            },
            "params": [_plain(param) for param in sorted(record["params"] or [])],
        }
    return dict(sorted(found.items()))


def _subject(record: Path) -> str:
    """The file that a record is of: its name in base64, cut into folders where it is long."""
    name = "".join(part.removeprefix("@") for part in record.parts)
    return base64.urlsafe_b64decode(name).decode()


def _relative(path: Path, results: Path) -> str:
    path = path.absolute()
    if path.is_relative_to(results.absolute()):
        return path.relative_to(results.absolute()).as_posix()
    return f"<path>/{path.name}"


def _plain(param: str) -> Any:
    """The value of a parameter, which is kept as Python text of its JSON."""
    try:
        return json.loads(ast.literal_eval(param))
    except (SyntaxError, TypeError, ValueError):
        return param
