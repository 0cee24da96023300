"""Tables of the ablation runs: faithfulness.csv, and the smallest faithful circuits, sizes.csv."""

from pathlib import Path

from connectome import arrays, command, tables
from connectome.tabulate.faithfulness import COLUMNS, SIZE_COLUMNS, rows, size_rows
from connectome.tabulate.identity import fields


def main(args):
    competent = {}
    for path in args.competence:
        names = fields(path, "{model}/tasks/{task}.competence.json")
        record = arrays.read_json(path)
        competent[names["model"], names["task"]] = record["competent"]
    evaluations = [
        (
            fields(path, "{model}/{dictionary}/evaluation/{task}.parquet"),
            tables.read_table(path).to_pylist(),
        )
        for path in args.evaluations
    ]
    found = rows(evaluations, competent)
    tables.write_csv(args.output, found, COLUMNS)
    tables.write_csv(args.sizes, size_rows(found, args.cfg["faithfulness"]), SIZE_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--competence", type=Path, nargs="+", required=True, metavar="RECORD")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sizes", type=Path, required=True)
    command.run(main, parser)
