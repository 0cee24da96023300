"""Ablate the parts of one task, or keep them alone, and measure every task: one matrix each."""

from pathlib import Path

from connectome import (
    arrays,
    command,
    cross_ablation,
    part_graphs,
    prompts,
    tables,
    transformer,
)


def main(args):
    settings, seed = args.cfg["specificity"], args.cfg["seed"]
    model = transformer.open_model(args.model, args.cfg["model_dtype"], args.device)
    graphs = part_graphs.build(
        settings["partitions"],
        tables.read_table(args.partitions),
        seed=seed,
        **model.layout,
    )
    tasks, scored, left_out = {}, [], {}
    for pairs, judged, nodes in zip(args.prompts, args.competence, args.nodes, strict=True):
        record, table = arrays.read_json(judged), tables.read_table(pairs)
        if record["competent"]:
            heldout, discovery = (prompts.of_table(table, split) for split in cross_ablation.SPLITS)
            metric = args.cfg["metrics"][record["task"]]
            tasks[record["task"]] = cross_ablation.Task(heldout, discovery, metric)
            scored.append(tables.read_table(nodes))
        else:
            left_out[record["task"]] = record["reason"]
    scores = cross_ablation.node_scores(scored, graphs, settings["method"])
    found = cross_ablation.run(model, tasks, graphs, scores, left_out, settings, seed)
    meta = {"ablation": "mean", "split": "heldout", "method": settings["method"]}
    tables.write_table(args.output, found.cells, args.stamp, meta)
    tables.write_table(args.summary, found.summaries, args.stamp, meta)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, nargs="+", required=True)
    parser.add_argument("--competence", type=Path, nargs="+", required=True, metavar="RECORD")
    parser.add_argument("--nodes", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--summary", type=Path, required=True)
    command.run(main, parser)
