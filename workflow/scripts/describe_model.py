"""The handle of a model: where its files lie, their digests, its sizes; every weight checked."""

from pathlib import Path

from connectome import arrays, command, hub, models


def main(args):
    source, commit = args.cfg["source"], None
    if "hub" in source:
        directory, commit = hub.cached_model(source["hub"], source.get("revision"), args.cache)
    else:
        directory = args.files[0].parent
    record = models.describe(args.cfg["name"], source, directory, args.output, commit)
    arrays.write_json(args.output, record, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--files", type=Path, nargs="*", default=[], metavar="FILE")
    command.add_cache(parser)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
