"""What a run that failed leaves: which jobs failed, the ends of their logs, what they kept away.

Logs are written for the person at the terminal; a page is handed on. So what names a machine, a
person or a secret goes before a line is shown. Standard library only.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectome.plots.literal import visible

LINES = 20
_WIDTH = 400  # characters of a line
_READ = 200_000  # bytes of a log, from its end


@dataclass(frozen=True)
class Failure:
    """A failed job: its rule, wildcards, the log's path below the folder of the run, its end."""

    rule: str
    wildcards: Mapping[str, str]
    log: str
    tail: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The line that says it: the last one with a word in it."""
        said = [line.strip() for line in self.tail if re.search(r"\w", line)]
        return said[-1] if said else "its log is empty"


@dataclass(frozen=True)
class Unfinished:
    """A failed run: its failures, and for each file it did not make the numbers of those behind."""

    failures: tuple[Failure, ...] = ()
    unmade: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # page input -> failures

    def behind(self, paths: Iterable[str]) -> list[int]:
        """Numbers of the failures that kept any of these files away."""
        return sorted({number for path in paths for number in self.unmade.get(path, ())})


def tail(log: Path, lines: int = LINES) -> tuple[str, ...]:
    """The last lines of a log as a terminal would show them, every character visible; none where
    it cannot be read."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - _READ))
            text = file.read().decode("utf-8", errors="backslashreplace")
    except OSError:
        return ()
    shown = [_overwritten(line) for line in text.rstrip().split("\n")]
    if not text.strip():
        return ()
    return tuple(visible(_clean(line), _WIDTH, ends=False) for line in shown[-lines:])


def _overwritten(line: str) -> str:
    """What is left of a line in which a progress bar went back to the start, without colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line.rstrip("\r").rpartition("\r")[2])


_NAMES = r"(?:token|secret|passw(?:or)?d|credential|api_?key|access_?key|private_?key)"
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_SECRETS = (
    (re.compile(r"\bhf_[A-Za-z0-9]{6,}"), "<secret>"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), r"\1 <secret>"),
    (re.compile(r"(\w+://)[^\s/@:]+:[^\s/@]+@"), r"\1<secret>@"),
    (
        re.compile(rf"(\b\w*{_NAMES}[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]{{6,}}", re.IGNORECASE),
        r"\1<secret>",
    ),
)
_ABSOLUTE = re.compile(r"(?<![\w.~:/<>-])/(?:[^\s/\"'<>:,;()]+/)+(?=[^\s/\"'<>:,;()])")


def _clean(line: str) -> str:
    """The line without secrets, and without the folders that lie above the run's own."""
    for name, value in os.environ.items():
        if len(value) >= 6 and _SECRET_NAME.search(name):
            line = line.replace(value, "<secret>")
    for pattern, instead in _SECRETS:
        line = pattern.sub(instead, line)
    for folder in sorted({os.getcwd(), os.path.expanduser("~")}, key=len, reverse=True):
        if len(folder) > 1:
            line = line.replace(f"{folder}/", "")
    return _ABSOLUTE.sub("\u2026/", line)
