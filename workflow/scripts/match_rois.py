"""ROIs of two models matched: by features they share, by what they do on the same tokens."""

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa

from connectome import command, comparison, moments, partitions, tables

KEYS = ("document", "position", "token")


def read(parts, site, skip_start, tokens):
    """Features (rows, d) of a site and the keys of the rows: the first `tokens` that count."""
    kept, count = [], 0
    for values, keys in tables.iter_column(parts, moments.column(site, "activation"), KEYS):
        rows = np.flatnonzero((keys["position"] > 0) | (not skip_start))[: tokens - count]
        kept.append((values[rows], *(keys[name][rows] for name in KEYS)))
        count += len(rows)
        if count >= tokens:
            break
    values, *columns = (np.concatenate(column) for column in zip(*kept, strict=True))
    return values, dict(zip(KEYS, columns, strict=True))


def recorded(parts, partitions_file, cfg):
    settings, table = cfg["comparison"], partitions.load(partitions_file)
    labels = {name: partitions.labels(table, name) for name in settings["partitions"]}
    sites = list(labels[settings["partitions"][0]])
    columns = functools.partial(
        read, parts, skip_start=cfg["skip_start"], tokens=settings["tokens"]
    )
    readers = {site: lambda site=site: columns(site)[0] for site in sites}
    return comparison.Recorded(readers, labels, columns(sites[0])[1])


def main(args):
    left = recorded(args.activations_left, args.partitions_left, args.cfg)
    right = recorded(args.activations_right, args.partitions_right, args.cfg)
    rows, pairs = comparison.compare(
        left, right, args.cfg["comparison"], args.cfg["same_run"], args.cfg["seed"]
    )
    matching = pa.Table.from_pylist(rows, schema=comparison.SCHEMA)
    tables.write_table(args.output, matching, args.stamp)
    pairs = pa.Table.from_pylist(pairs, schema=comparison.PAIR_SCHEMA)
    tables.write_table(args.pairs, pairs, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--activations-left", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--activations-right", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--partitions-left", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--partitions-right", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    command.run(main, parser)
