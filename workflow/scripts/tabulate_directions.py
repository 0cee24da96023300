"""Tables of directions inside ROIs, directions.csv, and of the heads of features:
feature_heads.csv, and how far heads and ROIs overlap, head_overlap.csv."""

from pathlib import Path

from connectome import command, partitions, tables
from connectome.tabulate import directions, feature_heads
from connectome.tabulate.identity import fields


def main(args):
    measured = [
        (
            fields(path, "{model}/{dictionary}/directions.parquet"),
            tables.read_table(path).to_pylist(),
        )
        for path in args.directions
    ]
    tables.write_csv(args.output, directions.rows(measured), directions.COLUMNS)
    heads, overlap = [], []
    for path, beside in zip(args.heads, args.partitions, strict=True):
        names = fields(path, "{model}/{dictionary}/heads.parquet")
        assigned = tables.read_table(path).to_pylist()
        heads += feature_heads.rows(names, assigned, tables.read_meta(path)["heads"])
        table, meta = partitions.load(beside), tables.read_meta(beside)
        labels = {name: partitions.labels(table, name) for name in args.cfg["partitions"]}
        overlap += feature_heads.overlap_rows(names, assigned, labels, meta, args.cfg["seed"])
    tables.write_csv(args.feature_heads, heads, feature_heads.COLUMNS)
    tables.write_csv(args.overlap, overlap, feature_heads.OVERLAP_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--directions", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--heads", type=Path, nargs="*", default=[], metavar="PARQUET")
    parser.add_argument("--partitions", type=Path, nargs="*", default=[], metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--feature-heads", type=Path, required=True)
    parser.add_argument("--overlap", type=Path, required=True)
    command.run(main, parser)
