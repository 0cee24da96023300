"""Figure: all units of a model on one axis, for one task."""

from pathlib import Path

import connectome.plots.units as units
from connectome import command, tables
from connectome.publication import publish


def main(args):
    sources = {name: tables.read_csv(getattr(args, name)) for name in ("faithfulness", "errors")}
    rows = units.select(sources, args.model, args.task, args.cfg["method"], args.native)
    read = [args.faithfulness, args.errors]
    publish(units, rows, args.output, args.cfg, args.stamp, read)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--faithfulness", type=Path, required=True, help="faithfulness.csv")
    parser.add_argument("--errors", type=Path, required=True, help="errors.csv")
    parser.add_argument("--model", required=True)
    parser.add_argument("--native", required=True, help="dictionary of the native features")
    parser.add_argument("--task", required=True)
    parser.add_argument("--output", type=Path, required=True, help="the figure's CSV")
    command.run(main, parser)
