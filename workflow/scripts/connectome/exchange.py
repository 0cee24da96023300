"""Edge scores in the JSON format that circuit tools exchange: {"edges": {"a0.h1->m0": score}}."""

import json
import math
import re
from pathlib import Path

import numpy as np

from connectome.errors import DataError
from connectome.parts import PartGraph, edge_name, reader_numbers


def by_name(graph: PartGraph, scores: np.ndarray) -> dict[str, float]:
    """Scores (readers, writers) of the existing edges, {name: score}."""
    return {
        edge_name(graph, reader, writer): float(scores[reader, writer])
        for reader, writer in zip(*map(np.ndarray.tolist, graph.edges), strict=True)
    }


def write_exchange(path: Path, graph: PartGraph, scores: np.ndarray) -> None:
    """Scores (readers, writers) of the existing edges, by name."""
    text = json.dumps({"edges": by_name(graph, scores)}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def read_exchange(path: Path, graph: PartGraph) -> tuple[np.ndarray, int]:
    """Scores (readers, writers) of an exchange file, and how many edges it left out.

    Slots of a head (`a0.h1<q>`) are added up where the graph has one input per head. Raises
    DataError listing the first five edges that do not exist or have no finite score.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    edges = record.get("edges") if isinstance(record, dict) else None
    if not isinstance(edges, dict):
        raise DataError(f"{path}: there are no edges in it")
    total, seen = np.zeros(graph.exists.shape), np.zeros_like(graph.exists)
    reader_of = reader_numbers(graph)
    writer_of = {name: node for node, name in enumerate(graph.names[:-1])}
    wrong = []
    for name, value in edges.items():
        source, _, target = name.partition("->")
        reader = reader_of.get(target, reader_of.get(re.sub(r"<[qkv]>$", "", target)))
        writer = writer_of.get(source)
        score = value.get("score") if isinstance(value, dict) else value
        exists = reader is not None and writer is not None and graph.exists[reader, writer]
        if not exists or not isinstance(score, (int, float)) or not math.isfinite(score):
            wrong.append(name)
            continue
        total[reader, writer] += score
        seen[reader, writer] = True
    if wrong:
        raise DataError(
            f"{path}: unknown edges, or scores that are no numbers: {', '.join(wrong[:5])}"
        )
    return total, int((graph.exists & ~seen).sum())
