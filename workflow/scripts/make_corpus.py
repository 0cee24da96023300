"""The corpus of a model: documents of the micro-language or of a text file, as token ids."""

from pathlib import Path

import pyarrow as pa

from connectome import command, corpus, language, models, tables, tokenizer

SCHEMA = pa.schema(
    [("document", pa.int32()), ("text", pa.string()), ("tokens", pa.list_(pa.int32()))]
)


def main(args):
    settings = args.cfg["corpus"]
    handle = models.open_handle(args.model)
    if "file" in settings:
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
