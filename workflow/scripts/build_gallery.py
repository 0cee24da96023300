"""The gallery: every figure with its caption and its files, on one offline page."""

from pathlib import Path

from connectome import arrays, command, gallery

TEMPLATE = Path(__file__).resolve().parents[1] / "gallery/index.html"


def main(args):
    records = [arrays.read_json(path) for path in args.sidecars]
    page = gallery.build(records, args.cfg["name"], args.cfg["palette"], TEMPLATE)
    with command.atomic(args.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--sidecars", type=Path, nargs="+", required=True, metavar="JSON")
    parser.add_argument("--output", type=Path, required=True, help="page, beside the figures")
    command.run(main, parser)
