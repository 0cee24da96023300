"""Tables of the ROI cards: roi_{cards,examples,tokens,logits,effects,tests}.csv."""

from pathlib import Path

import connectome.tabulate.cards as cards
from connectome import arrays, command, tables
from connectome.tabulate.identity import fields
from connectome.tabulate.region_scores import attributions

NODE_COLUMNS = ("partition", "method", "node", "score")


def main(args):
    def read(paths, name):
        for path in paths:
            names = fields(path, f"{{model}}/{{dictionary}}/rois/{name}.parquet")
            yield names, tables.read_table(path).to_pylist()

    competent = {}
    for path in args.competence:
        names = fields(path, "{model}/tasks/{task}.competence.json")
        competent[names["model"], names["task"]] = arrays.read_json(path)["competent"]
    nodes = (
        (
            fields(path, "{model}/{dictionary}/circuits/{task}.nodes.parquet"),
            tables.read_table(path, NODE_COLUMNS).to_pylist(),
        )
        for path in args.nodes
    )
    scores = attributions(nodes, read(args.members, "members"), args.cfg["method"])
    effects = cards.effect_rows(read(args.effects, "effects"), competent, scores)
    written = {
        "cards": (
            cards.card_rows(read(args.profiles, "profiles"), read(args.writing, "writing")),
            cards.CARD_COLUMNS,
        ),
        "examples": (
            cards.example_rows(read(args.examples, "examples")),
            cards.EXAMPLE_COLUMNS,
        ),
        "tokens": (
            cards.text_rows(read(args.tokens, "tokens"), cards.TOKEN_COLUMNS),
            cards.TOKEN_COLUMNS,
        ),
        "logits": (
            cards.text_rows(read(args.logits, "logits"), cards.LOGIT_COLUMNS),
            cards.LOGIT_COLUMNS,
        ),
        "effects": (effects, cards.EFFECT_COLUMNS),
        "tests": (cards.test_rows(effects), cards.TEST_COLUMNS),
    }
    for name, (rows, columns) in written.items():
        tables.write_csv(args.output / f"roi_{name}.csv", rows, columns)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--competence", type=Path, nargs="+", required=True, metavar="RECORD")
    parser.add_argument("--nodes", type=Path, nargs="+", required=True, metavar="PARQUET")
    for name in ("profiles", "members", "examples", "tokens", "effects", "writing", "logits"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True, help="folder of the tables")
    command.run(main, parser)
