"""Figure: features of an attention site by head and by ROI, of one model and dictionary."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.heads import COLUMNS, draw, select


def main(args):
    overlap, heads = tables.read_csv(args.overlap), tables.read_csv(args.heads)
    rows = select(overlap, heads, args.model, args.dictionary, args.site)
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--overlap", type=Path, required=True, help="head_overlap.csv")
    parser.add_argument("--heads", type=Path, required=True, help="feature_heads.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--site", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
