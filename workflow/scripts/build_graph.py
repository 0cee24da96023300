"""Graph of one site: nearest neighbours above the rolled threshold, for data, halves and nulls."""

from pathlib import Path

from connectome import arrays, command, graphs, moments, tables


def main(args):
    covariance, meta = arrays.read_npz(args.covariance)
    batches = tables.iter_column(
        args.samples,
        moments.column(meta["site"], meta["kind"]),
        keys=moments.KEYS[meta["kind"]],
    )
    rows = moments.samples(batches, meta["site"], meta["kind"], meta["skip_start"])
    settings = args.cfg["graph"]
    stream = graphs.blocks(rows, settings["block_rows"])
    content, result = graphs.build(covariance, meta, stream, settings, args.cfg["seed"])
    arrays.write_npz(args.output, content, args.stamp, result)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--covariance", type=Path, required=True)
    parser.add_argument("--samples", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
