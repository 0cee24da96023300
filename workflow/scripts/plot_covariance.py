"""Figure: correlation of one site in the order of its ROIs."""

from pathlib import Path

import connectome.plots.covariance as covariance
from connectome import arrays, command
from connectome.moments import full
from connectome.publication import publish


def main(args):
    content, meta = arrays.read_npz(args.covariance)
    fit = arrays.read_json(args.fit)
    rows = covariance.select(full(content), fit, meta["unit"], args.cfg["bins"])
    publish(covariance, rows, args.output, args.cfg, args.stamp, [args.covariance, args.fit])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--covariance", type=Path, required=True)
    parser.add_argument("--fit", type=Path, required=True, help="record of the block model")
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
