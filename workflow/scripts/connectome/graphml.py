"""Circuits as GraphML, for Gephi, Cytoscape and yEd: typed numbers on nodes and edges, directed.

Attributes of nodes: label, site, layer (-1 of the input, one above the last of the logits), kind,
roi, size (features), score, share (of the sum of |score|). Of edges: weight (|score|, what Gephi
draws by), score, abs_score, share, kept (whether the circuit on the page has it), slot.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import networkx

from connectome.plots.literal import visible

Row = Mapping[str, Any]
# characters that no XML 1.0 file may hold, by whatever escape
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_of(text: str) -> str:
    """Text that XML may hold: what it may not is written out, as `\\u{0}`."""
    return _ILLEGAL.sub(lambda found: visible(found[0]), text)


def graph_of(
    nodes: Sequence[Row],
    edges: Sequence[Row],
    kept: Collection[tuple[str, str, str]],
    rois: Mapping[str, str],
    about: Mapping[str, str],
) -> Any:
    """networkx.DiGraph of one partition and method; of parallel edges where parts have slots.

    nodes, edges: rows of the tables of a task's scores. kept: (src, dst, slot) of the edges of the
    circuit. rois: ROI of each node that is one feature; a part of a labelling is one itself.
    about: said of the whole graph.
    """
    slotted = any(row["slot"] for row in edges)
    found = networkx.MultiDiGraph() if slotted else networkx.DiGraph()
    found.graph.update({text_of(key): text_of(value) for key, value in about.items()})
    deepest = max((_layer(row["site"]) for row in nodes), default=-1)
    of_nodes, of_edges = _total(nodes), _total(edges)
    for row in nodes:
        name = row["node"]
        found.add_node(
            text_of(name),
            label=text_of(name),
            site=text_of(row["site"]),
            layer=_layer(row["site"]),
            kind=text_of(row["kind"]),
            roi=text_of(rois.get(name) or (name if _is_roi(name) else "")),
            size=int(row["features"]),
            **_score(row["score"], of_nodes),
        )
    if nodes:
        last = {"label": "logits", "site": "logits", "kind": "logits", "roi": "", "size": 1}
        found.add_node("logits", **last, layer=deepest + 1, score=0.0, share=0.0)
    for row in edges:
        ends = (row["src"], row["dst"], row["slot"])
        numbers = _score(row["score"], of_edges)
        size = abs(numbers["score"])
        found.add_edge(
            *map(text_of, ends[:2]),
            **({"key": ends[2]} if slotted else {}),
            weight=size,
            abs_score=size,
            slot=ends[2],
            kept=ends in kept,
            **numbers,
        )
    return found


def _layer(site: str) -> int:
    """Layer of a site; -1 of the input."""
    last = site.rpartition(".")[2]
    return int(last) if last.isdigit() else -1


def _is_roi(name: str) -> bool:
    return re.fullmatch(r"[amr]\d+\.r\d+", name) is not None


def _total(rows: Iterable[Row]) -> float:
    return math.fsum(abs(row["score"]) for row in rows if _finite(row["score"]))


def _finite(score: Any) -> bool:
    return score is not None and math.isfinite(score)


def _score(score: Any, total: float) -> dict[str, float]:
    """Score and share; 0 where there is none."""
    value = float(score) if _finite(score) else 0.0
    return {"score": value, "share": abs(value) / total if total else 0.0}


def write(path: Path, graph: Any) -> None:
    """Write a graph; the same graph gives the same bytes."""
    networkx.write_graphml_xml(graph, path, encoding="utf-8", prettyprint=True)
