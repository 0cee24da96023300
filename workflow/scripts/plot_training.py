"""Figure: training curves of one model."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.training import COLUMNS, draw, select


def main(args):
    rows = select(tables.read_csv(args.training), args.model)
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--training", type=Path, required=True, help="training.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
