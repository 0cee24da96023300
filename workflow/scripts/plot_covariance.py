"""Figure: correlation of one site in the order of its ROIs."""

from pathlib import Path

import connectome.plots.style as style
from connectome import arrays, command, tables
from connectome.moments import full
from connectome.plots.covariance import COLUMNS, draw, select


def main(args):
    content, meta = arrays.read_npz(args.covariance)
    rows = select(full(content), arrays.read_json(args.fit), meta["unit"], args.cfg["bins"])
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--covariance", type=Path, required=True)
    parser.add_argument("--fit", type=Path, required=True, help="record of the block model")
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
