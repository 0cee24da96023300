"""Do members of a ROI write, or read, in one direction? Of the sites of one dictionary."""

from pathlib import Path

import pyarrow as pa

from connectome import (
    command,
    dictionary_files,
    directions,
    partitions,
    site_directions,
    tables,
    transformer,
)


def main(args):
    settings, table = args.cfg["directions"], partitions.load(args.partitions)
    folders = dict.fromkeys(path.parent for path in args.dictionaries)
    found = {
        folder.name: site_directions.of_dictionary(dictionary_files.read(folder)[0])
        for folder in folders
    }
    if not found:
        model = transformer.open_model(args.model, args.cfg["model_dtype"])
        found = {site: site_directions.native(model, site) for site in partitions.by_site(table)}
    rows = []
    for partition in settings["partitions"]:
        labels = partitions.labels(table, partition)
        for end in directions.ENDS:
            measured = {
                site: directions.compare(
                    of_site[end], labels[site], settings["draws"], args.cfg["seed"], site
                )
                for site, of_site in found.items()
            }
            rows += directions.rows(partition, end, measured)
    listed = pa.Table.from_pylist(rows, schema=directions.SCHEMA)
    tables.write_table(args.output, listed, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--dictionaries", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
