"""Figure: size of the smallest faithful circuit, per task and partition."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.ablation import COLUMNS, draw, select


def main(args):
    method = args.cfg["method"]
    rows = select(tables.read_csv(args.sizes), args.model, args.dictionary, method)
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--sizes", type=Path, required=True, help="sizes.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
