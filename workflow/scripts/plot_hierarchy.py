"""Figure: the nested levels of the block models of one site."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.hierarchy import COLUMNS, draw, select


def main(args):
    sites, levels = tables.read_csv(args.sites), tables.read_csv(args.levels)
    names = (args.model, args.dictionary, args.site)
    rows = select(sites, levels, *names, args.cfg["rois_blocks"])
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--sites", type=Path, required=True, help="sites.csv")
    parser.add_argument("--levels", type=Path, required=True, help="levels.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--site", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
