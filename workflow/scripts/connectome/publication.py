"""A figure as it is published: its rows, three drawings and a sidecar, each beside the other."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure

import connectome.plots.style as style
from connectome import arrays, tables

DRAWINGS = ("pdf", "svg", "png")


class Plot(Protocol):
    """A module of `connectome.plots`."""

    __name__: str
    COLUMNS: tuple[str, ...]

    def draw(self, rows: list[dict[str, str]]) -> Figure: ...

    def caption(self, rows: list[dict[str, str]]) -> str: ...

    def claim(self, rows: list[dict[str, str]]) -> str: ...


def publish(
    plot: Plot,
    rows: Sequence[Mapping[str, Any]],
    output: Path,
    cfg: Mapping[str, Any],
    stamp: Mapping[str, str],
    sources: Sequence[Path],
) -> None:
    """Write the CSV `output`, the drawings of it, and NAME.json with caption, claim and digests.

    Everything but the CSV is made from the CSV. sources: the files that `rows` come from, named
    relative to the folder that `figures/` lies in, and by their names alone from elsewhere.
    """
    tables.write_csv(output, rows, plot.COLUMNS)
    shown = tables.read_csv(output)
    style.save(plot.draw(shown), output, cfg)
    name = output.name.removesuffix(".csv")
    root = output.absolute().parent.parent
    record = {
        "name": name,
        "rule": f"plot_{plot.__name__.rpartition('.')[2]}",
        "caption": plot.caption(shown),
        "claim": plot.claim(shown),
        "files": {kind: _digest(output.with_suffix(f".{kind}")) for kind in ("csv", *DRAWINGS)},
        "sources": {_named(path.absolute(), root): _digest(path) for path in sources},
        "config_sha256": style.config_digest(cfg),
    }
    arrays.write_json(output.with_suffix(".json"), record, stamp)


def _named(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
