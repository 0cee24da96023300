"""Tables of the block models: sites.csv, and the sizes of all parts and levels, levels.csv."""

from pathlib import Path

from connectome import arrays, command, tables
from connectome.tabulate.identity import fields
from connectome.tabulate.sites import COLUMNS, PART_COLUMNS, part_rows, rows


def main(args):
    graphs = {}
    for path in args.graphs:
        names = fields(path, "{model}/{dictionary}/graph/{site}.{kind}.npz")
        content, meta = arrays.read_npz(path)
        graphs[tuple(names.values())] = meta, float(content["threshold"].flat[0])
    fits = [
        (fields(path, "{model}/{dictionary}/sbm/{site}.{kind}.json"), arrays.read_json(path))
        for path in args.fits
    ]
    records = [(names, fit, *graphs[tuple(names.values())]) for names, fit in fits]
    tables.write_csv(args.output, rows(records), COLUMNS)
    tables.write_csv(args.levels, part_rows(fits), PART_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--graphs", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument("--fits", type=Path, nargs="+", required=True, metavar="RECORD")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--levels", type=Path, required=True)
    command.run(main, parser)
