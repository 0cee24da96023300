"""circuits.csv: the edges of the circuit that the page draws for each task.

edge_scores.csv: the strongest edges of every task whatever circuit they are in, in the order in
which circuits take them: the first k rows are the edges that a circuit of size k selects.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from connectome.parts import (
    MARKS,
    PartGraph,
    matrix,
    reader_name,
    reader_numbers,
    top_edges,
)
from connectome.tabulate.identity import Row, defined, share

COLUMNS = (
    "model",
    "dictionary",
    "task",
    "partition",
    "method",
    "requested",
    "edges",
    "faithfulness",
    "src",
    "dst",
    "slot",
    "src_site",
    "dst_site",
    "score",
    "se",
    "sign_share",
)
SCORE_COLUMNS = (
    "model",
    "dictionary",
    "task",
    "partition",
    "method",
    "rank",
    "edges_all",
    "src",
    "dst",
    "slot",
    "src_site",
    "dst_site",
    "score",
    "cumulative",
    "of_inputs",
    "of_outputs",
)
MOST = 20_000  # edges of one task and partition in edge_scores.csv
_FROM_EDGES = ("src", "dst", "slot", "src_site", "dst_site", "score", "se", "sign_share")


def rows(
    scored: Iterable[tuple[Mapping[str, str], Sequence[Mapping[str, Any]]]],
    sizes: Iterable[Mapping[str, str]],
    partitions: Sequence[str],
    method: str,
) -> list[Row]:
    """Edges of one circuit per task and partition, strongest first.

    scored: ({"model", "dictionary", "task"}, rows of an edges file). sizes: rows of sizes.csv as
    text; the row of the same partition and method, by edge ablation, says which size to rebuild.
    """
    names = ("model", "dictionary", "task", "partition", "method", "intervention")
    wanted = {tuple(row[name] for name in names): row for row in sizes}
    result: list[Row] = []
    for identity, edges in scored:
        for partition in partitions:
            key = (*(identity[name] for name in names[:3]), partition, method, "edge")
            size = wanted.get(key)
            found = [
                row
                for row in edges
                if row["partition"] == partition
                and row["method"] == method
                and size is not None
                and row["ablation"] == size["ablation"]
            ]
            if size is None or not found:
                continue
            kept = select(found, int(size["selected"]), size["ranking"])
            result.extend(
                dict(identity)
                | {
                    "partition": partition,
                    "method": method,
                    "requested": int(size["requested"]),
                    "edges": len(kept),
                    "faithfulness": float(size["faithfulness"]) if size["faithfulness"] else None,
                }
                | {name: defined(row[name]) for name in _FROM_EDGES}
                for row in kept
            )
    return result


def select(
    edges: Sequence[Mapping[str, Any]], selected: int, ranking: str
) -> list[Mapping[str, Any]]:
    """The circuit that `evaluation` ran: the `selected` best edges, pruned; strongest first."""
    graph = graph_of(edges)
    sources = [row["src"] for row in edges]
    targets = [reader_name(row["dst"], row["slot"]) for row in edges]
    scores = matrix(graph, sources, targets, [row["score"] for row in edges])
    mask = top_edges(graph, scores, selected, ranking, fill=False).mask
    writers = {name: node for node, name in enumerate(graph.names)}
    readers = reader_numbers(graph)
    ends = zip(edges, sources, targets, strict=True)
    kept = [row for row, src, dst in ends if mask[readers[dst], writers[src]]]
    return sorted(kept, key=lambda row: (-abs(row["score"]), row["src"], row["dst"], row["slot"]))


def score_rows(
    scored: Iterable[tuple[Mapping[str, str], Sequence[Mapping[str, Any]]]],
    partitions: Sequence[str],
    method: str,
) -> list[Row]:
    """The MOST strongest edges of each task and partition under the first ablation that was run.

    scored: as for `rows`. `cumulative`: share of the sum of |score| over all edges that this one
    and the stronger ones have; `of_inputs`, `of_outputs`: the share that the edge has in those of
    all edges into its target, and out of its source.
    """
    result: list[Row] = []
    for identity, edges in scored:
        for partition in partitions:
            found = [e for e in edges if (e["partition"], e["method"]) == (partition, method)]
            found = [e for e in found if e["ablation"] == found[0]["ablation"]]
            about = dict(identity) | {"partition": partition, "method": method}
            result.extend(about | row for row in _ranked(found))
    return result


def _ranked(edges: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Edges of one graph by |score|, ties by name as in `parts.top_edges`."""
    kept = [edge for edge in edges if defined(edge["score"]) is not None]
    into: dict[str, float] = {}
    out_of: dict[str, float] = {}
    for edge in kept:
        size = abs(edge["score"])
        into[edge["dst"]] = into.get(edge["dst"], 0.0) + size
        out_of[edge["src"]] = out_of.get(edge["src"], 0.0) + size
    total, sum_so_far = sum(into.values()), 0.0
    result: list[Row] = []
    ranked = sorted(kept, key=lambda e: (-abs(e["score"]), _name(e)))
    for rank, edge in enumerate(ranked[:MOST], 1):
        size = abs(edge["score"])
        sum_so_far += size
        ends = ("src", "dst", "slot", "src_site", "dst_site", "score")
        result.append(
            {name: edge[name] for name in ends}
            | {
                "rank": rank,
                "edges_all": len(kept),
                "cumulative": share(sum_so_far, total),
                "of_inputs": share(size, into[edge["dst"]]),
                "of_outputs": share(size, out_of[edge["src"]]),
            }
        )
    return result


def _name(edge: Mapping[str, Any]) -> str:
    return f"{edge['src']}->{reader_name(edge['dst'], edge['slot'])}"


def graph_of(edges: Sequence[Mapping[str, Any]]) -> PartGraph:
    """Part graph of the nodes that an edge table names (their features are not known)."""
    site_of = {"input": "input", "logits": "logits"}
    size_of = {"input": 1}
    for row in edges:
        for end in ("src", "dst"):
            if row[end] not in site_of:
                site_of[row[end]] = row[f"{end}_site"]
                size_of[row[end]] = row[f"n_{end}"]
    sites = sorted(set(site_of.values()) - {"input", "logits"}, key=site_order)
    names = ["input"]
    for site in sites:
        names += sorted((name for name, place in site_of.items() if place == site), key=part_order)
    writers = np.array([size_of[name] for name in names])
    names.append("logits")
    slotted = {row["dst_site"] for row in edges if row["slot"]}
    within = ((row["src_site"], row["dst_site"].replace("mlp", "attn")) for row in edges)
    parallel = not any(source == target for source, target in within)  # the table has all edges
    return PartGraph(
        tuple(sites),
        tuple(names),
        tuple(site_of[name] for name in names),
        {},
        writers,
        tuple(site for site in sites if site in slotted),
        parallel,
    )


def site_order(site: str) -> tuple[int, int]:
    """Order in which sites write: attention before MLP in each layer."""
    kind, layer = site.split(".")
    return int(layer), ("attn", "mlp", "resid").index(kind)


def part_order(name: str) -> tuple[bool, int, str]:
    """Parts of a site by number, then those that are named for a mark (`.rest`, `.dead`)."""
    last = name.rpartition(".")[2]
    digits = "".join(c for c in last if c.isdigit())
    return last in MARKS.values(), int(digits or 0), name
