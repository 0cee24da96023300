"""Activations of one shard of the corpus: all recorded columns in one forward pass."""

from pathlib import Path

from connectome import activations, command, shards, tables, transformer


def main(args):
    model = transformer.open_model(args.model, args.cfg["model_dtype"], args.device)
    corpus = tables.read_table(args.corpus)
    columns = activations.columns_of(model, args.cfg["sites"], args.cfg["outputs"])
    shard, batch_tokens = (args.shard, args.cfg["shards"]), args.cfg["batch_tokens"]
    chosen = activations.shard(corpus, *shard, batch_tokens)
    schema = activations.schema(columns, args.cfg["dtype"])
    activations.check_space(args.output, chosen, schema)
    with tables.batch_writer(args.output, schema, args.stamp) as writer:
        for batch in activations.record(model, chosen, columns, args.cfg["batch_tokens"], schema):
            writer.write_batch(batch)
    shards.keep_only(args.output)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
