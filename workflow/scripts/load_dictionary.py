"""Read the dictionary of one site as others keep it, and write it in the SAELens layout."""

from pathlib import Path

from connectome import arrays, command, dictionary_files, dictionary_hooks, models


def main(args):
    (folder,) = {path.parent for path in args.files}
    dictionary, record = dictionary_files.read(folder, args.cfg["options"])
    model = models.open_handle(args.model).record
    dictionary_files.check_fits(dictionary, record, args.site, model["width"], model["width"])
    names = dictionary_hooks.names_of(args.site, model["architecture"], dictionary.transcoder)
    metadata = {"model_name": model["hub"] or model["name"], **names, "connectome": record}
    files = dictionary_files.Files(args.config, args.weights)
    dictionary_files.write(files, dictionary, None, metadata, args.stamp)
    arrays.write_json(args.record, {"site": args.site, "read": record}, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--files", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--site", required=True)
    for name in ("config", "weights", "record"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    command.run(main, parser)
