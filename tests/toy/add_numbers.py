"""Add the numbers."""

from pathlib import Path

from connectome import arrays, command, toy_sums


def main(args):
    numbers = arrays.read_json(args.numbers)["numbers"]
    arrays.write_json(args.output, {"sum": toy_sums.total(numbers)}, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--numbers", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
