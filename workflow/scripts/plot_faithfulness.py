"""Figure: faithfulness and completeness over circuit size of one task."""

from pathlib import Path

import connectome.plots.faithfulness as faithfulness
from connectome import command, tables
from connectome.publication import publish


def main(args):
    names = (args.model, args.dictionary, args.task)
    rows = faithfulness.select(tables.read_csv(args.faithfulness), names, args.cfg["method"])
    publish(faithfulness, rows, args.output, args.cfg, args.stamp, [args.faithfulness])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--faithfulness", type=Path, required=True, help="faithfulness.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
