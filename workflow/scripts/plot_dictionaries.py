"""Figure: training, firing and quality of one dictionary, all its sites and runs."""

from pathlib import Path

import connectome.plots.style as style
from connectome import command, tables
from connectome.plots.dictionaries import COLUMNS, draw, select


def main(args):
    read = [tables.read_csv(path) for path in (args.dictionaries, args.training, args.density)]
    rows = select(*read, (args.model, args.dictionary))
    tables.write_csv(args.output, rows, COLUMNS)
    style.save(draw(tables.read_csv(args.output)), args.output, args.cfg["dpi"])


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--dictionaries", type=Path, required=True, help="dictionaries.csv")
    parser.add_argument("--training", type=Path, required=True, help="dictionary_training.csv")
    parser.add_argument("--density", type=Path, required=True, help="dictionary_density.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
