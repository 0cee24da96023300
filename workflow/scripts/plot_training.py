"""Figure: training curves of one model."""

from pathlib import Path

import connectome.plots.training as training
from connectome import command, tables
from connectome.publication import publish


def main(args):
    rows = training.select(tables.read_csv(args.training), args.model)
    publish(training, rows, args.output, args.cfg, args.stamp, [args.training])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--training", type=Path, required=True, help="training.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
