"""Nested block model of one site's graph; runs in the interpreter that has graph-tool."""

from pathlib import Path

from connectome import arrays, command, sbm


def main(args):
    graph, meta = arrays.read_npz(args.graph)
    record = sbm.fit(graph, meta, args.cfg["sbm"], args.cfg["seed"])
    arrays.write_json(args.output, record, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
