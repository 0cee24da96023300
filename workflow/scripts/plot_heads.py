"""Figure: features of an attention site by head and by ROI, of one model and dictionary."""

from pathlib import Path

import connectome.plots.heads as heads
from connectome import command, tables
from connectome.publication import publish


def main(args):
    overlap, of_heads = tables.read_csv(args.overlap), tables.read_csv(args.heads)
    rows = heads.select(overlap, of_heads, args.model, args.dictionary, args.site)
    publish(heads, rows, args.output, args.cfg, args.stamp, [args.overlap, args.heads])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--overlap", type=Path, required=True, help="head_overlap.csv")
    parser.add_argument("--heads", type=Path, required=True, help="feature_heads.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--site", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
