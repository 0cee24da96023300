"""Faithfulness of the circuits of one task over size, from their runs on held-out prompts."""

from pathlib import Path

from connectome import arrays, command, evaluation, shards, statistics, tables


def main(args):
    settings, seed = args.cfg["evaluation"], args.cfg["seed"]
    parts = [arrays.read_npz(path) for path in args.runs]
    about = parts[0][1]
    found = evaluation.gather([content for content, _ in parts], about)
    weights = statistics.bootstrap_weights(found.groups, settings["bootstrap"], seed)
    rows, summaries = evaluation.tables(
        evaluation.all_curves(found, weights),
        ablation=args.cfg["circuits"]["ablation"],
        ranking=settings["ranking"],
        seed=seed,
        **evaluation.counts(found),
    )
    meta = {"metric": args.cfg["metric"], "split": "heldout", "graph": "additive"}
    meta |= {"dtype": about["dtype"]}
    tables.write_table(args.output, rows, args.stamp, meta)
    tables.write_table(args.summaries, summaries, args.stamp, meta)
    shards.keep_only(args.runs[0])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--summaries", type=Path, required=True)
    command.run(main, parser)
