"""Tables of all partitions: partitions.csv, and how far they agree, partition_agreement.csv."""

from pathlib import Path

from connectome import command, partitions, tables
from connectome.tabulate.identity import fields
from connectome.tabulate.partitions import AGREEMENT_COLUMNS, COLUMNS, agreement_rows, rows


def main(args):
    sizes, agreements = [], []
    for path in args.partitions:
        names = fields(path, "{model}/{dictionary}/partitions.parquet")
        meta = tables.read_meta(path)
        labels = partitions.by_site(partitions.load(path))
        sizes += rows(names, labels, meta)
        agreements += agreement_rows(names, labels, meta, args.cfg["seed"])
    tables.write_csv(args.output, sizes, COLUMNS)
    tables.write_csv(args.agreement, agreements, AGREEMENT_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--partitions", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--agreement", type=Path, required=True)
    command.run(main, parser)
