"""Table of the agreement of edge scores with exact ablation: agreement.csv."""

from pathlib import Path

from connectome import command, tables
from connectome.tabulate.agreement import COLUMNS, rows
from connectome.tabulate.identity import fields

_EDGES = ["partition", "method", "ablation", "src", "dst", "score"]


def main(args):
    scored = (
        (
            fields(path, "{model}/{dictionary}/circuits/{task}.edges.parquet"),
            tables.read_table(path, _EDGES).to_pylist(),
        )
        for path in args.edges
    )
    tables.write_csv(args.output, rows(scored), COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--edges", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
