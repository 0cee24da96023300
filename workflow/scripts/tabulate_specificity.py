"""Tables of the task-by-task matrices: specificity.csv and specificity_summary.csv."""

from pathlib import Path

from connectome import command, tables
from connectome.tabulate import specificity
from connectome.tabulate.identity import fields


def main(args):
    def read(paths, name):
        for path in paths:
            names = fields(path, f"{{model}}/{{dictionary}}/{name}.parquet")
            yield names, tables.read_table(path).to_pylist()

    cells = specificity.rows(read(args.cells, "specificity"))
    tables.write_csv(args.output, cells, specificity.COLUMNS)
    found = specificity.summary_rows(read(args.matrices, "specificity.summary"))
    tables.write_csv(args.summary, found, specificity.SUMMARY_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--cells", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--matrices", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--summary", type=Path, required=True)
    command.run(main, parser)
