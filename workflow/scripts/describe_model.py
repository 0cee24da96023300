"""The handle of a model: where its files lie, their digests, its sizes; every weight checked."""

from pathlib import Path

from connectome import arrays, command, models


def main(args):
    source = args.cfg["source"]
    if "hub" in source:
        directory = models.hub_directory(source["hub"], source.get("revision"))
    else:
        directory = args.files[0].parent
    record = models.describe(args.cfg["name"], source, directory, args.output)
    arrays.write_json(args.output, record, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--files", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
