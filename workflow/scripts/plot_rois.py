"""Figure: ROIs of all sites of one model and dictionary."""

from pathlib import Path

import connectome.plots.rois as rois
from connectome import command, tables
from connectome.publication import publish


def main(args):
    sites, levels = tables.read_csv(args.sites), tables.read_csv(args.levels)
    rows = rois.select(sites, levels, args.model, args.dictionary)
    publish(rois, rows, args.output, args.cfg, args.stamp, [args.sites, args.levels])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--sites", type=Path, required=True, help="sites.csv")
    parser.add_argument("--levels", type=Path, required=True, help="levels.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
