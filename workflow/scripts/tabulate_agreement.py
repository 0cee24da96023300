"""Tables of agreement: scores with exact ablation, circuits with those of other prompts."""

from pathlib import Path

from connectome import command, tables
from connectome.tabulate import agreement
from connectome.tabulate.identity import fields

_EDGES = ["partition", "method", "ablation", "src", "dst", "slot", "score"]


def main(args):
    def read(paths, kind, columns=None):
        for path in paths:
            names = fields(path, f"{{model}}/{{dictionary}}/circuits/{{task}}.{kind}.parquet")
            yield names, tables.read_table(path, columns).to_pylist()

    measured = tables.read_csv(args.faithfulness)
    found = agreement.rows(read(args.edges, "edges", _EDGES), agreement.gaps(measured))
    tables.write_csv(args.output, found, agreement.COLUMNS)
    found = agreement.stability_rows(read(args.resampled, "stability"), agreement.able(measured))
    tables.write_csv(args.stability, found, agreement.STABILITY_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--edges", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--resampled", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--faithfulness", type=Path, required=True, metavar="CSV")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--stability", type=Path, required=True)
    command.run(main, parser)
