"""Figure: what is left of every task when the parts of one are ablated, or kept alone."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.specificity import COLUMNS, draw, select


def main(args):
    cells = tables.read_csv(args.specificity)
    for path in args.output:
        sets = path.stem.rpartition(".")[2]
        tables.write_csv(path, select(cells, (args.model, args.dictionary), sets), COLUMNS)
        style.save(draw(tables.read_csv(path)), path, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--specificity", type=Path, required=True, help="specificity.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="NAME.SETS.csv, each")
    command.run(main, parser)
