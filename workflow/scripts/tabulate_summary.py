"""Table of every number that a sentence of the page uses: summary.csv."""

from pathlib import Path

from connectome import command, tables
from connectome.tabulate.summary import COLUMNS, rows


def main(args):
    found = {path.stem: tables.read_csv(path) for path in args.tables}
    tables.write_csv(args.output, rows(found, args.cfg), COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, metavar="CSV")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
