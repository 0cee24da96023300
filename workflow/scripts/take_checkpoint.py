"""A checkpoint of a training as a model of its own: its files in one folder, unchanged."""

import shutil
from pathlib import Path

from connectome import command


def main(args):
    for path in args.files:
        with command.atomic(args.model_dir / path.name) as temporary:
            shutil.copyfile(path, temporary)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--files", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder of the checkpoint")
    command.run(main, parser)
