"""Scores of the nodes and edges of every part graph for each discovery prompt of one shard."""

from pathlib import Path

from connectome import (
    arrays,
    circuits,
    command,
    part_graphs,
    prompts,
    scores,
    site_dictionaries,
    tables,
    transformer,
)


def main(args):
    settings, metric = args.cfg["circuits"], args.cfg["metric"]
    model = transformer.open_model(
        *(args.model, args.cfg["model_dtype"], args.device),
        site_dictionaries.read(args.dictionaries),
    )
    pairs = prompts.of_table(tables.read_table(args.prompts), "discovery")
    graphs = part_graphs.build(
        settings["partitions"],
        tables.read_table(args.partitions),
        seed=args.cfg["seed"],
        slots=settings["slots"],
        **model.layout,
    )
    found = circuits.score(model, pairs, graphs, settings, metric, args.shard, settings["shards"])
    content = scores.scatter(found.scores, found.graphs) | {"groups": pairs.groups}
    about = {
        **model.layout,
        "features": list(model.layout["features"].items()),  # in order, which JSON objects lose
        "scored": list(found.scores),
        "top_features": found.top_features,
    }
    arrays.write_npz(args.output, content, args.stamp, about)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    command.add_dictionaries(parser)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
