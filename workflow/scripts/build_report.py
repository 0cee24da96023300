"""The report: one offline page from the tables and figures beside it."""

from pathlib import Path

from connectome import command
from connectome.report.build import build, unfinished_path

FRAGMENTS = Path(__file__).resolve().parents[1] / "report"


def main(args):
    page = build(args.output.parent, args.cfg, FRAGMENTS)
    with command.atomic(args.output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    unfinished_path(args.output).unlink(missing_ok=True)  # an earlier run that failed left it


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument(
        "--output", type=Path, required=True, help="page; `tables/` and `figures/` lie beside it"
    )
    command.run(main, parser)
