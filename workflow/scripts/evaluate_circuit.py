"""Faithfulness of the circuits of one task over size, on held-out prompts."""

from pathlib import Path

from connectome import (
    ablation,
    command,
    evaluation,
    models,
    part_graphs,
    prompts,
    statistics,
    tables,
    transformer,
)


def main(args):
    settings, kind = args.cfg["evaluation"], args.cfg["circuits"]["ablation"]
    seed, metric = args.cfg["seed"], args.cfg["metric"]
    model = transformer.load(
        models.open_handle(args.model).directory, args.cfg["model_dtype"], args.device
    )
    table = tables.read_table(args.prompts)
    heldout, discovery = (prompts.of_table(table, name) for name in ("heldout", "discovery"))
    meta = {
        "metric": metric,
        "split": "heldout",
        "graph": "additive",
        "dtype": args.cfg["model_dtype"],
    }
    if not len(heldout):  # a refused task
        for path, found in zip((args.output, args.summaries), evaluation.tables([]), strict=True):
            tables.write_table(path, found, args.stamp, meta)
        return
    bench = evaluation.bench(
        model,
        heldout,
        ablation.ablated_values(model, heldout, kind, discovery),
        metric,
        statistics.bootstrap_weights(heldout.groups, settings["bootstrap"], seed),
        settings["memory_mb"] * 1_000_000,
    )
    nodes = tables.read_table(args.nodes)
    graphs = part_graphs.build(
        args.cfg["circuits"]["partitions"],
        tables.read_table(args.partitions),
        {site: model.features(site) for site in model.sites},
        model.size.head_width,
        seed,
        nodes,
        args.cfg["circuits"]["slots"],
        parallel=model.size.parallel,
    )
    curves = evaluation.all_curves(
        bench,
        graphs,
        nodes,
        tables.read_table(args.edges),
        settings,
        seed,
    )
    rows, summaries = evaluation.tables(
        curves, ablation=kind, ranking=settings["ranking"], seed=seed, **evaluation.counts(bench)
    )
    tables.write_table(args.output, rows, args.stamp, meta)
    tables.write_table(args.summaries, summaries, args.stamp, meta)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_device(parser)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--nodes", type=Path, required=True)
    parser.add_argument("--edges", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--summaries", type=Path, required=True)
    command.run(main, parser)
