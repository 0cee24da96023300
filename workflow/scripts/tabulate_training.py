"""Table of the training curves of the models trained here: training.csv."""

from pathlib import Path

from connectome import command, tables
from connectome.tabulate.identity import fields
from connectome.tabulate.training import COLUMNS, rows


def main(args):
    curves = [
        (fields(path, "{model}/training.parquet")["model"], tables.read_table(path).to_pydict())
        for path in args.curves
    ]
    tables.write_csv(args.output, rows(curves), COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--curves", type=Path, nargs="*", default=[], metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
