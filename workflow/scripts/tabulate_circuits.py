"""Table of the circuits that the page draws: circuits.csv."""

from pathlib import Path

from connectome import command, tables
from connectome.tabulate.circuits import COLUMNS, rows
from connectome.tabulate.identity import fields


def main(args):
    scored = (
        (
            fields(path, "{model}/{dictionary}/circuits/{task}.edges.parquet"),
            tables.read_table(path).to_pylist(),
        )
        for path in args.edges
    )
    drawn = rows(scored, tables.read_csv(args.sizes), args.cfg["circuits"], args.cfg["method"])
    tables.write_csv(args.output, drawn, COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--edges", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--sizes", type=Path, required=True, help="sizes.csv")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
