"""Tables of what each model can do and of example prompts: competence.csv, prompts.csv."""

from pathlib import Path

from connectome import arrays, command, tables
from connectome.tabulate.competence import COLUMNS, PROMPT_COLUMNS, prompt_rows, rows
from connectome.tabulate.identity import fields

_PROMPTS = ["pair", "split", "clean", "corrupted", "answer_text", "wrong_text"]


def main(args):
    records = [
        (fields(path, "{model}/tasks/{task}.competence.json"), arrays.read_json(path))
        for path in args.competence
    ]
    tables.write_csv(args.output, rows(records), COLUMNS)
    prompts = [
        (
            fields(path, "{model}/tasks/{task}.parquet"),
            tables.read_table(path, _PROMPTS).to_pydict(),
        )
        for path in args.prompts
    ]
    examples = prompt_rows(prompts, args.cfg["examples"])
    tables.write_csv(args.examples, examples, PROMPT_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--competence", type=Path, nargs="+", required=True, metavar="RECORD")
    parser.add_argument("--prompts", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--examples", type=Path, required=True, help="prompts.csv")
    command.run(main, parser)
