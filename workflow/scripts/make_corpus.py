"""The corpus of a model: generated documents or those of a file or data set, as token ids."""

from pathlib import Path

import pyarrow as pa

from connectome import command, corpus, known, language, models, tables, tokenizer

SCHEMA = pa.schema(
    [
        ("document", pa.int32()),
        ("text", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("label", pa.string()),  # null where a document has none
    ]
)


def main(args):
    settings, seed = args.cfg["corpus"], args.cfg["seed"]
    handle = models.open_handle(args.model)
    if "build" in args.cfg:
        texts = known.corpus(args.cfg["build"], seed, settings["documents"])
        found = corpus.generated((text, None) for text in texts)
    elif "language" in settings:
        made = language.corpus(seed, settings["documents"])
        found = corpus.generated((document.text, document.family) for document in made)
    else:
        found = corpus.read(settings, args.cache)
    columns = corpus.encode(
        found,
        tokenizer.load(handle.directory),
        handle.context,
        settings["documents"],
        settings["tokens"],
        "the generated corpus" if "build" in args.cfg else corpus.source_of(settings),
    )
    classes = settings.get("classes") or sorted(set(columns["label"]) - {None})
    tables.write_table(args.output, columns, args.stamp, {"classes": classes}, SCHEMA)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    command.add_cache(parser)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
