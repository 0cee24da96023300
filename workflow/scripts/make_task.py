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
    words = tokenizer.load(handle.directory)
    about = {"status": "ok", "reason": None}
    if "file" in task:
        source, found = task["file"], tasks.read_pairs(Path(task["file"]))
    else:
        source, fit = f"task {args.cfg['name']}", tasks.fit(words, handle.context)
        counts = (pairs["discovery"], pairs["heldout"])
        drawn, about = generators.draw(task["generator"], args.cfg["seed"], *counts, fit)
        found = tasks.of_language(drawn, source)
    columns = {name: [] for name in SCHEMA.names}  # a refused task has no pair
    if about["status"] == "ok":
        share = pairs["heldout_share"]
        columns = tasks.encode(found, words, handle.context, pairs, share, source)
    tables.write_table(args.output, columns, args.stamp, about, SCHEMA)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
