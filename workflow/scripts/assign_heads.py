"""Which head each feature of a dictionary belongs to, at the attention sites that it covers."""

from pathlib import Path

import pyarrow as pa

from connectome import command, dictionary_files, feature_heads, moments, tables, transformer


def batches(parts, site, skip_start):
    columns = (moments.column(site, "activation"), site)
    values, written = (tables.iter_column(parts, column, ["position"]) for column in columns)
    for (z, keys), (x, _) in zip(values, written, strict=True):
        yield z, x, (keys["position"] > 0) | (not skip_start)


def main(args):
    model = transformer.open_model(args.model, args.cfg["model_dtype"], args.device)
    rows = []
    for folder in dict.fromkeys(path.parent for path in args.dictionaries):
        site = folder.name
        if site.startswith("attn"):
            dictionary, _ = dictionary_files.read(folder)
            recorded = batches(args.activations, site, args.cfg["skip_start"])
            rows += feature_heads.of_site(model, site, dictionary, recorded)
    listed = pa.Table.from_pylist(rows, schema=feature_heads.SCHEMA)
    tables.write_table(args.output, listed, args.stamp, {"heads": model.size.heads})


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--activations", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--dictionaries", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
