"""Figure: several models, or one model while it learns, compared."""

from pathlib import Path

import connectome.plots.comparison as comparison
from connectome import command, tables
from connectome.publication import publish


def main(args):
    growth, pairs = tables.read_csv(args.growth), tables.read_csv(args.comparison)
    rows = comparison.select(growth, pairs, args.dictionary)
    sources = [args.growth, args.comparison]
    publish(comparison, rows, args.output, args.cfg, args.stamp, sources)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--growth", type=Path, required=True, help="growth.csv")
    parser.add_argument("--comparison", type=Path, required=True, help="comparison.csv")
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
