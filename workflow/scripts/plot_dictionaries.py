"""Figure: training, firing and quality of one dictionary, all its sites and runs."""

from pathlib import Path

import connectome.plots.dictionaries as dictionaries
from connectome import command, tables
from connectome.publication import publish


def main(args):
    sources = [args.dictionaries, args.training, args.density]
    read = [tables.read_csv(path) for path in sources]
    rows = dictionaries.select(*read, (args.model, args.dictionary))
    publish(dictionaries, rows, args.output, args.cfg, args.stamp, sources)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--dictionaries", type=Path, required=True, help="dictionaries.csv")
    parser.add_argument("--training", type=Path, required=True, help="dictionary_training.csv")
    parser.add_argument("--density", type=Path, required=True, help="dictionary_density.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
