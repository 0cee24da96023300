"""Figure: what is left of every task when the parts of one are ablated, or kept alone."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.specificity import COLUMNS, draw, select


def main(args):
    rows = select(tables.read_csv(args.specificity), (args.model, args.dictionary), args.sets)
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--specificity", type=Path, required=True, help="specificity.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--sets", required=True, help="circuit or assigned")
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
