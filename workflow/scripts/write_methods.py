"""The methods paragraph of this run, with the works that it cites: methods.md and methods.bib."""

from pathlib import Path

from connectome import arrays, bibliography, command, methods, tables

CATALOGUE = Path(__file__).resolve().parents[1] / "methods"


def main(args):
    catalogue = bibliography.read(CATALOGUE)
    run = methods.Run(
        config=args.cfg["config"],
        derived=args.cfg["derived"],
        plan=args.cfg["plan"],
        tables={path.stem: tables.read_csv(path) for path in args.tables},
        provenance=arrays.read_json(args.provenance),
        catalogue=catalogue,
    )
    text = methods.text(run)
    works = bibliography.bibtex(bibliography.cited(text), catalogue.works)
    for path, content in ((args.output, text), (args.bibliography, works)):
        with command.atomic(path) as temporary:
            temporary.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, metavar="CSV")
    parser.add_argument("--provenance", type=Path, required=True, help="provenance.json")
    parser.add_argument("--output", type=Path, required=True, help="methods.md")
    parser.add_argument("--bibliography", type=Path, required=True, help="methods.bib")
    command.run(main, parser)
