"""Figure: what is left of every task when the parts of one are ablated, or kept alone."""

from pathlib import Path

import connectome.plots.specificity as specificity
from connectome import command, tables
from connectome.publication import publish


def main(args):
    cells = tables.read_csv(args.specificity)
    for path in args.output:
        sets = path.stem.rpartition(".")[2]
        rows = specificity.select(cells, (args.model, args.dictionary), sets)
        publish(specificity, rows, path, args.cfg, args.stamp, [args.specificity])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--specificity", type=Path, required=True, help="specificity.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="NAME.SETS.csv, each")
    command.run(main, parser)
