"""Which head each feature of a dictionary belongs to, at the attention sites that it covers."""

from pathlib import Path

import pyarrow as pa

from connectome import (
    command,
    dictionary_files,
    encoded,
    feature_heads,
    moments,
    tables,
    transformer,
)

KEYS = ("document", "position")


def main(args):
    model = transformer.open_model(args.model, args.cfg["model_dtype"], args.device)
    rows = []
    for folder in dict.fromkeys(path.parent for path in args.dictionaries):
        site, (dictionary, _) = folder.name, dictionary_files.read(folder)
        column, parts = moments.column(site, "activation"), encoded.of_site(args.features, site)
        recorded = tables.iter_column(args.activations, column, KEYS)
        fired = (some for some in encoded.batches(parts, KEYS) if some[0].shape[0])
        batches = feature_heads.aligned(site, recorded, fired, args.cfg["skip_start"])
        rows += feature_heads.of_site(model, site, dictionary, batches)
    listed = pa.Table.from_pylist(rows, schema=feature_heads.SCHEMA)
    tables.write_table(args.output, listed, args.stamp, {"heads": model.size.heads})


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--activations", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--features", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--dictionaries", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
