"""Figure: several models, or one model while it learns, compared."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.comparison import COLUMNS, draw, select


def main(args):
    growth, comparison = tables.read_csv(args.growth), tables.read_csv(args.comparison)
    tables.write_csv(args.output, select(growth, comparison, args.dictionary), COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--growth", type=Path, required=True, help="growth.csv")
    parser.add_argument("--comparison", type=Path, required=True, help="comparison.csv")
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
