"""Covariance of one site: streaming moments of its activations or attributions, per half."""

from pathlib import Path

from connectome import arrays, command, moments, tables


def main(args):
    batches = tables.iter_column(
        args.samples,
        moments.column(args.site, args.kind),
        keys=moments.KEYS[args.kind],
        batch_rows=args.cfg["batch_rows"],
    )
    origin = {
        "site": args.site,
        "kind": args.kind,
        "dictionary": args.dictionary,
        "skip_start": args.cfg["skip_start"],
    }
    rows = moments.samples(batches, args.site, args.kind, args.cfg["skip_start"])
    content, meta = moments.accumulate(rows, origin)
    arrays.write_npz(args.output, content, args.stamp, meta)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--samples", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--site", required=True)
    parser.add_argument("--kind", choices=sorted(moments.KEYS), required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
