"""Figure: accuracy and gap of one model on each task."""

from pathlib import Path

import connectome.plots.competence as competence
from connectome import command, tables
from connectome.publication import publish


def main(args):
    rows = competence.select(tables.read_csv(args.competence), args.model)
    publish(competence, rows, args.output, args.cfg, args.stamp, [args.competence])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--competence", type=Path, required=True, help="competence.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
