"""Circuits of one task, of every size, run on the held-out prompts of one shard."""

from pathlib import Path

from connectome import (
    arrays,
    circuit_runs,
    command,
    part_graphs,
    prompts,
    shards,
    site_dictionaries,
    tables,
    transformer,
)


def main(args):
    settings, circuits, seed = args.cfg["evaluation"], args.cfg["circuits"], args.cfg["seed"]
    model = transformer.open_model(
        *(args.model, args.cfg["model_dtype"], args.device),
        site_dictionaries.read(args.dictionaries),
    )
    table, nodes = tables.read_table(args.prompts), tables.read_table(args.nodes)
    heldout, discovery = (prompts.of_table(table, name) for name in ("heldout", "discovery"))
    graphs = part_graphs.build(
        circuits["partitions"],
        tables.read_table(args.partitions),
        seed=seed,
        chosen=part_graphs.chosen_nodes(nodes),
        slots=circuits["slots"],
        **model.layout,
    )
    plan = circuit_runs.plan(graphs, nodes, tables.read_table(args.edges), settings, seed)
    rows = shards.rows(len(heldout), settings["batch_pairs"], args.shard, settings["shards"])
    values = circuit_runs.measure(
        *(model, heldout, discovery, rows, plan.runs),
        *(args.cfg["metric"], circuits["ablation"], settings),
    )
    about = {"curves": plan.curves, "nulls": plan.nulls, "dtype": args.cfg["model_dtype"]}
    arrays.write_npz(args.output, values | {"groups": heldout.groups}, args.stamp, about)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    command.add_dictionaries(parser)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--nodes", type=Path, required=True)
    parser.add_argument("--edges", type=Path, required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
