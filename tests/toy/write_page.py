"""Write the sum as a page."""

from pathlib import Path

from connectome import arrays, command


def main(args):
    with command.atomic(args.output) as temporary:
        temporary.write_text(f"the sum is {arrays.read_json(args.sum)['sum']}\n")


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--sum", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
