"""Scores of one task's circuit for other tools: edge-score JSON and GraphML."""

import re
from pathlib import Path

import numpy as np

from connectome import (
    arrays,
    command,
    exchange,
    graphml,
    part_graphs,
    partitions,
    parts,
    tables,
)
from connectome.tabulate.circuits import graph_of, rows


def rois_of(names, path, partition):
    """ROI of each node that is one feature, such as m2.n17."""
    labels, found = partitions.labels(partitions.load(path), partition), {}
    for name in names:
        single = re.fullmatch(r"([amr])(\d+)\.[nf](\d+)", name)
        site = f"{dict(a='attn', m='mlp', r='resid')[single[1]]}.{single[2]}" if single else None
        if site in labels and (part := int(labels[site][int(single[3])])) >= 0:
            found[name] = f"{single[1]}{single[2]}.r{part}"
    return found


def main(args):
    method = args.cfg["method"]
    names = {"model": args.model, "dictionary": args.dictionary, "task": args.task}
    nodes, edges = (
        part_graphs.rows_of(tables.read_table(path), args.partition, method).to_pylist()
        for path in (args.nodes, args.edges)
    )
    kept = rows([(names, edges)], tables.read_csv(args.sizes), [args.partition], method)
    scores = {}
    if edges:
        graph = graph_of(edges)
        sources = [row["src"] for row in edges]
        targets = [parts.reader_name(row["dst"], row["slot"]) for row in edges]
        values = np.array([row["score"] for row in edges])
        scores = exchange.by_name(graph, parts.matrix(graph, sources, targets, values))
    record = {"edges": scores}
    if not edges:
        record |= {"status": "refused", "reason": _reason(nodes, args.partition, method)}
    arrays.write_json(args.scores, record, args.stamp)
    drawn = graphml.graph_of(
        nodes,
        edges,
        {(row["src"], row["dst"], row["slot"]) for row in kept},
        rois_of([row["node"] for row in nodes], args.partitions, args.cfg["partition"]),
        names | {"partition": args.partition, "method": method},
    )
    with command.atomic(args.graphml) as temporary:
        graphml.write(temporary, drawn)


def _reason(nodes, partition, method):
    """Why there are no edges."""
    if nodes:
        return f"{partition} is scored by its nodes alone"
    return f"no scores of {partition} by {method}: no prompts, or no circuit was traced"


if __name__ == "__main__":
    parser = command.parser(__doc__)
    for name in ("model", "dictionary", "task", "partition"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("nodes", "edges", "partitions"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--sizes", type=Path, required=True, help="sizes.csv")
    parser.add_argument("--scores", type=Path, required=True, help="the edge scores, JSON")
    parser.add_argument("--graphml", type=Path, required=True)
    command.run(main, parser)
