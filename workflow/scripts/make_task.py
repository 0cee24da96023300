"""The prompt pairs of one task as token ids, split into discovery and held out."""

from pathlib import Path

import pyarrow as pa

from connectome import command, generators, models, tables, tasks, tokenizer

IDS = pa.list_(pa.int32())
SCHEMA = pa.schema(
    [
        ("pair", pa.int32()),
        ("split", pa.string()),
        ("clean", pa.string()),
        ("corrupted", pa.string()),
        ("clean_ids", IDS),
        ("corrupted_ids", IDS),
        ("answers", IDS),
        ("wrong", IDS),
        ("answer_text", pa.string()),
        ("wrong_text", pa.string()),
        ("template", pa.string()),
    ]
)


def main(args):
    task, pairs = args.cfg["task"], args.cfg["pairs"]
    handle = models.open_handle(args.model)
    if "file" in task:
        source, found = task["file"], tasks.read_pairs(Path(task["file"]))
    else:
        source = f"task {args.cfg['name']}"
        counts = (pairs["discovery"], pairs["heldout"])
        found = tasks.of_language(
            generators.pairs(task["generator"], args.cfg["seed"], *counts), source
        )
    columns = tasks.encode(
        found,
        tokenizer.load(handle.directory),
        handle.context,
        pairs,
        pairs["heldout_share"],
        source,
    )
    tables.write_table(args.output, columns, args.stamp, schema=SCHEMA)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
