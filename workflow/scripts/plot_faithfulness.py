"""Figure: faithfulness and completeness over circuit size of one task."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.faithfulness import COLUMNS, draw, select


def main(args):
    names = (args.model, args.dictionary, args.task)
    rows = select(tables.read_csv(args.faithfulness), names, args.cfg["method"])
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--faithfulness", type=Path, required=True, help="faithfulness.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
