"""Table of the models: models.csv."""

from pathlib import Path

from connectome import arrays, command, tables
from connectome.tabulate.models import COLUMNS, rows


def main(args):
    tables.write_csv(args.output, rows(arrays.read_json(path) for path in args.models), COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--models", type=Path, nargs="+", required=True, metavar="MODEL_JSON")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
