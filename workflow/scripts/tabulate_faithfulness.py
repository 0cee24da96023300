"""Tables of the ablation runs: each run, smallest faithful circuits, tests, areas of curves."""

from pathlib import Path

from connectome import arrays, command, tables
from connectome.tabulate import faithfulness, verdicts
from connectome.tabulate.identity import fields


def main(args):
    competent = {}
    for path in args.competence:
        names = fields(path, "{model}/tasks/{task}.competence.json")
        record = arrays.read_json(path)
        competent[names["model"], names["task"]] = record["competent"]

    def read(paths, template):
        return [(fields(path, template), tables.read_table(path).to_pylist()) for path in paths]

    evaluations = read(args.evaluations, "{model}/{dictionary}/evaluation/{task}.parquet")
    every = faithfulness.rows(evaluations, competent)
    if args.errors is not None:
        of_errors = [row for row in every if row["error"]]
        tables.write_csv(args.errors, of_errors, faithfulness.COLUMNS)
    found = faithfulness.shown(every)
    tables.write_csv(args.output, found, faithfulness.COLUMNS)
    sizes = faithfulness.size_rows(found, args.cfg["faithfulness"])
    tables.write_csv(args.sizes, sizes, faithfulness.SIZE_COLUMNS)
    tables.write_csv(args.tests, verdicts.test_rows(found), verdicts.TEST_COLUMNS)
    curves = read(args.curves, "{model}/{dictionary}/evaluation/{task}.summaries.parquet")
    summaries = verdicts.summary_rows(curves, competent)
    tables.write_csv(args.summaries, summaries, verdicts.SUMMARY_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--curves", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--competence", type=Path, nargs="+", required=True, metavar="RECORD")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sizes", type=Path, required=True)
    parser.add_argument("--errors", type=Path, help="runs under each policy of errors")
    parser.add_argument("--tests", type=Path, required=True)
    parser.add_argument("--summaries", type=Path, required=True)
    command.run(main, parser)
