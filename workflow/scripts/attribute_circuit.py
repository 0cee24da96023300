"""Scores of the nodes and edges of every part graph for one task, over its discovery prompts."""

from pathlib import Path

from connectome import arrays, command, part_graphs, scores, shards, stability, tables


def main(args):
    settings, metric = args.cfg["circuits"], args.cfg["metric"]
    parts = [arrays.read_npz(path) for path in args.scores]
    content, (about, *_) = [part[0] for part in parts], [part[1] for part in parts]
    scores.check_alike(dict(zip(args.scores, (part[1] for part in parts), strict=True)))
    graphs = part_graphs.build(
        settings["partitions"],
        tables.read_table(args.partitions),
        seed=args.cfg["seed"],
        chosen=about["top_features"],
        slots=settings["slots"],
        **part_graphs.layout_of(about),
    )
    found = scores.gather(content, about["scored"], graphs)
    meta = {"metric": metric, "steps": settings["steps"], "graph": "additive"}
    nodes = part_graphs.node_table(found, graphs, settings["ablation"])
    edges = part_graphs.edge_table(found, graphs, settings["ablation"])
    tables.write_table(args.nodes, nodes, args.stamp, meta)
    tables.write_table(args.edges, edges, args.stamp, meta)
    groups = content[0]["groups"]
    resampled = stability.table(found, graphs, groups, settings, args.cfg["seed"])
    tables.write_table(args.stability, resampled, args.stamp, meta)
    shards.keep_only(args.scores[0])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--nodes", type=Path, required=True)
    parser.add_argument("--edges", type=Path, required=True)
    parser.add_argument("--stability", type=Path, required=True)
    command.run(main, parser)
