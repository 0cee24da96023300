"""Figure: agreement between the partitions of every site of one model and dictionary."""

from pathlib import Path

import connectome.plots.partitions as partitions
from connectome import command, tables
from connectome.publication import publish


def main(args):
    rows = partitions.select(tables.read_csv(args.agreement), args.model, args.dictionary)
    publish(partitions, rows, args.output, args.cfg, args.stamp, [args.agreement])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--agreement", type=Path, required=True, help="partition_agreement.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
