"""What ROIs respond to: activity profiles, firing examples, favoured tokens; one job per model."""

import functools
from pathlib import Path

import pyarrow as pa

from connectome import (
    arrays,
    command,
    descriptions,
    encoded,
    models,
    moments,
    partitions,
    profiles,
    tables,
    tokenizer,
)

BATCH_ROWS = 8192  # rows in memory; changes nothing but memory


def blocks(site, recorded, features):
    sparse = encoded.of_site(features, site)
    if sparse:
        return profiles.whole_documents(encoded.batches(sparse), encoded.join)
    column = moments.column(site, "activation")
    return profiles.whole_documents(tables.iter_column(recorded, column, encoded.KEYS, BATCH_ROWS))


def main(args):
    settings, handle = args.cfg["cards"], models.open_handle(args.model)
    words = tokenizer.load(handle.directory)
    table = partitions.load(args.partitions)
    labels = {name: partitions.labels(table, name) for name in settings["partitions"]}
    rows = {name: [] for name in descriptions.SCHEMAS}
    for path in args.covariance:
        content, meta = arrays.read_npz(path)
        site = meta["site"]
        corpus = descriptions.Corpus(
            functools.partial(blocks, site, args.activations, args.features),
            meta["skip_start"],
            handle.record["vocabulary"],
            functools.partial(tokenizer.piece, words),
        )
        found = descriptions.describe(
            site,
            {name: of_site[site] for name, of_site in labels.items()},
            moments.full(content),
            corpus,
            settings,
            args.cfg["seed"],
        )
        for name, more in found.items():
            rows[name] += more
    for name, schema in descriptions.SCHEMAS.items():
        listed = pa.Table.from_pylist(rows[name], schema=schema)
        tables.write_table(getattr(args, name), listed, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--activations", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument(
        "--features", type=Path, nargs="*", default=[], metavar="PART", help="encoded, of any site"
    )
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--covariance", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument("--profiles", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--members", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--examples", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--tokens", type=Path, required=True, metavar="PARQUET")
    command.run(main, parser)
