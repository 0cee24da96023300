"""The corpus of a model: generated documents or those of a text file, as token ids."""

from pathlib import Path

import pyarrow as pa

from connectome import command, corpus, known, language, models, tables, tokenizer

SCHEMA = pa.schema(
    [("document", pa.int32()), ("text", pa.string()), ("tokens", pa.list_(pa.int32()))]
)


def main(args):
    settings = args.cfg["corpus"]
    handle = models.open_handle(args.model)
    if "build" in args.cfg:
        texts = known.corpus(args.cfg["build"], args.cfg["seed"], settings["documents"])
    elif "file" in settings:
        texts = corpus.read_documents(Path(settings["file"]))
    else:
        texts = language.corpus(args.cfg["seed"], settings["documents"])
    columns = corpus.encode(
        texts,
        tokenizer.load(handle.directory),
        handle.context,
        settings["documents"],
        settings["tokens"],
    )
    tables.write_table(args.output, columns, args.stamp, schema=SCHEMA)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
