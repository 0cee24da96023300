"""Tables of the feature cards: feature_{cards,examples,tokens,logits,scores}.csv."""

from pathlib import Path

import connectome.tabulate.features as features
from connectome import command, partitions, tables
from connectome.tabulate.cards import example_rows, text_rows
from connectome.tabulate.identity import fields


def main(args):
    def read(name):
        for path in getattr(args, name):
            names = fields(path, f"{{model}}/{{dictionary}}/features/{name}.parquet")
            yield names, tables.read_table(path).to_pylist()

    labels = {}
    for path in args.partitions:
        names = fields(path, "{model}/{dictionary}/partitions.parquet")
        table = partitions.load(path)
        labels[names["model"], names["dictionary"]] = {
            name: partitions.labels(table, name) for name in partitions.KIND_OF
        }
    named = features.feature
    written = {
        "cards": (features.card_rows(read("cards"), labels), features.CARD_COLUMNS),
        "examples": (
            example_rows(read("examples"), features.EXAMPLE_COLUMNS, named),
            features.EXAMPLE_COLUMNS,
        ),
        "tokens": (
            text_rows(read("tokens"), features.TOKEN_COLUMNS, named),
            features.TOKEN_COLUMNS,
        ),
        "logits": (
            text_rows(read("logits"), features.LOGIT_COLUMNS, named),
            features.LOGIT_COLUMNS,
        ),
        "scores": (features.score_rows(read("scores")), features.SCORE_COLUMNS),
    }
    for name, (rows, columns) in written.items():
        tables.write_csv(args.output / f"feature_{name}.csv", rows, columns)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    for name in ("cards", "examples", "tokens", "logits", "scores"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--partitions", type=Path, nargs="*", default=[], metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True, help="folder of the tables")
    command.run(main, parser)
