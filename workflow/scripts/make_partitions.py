"""Partitions of all sites of a model: modules, heads, ROIs, controls and files made by hand."""

from pathlib import Path

from connectome import arrays, command, partitions, tables


def main(args):
    records = {}
    for path in args.sbm:
        record = arrays.read_json(path)
        records[record["site"], record["kind"]] = record
    columns, meta = partitions.make(
        arrays.read_json(args.model),
        records,
        by_site(args.covariance),
        by_site(args.graphs),
        args.cfg["partitions"],
        args.cfg["seed"],
        None if args.base is None else partitions.load(args.base),
    )
    tables.write_table(args.output, columns, args.stamp, meta)


def by_site(paths):
    found = {}
    for path in paths:
        content, meta = arrays.read_npz(path)
        found[meta["site"], meta["kind"]] = content
    return found


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--sbm", type=Path, nargs="+", required=True, metavar="RECORD")
    parser.add_argument("--covariance", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument("--graphs", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument(
        "--base",
        type=Path,
        nargs="?",
        metavar="PARQUET",
        help="partitions of the sites that have none here",
    )
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
