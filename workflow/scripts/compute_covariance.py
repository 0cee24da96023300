"""Covariance of one site: moments of its activations or attributions, per half.

Samples are tables of rows, whose moments are streamed, or files that this script made of such
tables (one per shard), which are merged in order. Of encoded features the co-firing is counted.
"""

from pathlib import Path

from connectome import arrays, command, encoded, moments, shards, tables


def main(args):
    origin = {
        "site": args.site,
        "kind": args.kind,
        "dictionary": args.dictionary,
        "skip_start": args.cfg["skip_start"],
    }
    keys = moments.KEYS[args.kind]

    def moments_of(path):
        if path.suffix == ".npz":
            return arrays.read_npz(path)
        sparse = encoded.is_encoded(path)
        column = moments.column(args.site, args.kind)
        batches = (
            encoded.batches([path], keys)
            if sparse
            else tables.iter_column([path], column, keys, args.cfg["batch_rows"])
        )
        rows = moments.samples(batches, args.site, args.kind, args.cfg["skip_start"])
        return moments.accumulate(encoded.stacked(rows) if sparse else rows, origin)

    content, meta = moments.gather(map(moments_of, args.samples), origin)
    arrays.write_npz(args.output, content, args.stamp, meta)
    shards.keep_only(args.samples[0])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--samples", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--site", required=True)
    parser.add_argument("--kind", choices=sorted(moments.KEYS), required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
