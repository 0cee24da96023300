"""Figures: the circuits of one task, one drawing per partition."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.circuit import COLUMNS, draw, facts, select


def main(args):
    names = {"model": args.model, "dictionary": args.dictionary, "task": args.task}
    found = {
        path.stem: [
            row
            for row in tables.read_csv(path)
            if all(row.get(name) in (None, value) for name, value in names.items())
        ]
        for path in args.tables
    }
    for output in args.output:
        partition = output.name.split(".")[4]
        of_part = {
            name: [row for row in rows if row.get("partition") in (None, partition)]
            for name, rows in found.items()
        }
        said = facts(of_part, args.task, partition, args.cfg["method"])
        rows = select(of_part["circuits"], of_part["roi_scores"], said)
        tables.write_csv(output, rows, COLUMNS)
        style.save(draw(tables.read_csv(output)), output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument(
        "--tables",
        type=Path,
        nargs="+",
        required=True,
        metavar="CSV",
        help="circuits, roi_scores, sizes, competence, prompts",
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument(
        "--output",
        type=Path,
        nargs="+",
        required=True,
        help="the figures' CSVs, circuit.MODEL.DICTIONARY.TASK.PARTITION.csv",
    )
    command.run(main, parser)
