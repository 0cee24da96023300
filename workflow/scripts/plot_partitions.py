"""Figure: agreement between the partitions of every site of one model and dictionary."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.partitions import COLUMNS, draw, select


def main(args):
    rows = select(tables.read_csv(args.agreement), args.model, args.dictionary)
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--agreement", type=Path, required=True, help="partition_agreement.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
