"""Where the heads of a built model look, at the places where its known heads should look."""

from pathlib import Path

import pyarrow as pa

from connectome import arrays, command, known, patterns, prompts, tables, transformer


def main(args):
    build = arrays.read_json(args.known)["build"]
    model = transformer.open_model(args.model, args.cfg["model_dtype"], args.device)
    table = tables.read_table(args.prompts)
    clean = [row["clean"] for row in table.to_pylist() if row["split"] == "heldout"]
    expected = [known.expected_places(build, text) for text in clean]
    rows = patterns.looks(model, prompts.of_table(table, "heldout").clean, expected)
    tables.write_table(args.output, pa.Table.from_pylist(rows), args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--known", type=Path, required=True, metavar="KNOWN.JSON")
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
