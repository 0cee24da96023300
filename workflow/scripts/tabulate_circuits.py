"""Tables of the circuits that the page draws, and of the edges that it explores."""

from pathlib import Path

from connectome import command, tables
from connectome.tabulate.circuits import COLUMNS, SCORE_COLUMNS, rows, score_rows
from connectome.tabulate.identity import fields


def main(args):
    partitions, method = args.cfg["circuits"], args.cfg["method"]
    sizes = tables.read_csv(args.sizes)
    drawn, scores = [], []
    for path in args.edges:
        names = fields(path, "{model}/{dictionary}/circuits/{task}.edges.parquet")
        scored = [(names, tables.read_table(path).to_pylist())]
        drawn += rows(scored, sizes, partitions, method)
        scores += score_rows(scored, partitions, method)
    tables.write_csv(args.output, drawn, COLUMNS)
    tables.write_csv(args.scores, scores, SCORE_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--edges", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--sizes", type=Path, required=True, help="sizes.csv")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True, help="edge_scores.csv")
    command.run(main, parser)
