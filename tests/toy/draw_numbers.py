"""Draw a few numbers."""

import time
from pathlib import Path

from connectome import arrays, command, toy_numbers


def main(args):
    time.sleep(args.cfg["pairs"]["heldout"] / 1000)
    numbers = toy_numbers.draw(args.cfg["seed"], args.cfg["pairs"]["discovery"])
    arrays.write_json(args.output, {"numbers": numbers}, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
