"""Features of a dictionary that fire on each recorded token of one part file."""

from pathlib import Path

import torch

from connectome import (
    command,
    devices,
    dictionary_encoding,
    dictionary_files,
    encoded,
    shards,
    tables,
)


def main(args):
    dictionary, _ = dictionary_files.read(args.dictionary[0].parent)
    dictionary = dictionary.to(devices.resolve(args.device)[0], torch.float32)
    column = dictionary_encoding.column(args.site, dictionary)
    batches = tables.iter_column([args.activations], column, encoded.KEYS)
    about = {"site": args.site, "column": column, "features": dictionary.features}
    with tables.batch_writer(args.output, encoded.SCHEMA, args.stamp, about, "zstd") as writer:
        for batch in dictionary_encoding.encode(dictionary, batches, column):
            writer.write_batch(batch)
    shards.keep_only(args.output)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--dictionary", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--activations", type=Path, required=True, metavar="PART")
    parser.add_argument("--site", required=True)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--output", type=Path, required=True, metavar="PART")
    command.run(main, parser)
