"""Figures: the circuits of one task, one drawing per partition."""

from pathlib import Path

import connectome.plots.circuit as circuit
from connectome import command, tables
from connectome.publication import publish


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
        said = circuit.facts(of_part, args.task, partition, args.cfg["method"])
        rows = circuit.select(of_part["circuits"], of_part["roi_scores"], said)
        publish(circuit, rows, output, args.cfg, args.stamp, args.tables)


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
