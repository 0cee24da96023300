"""Figure: size of the smallest faithful circuit, per task and partition."""

from pathlib import Path

import connectome.plots.ablation as ablation
from connectome import command, tables
from connectome.publication import publish


def main(args):
    rows = ablation.select(
        tables.read_csv(args.sizes), args.model, args.dictionary, args.cfg["method"]
    )
    publish(ablation, rows, args.output, args.cfg, args.stamp, [args.sizes])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--sizes", type=Path, required=True, help="sizes.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
