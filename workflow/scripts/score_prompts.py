"""Scores of the nodes and edges of every part graph for each discovery prompt of one shard."""

from pathlib import Path

from connectome import (
    arrays,
    circuits,
    command,
    models,
    part_graphs,
    prompts,
    scores,
    tables,
    transformer,
)


def main(args):
    settings, metric = args.cfg["circuits"], args.cfg["metric"]
    model = transformer.load(
        models.open_handle(args.model).directory, args.cfg["model_dtype"], args.device
    )
    pairs = prompts.of_table(tables.read_table(args.prompts), "discovery")
    features = {site: model.features(site) for site in model.sites}
    graphs = part_graphs.build(
        settings["partitions"],
        tables.read_table(args.partitions),
        features,
        model.size.head_width,
        args.cfg["seed"],
        slots=settings["slots"],
        parallel=model.size.parallel,
    )
    found = circuits.score(model, pairs, graphs, settings, metric, args.shard, settings["shards"])
    content = scores.scatter(found.scores, found.graphs) | {"groups": pairs.groups}
    about = {
        "scored": list(found.scores),
        "features": list(features.items()),
        "head_width": model.size.head_width,
        "parallel": model.size.parallel,
        "top_features": found.top_features,
    }
    arrays.write_npz(args.output, content, args.stamp, about)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_device(parser)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
