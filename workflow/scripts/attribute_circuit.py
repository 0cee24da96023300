"""Scores of the nodes and edges of every part graph for one task, on its discovery prompts."""

from pathlib import Path

from connectome import (
    circuits,
    command,
    models,
    part_graphs,
    prompts,
    stability,
    tables,
    transformer,
)


def main(args):
    settings, metric = args.cfg["circuits"], args.cfg["metric"]
    model = transformer.load(
        models.open_handle(args.model).directory, args.cfg["model_dtype"], args.device
    )
    pairs = prompts.of_table(tables.read_table(args.prompts), "discovery")
    graphs = part_graphs.build(
        settings["partitions"],
        tables.read_table(args.partitions),
        {site: model.features(site) for site in model.sites},
        model.size.head_width,
        args.cfg["seed"],
        slots=settings["slots"],
        parallel=model.size.parallel,
    )
    graphs, found = circuits.score(model, pairs, graphs, settings, metric)
    meta = {"metric": metric, "steps": settings["steps"], "graph": "additive"}
    nodes = part_graphs.node_table(found, graphs, settings["ablation"])
    edges = part_graphs.edge_table(found, graphs, settings["ablation"])
    tables.write_table(args.nodes, nodes, args.stamp, meta)
    tables.write_table(args.edges, edges, args.stamp, meta)
    resampled = stability.table(found, graphs, pairs.groups, settings, args.cfg["seed"])
    tables.write_table(args.stability, resampled, args.stamp, meta)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_device(parser)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--nodes", type=Path, required=True)
    parser.add_argument("--edges", type=Path, required=True)
    parser.add_argument("--stability", type=Path, required=True)
    command.run(main, parser)
