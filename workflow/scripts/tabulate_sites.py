"""Tables of the block models: sites.csv, levels.csv, nulls.csv and classical.csv."""

from pathlib import Path

import connectome.tabulate.sites as sites
from connectome import arrays, command, tables
from connectome.tabulate.identity import fields


def main(args):
    graphs, communities = {}, {}
    for path in args.graphs:
        names = fields(path, "{model}/{dictionary}/graph/{site}.{kind}.npz")
        content, meta = arrays.read_npz(path)
        graphs[tuple(names.values())] = meta, float(content["threshold"].flat[0])
    for path in args.partitions:
        names = fields(path, "{model}/{dictionary}/partitions.parquet")
        for site, of_site in tables.read_meta(path)["communities"].items():
            for kind, found in of_site.items():
                communities[names["model"], names["dictionary"], site, kind] = found
    fits = [
        (fields(path, "{model}/{dictionary}/sbm/{site}.{kind}.json"), arrays.read_json(path))
        for path in args.fits
    ]
    records = [(names, fit, *graphs[tuple(names.values())]) for names, fit in fits]
    nulls = [(names, fit, communities.get(tuple(names.values()), {})) for names, fit in fits]
    tables.write_csv(args.output, sites.rows(records), sites.COLUMNS)
    tables.write_csv(args.levels, sites.part_rows(fits), sites.PART_COLUMNS)
    tables.write_csv(args.nulls, sites.null_rows(nulls), sites.NULL_COLUMNS)
    tables.write_csv(args.classical, sites.classical_rows(fits), sites.CLASSICAL_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--graphs", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument("--fits", type=Path, nargs="+", required=True, metavar="RECORD")
    parser.add_argument("--partitions", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--levels", type=Path, required=True)
    parser.add_argument("--nulls", type=Path, required=True)
    parser.add_argument("--classical", type=Path, required=True)
    command.run(main, parser)
