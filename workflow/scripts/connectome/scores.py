"""Scores of nodes and edges per prompt, and how they lie in part files. NumPy alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from connectome.errors import DataError
from connectome.parts import PartGraph

Array = np.ndarray
Key = tuple[str, str]  # partition, method


class Scores(NamedTuple):
    """Scores per prompt; edges (n, readers, writers) or None where they were not asked for."""

    nodes: Array  # (n, writers) float64
    edges: Array | None  # (n, readers, writers) float64


def joined(batches: Sequence[Scores]) -> Scores:
    """Scores of consecutive batches of prompts as one."""
    edges = [scores.edges for scores in batches if scores.edges is not None]
    return Scores(
        np.concatenate([scores.nodes for scores in batches]),
        np.concatenate(edges) if edges else None,
    )


def scatter(found: Mapping[Key, Scores], graphs: Mapping[str, PartGraph]) -> dict[str, Array]:
    """Arrays of a part file: nodes (n, writers) and edges (n, existing edges) of each key."""
    content = {}
    for (partition, method), scores in found.items():
        name = f"{partition}/{method}"
        content[f"{name}/nodes"] = scores.nodes
        if scores.edges is not None:
            reader, writer = graphs[partition].edges
            content[f"{name}/edges"] = scores.edges[:, reader, writer]
    return content


def gather(
    parts: Sequence[Mapping[str, Array]],
    keys: Sequence[Key],
    graphs: Mapping[str, PartGraph],
) -> dict[Key, Scores]:
    """Scores of all prompts in order, from the arrays of the part files in order.

    A part without a key ran none of its prompts.
    """
    found = {}
    for partition, method in keys:
        graph, name = graphs[partition], f"{partition}/{method}"
        nodes = [part[f"{name}/nodes"] for part in parts if f"{name}/nodes" in part]
        listed = [part[f"{name}/edges"] for part in parts if f"{name}/edges" in part]
        edges = None
        if listed:
            edges = np.zeros((sum(map(len, listed)), *graph.exists.shape))
            edges[:, *graph.edges] = np.concatenate(listed)
        found[partition, method] = Scores(np.concatenate(nodes), edges)
    return found


def check_alike(parts: Mapping[Path, Mapping[str, Any]]) -> None:
    """Raise DataError where shards chose other nodes of `top_features` than the first one did.

    parts: metadata of the part files by their paths. All shards choose from the same scores, so
    they differ only where machines of different types share the work and scores tie.
    """
    (first, chosen), *others = ((path, about["top_features"]) for path, about in parts.items())
    for path, mine in others:
        if mine != chosen:
            raise DataError(
                f"{path}: its top features are not those of {first.name}, as if another type of "
                "machine had made it; delete the parts and make them on machines of one type"
            )
