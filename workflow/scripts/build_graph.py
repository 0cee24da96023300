"""Graph of one site: nearest neighbours above the rolled threshold, for data, halves and nulls."""

from pathlib import Path

from connectome import arrays, command, encoded, graphs, moments, sparse_graphs, tables


def main(args):
    covariance, meta = arrays.read_npz(args.covariance)
    settings, keys = args.cfg["graph"], moments.KEYS[meta["kind"]]

    def blocks(batches, **join):
        rows = moments.samples(batches, meta["site"], meta["kind"], meta["skip_start"])
        return graphs.blocks(rows, settings["block_rows"], **join)

    if encoded.is_encoded(args.samples[0]):
        source = sparse_graphs.Fired(
            covariance,
            lambda: blocks(encoded.batches(args.samples, keys), join=encoded.join),
        )
    else:
        column = moments.column(meta["site"], meta["kind"])
        stream = blocks(tables.iter_column(args.samples, column, keys))
        source = graphs.Recorded(covariance, stream, exchangeable=meta["kind"] == "attribution")
    content, result = graphs.build(source, meta, settings, args.cfg["seed"])
    arrays.write_npz(args.output, content, args.stamp, result)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--covariance", type=Path, required=True)
    parser.add_argument("--samples", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
