"""Nested block model of one site's graph; runs in the interpreter that has graph-tool."""

from pathlib import Path

from connectome import arrays, classical, command, sbm


def main(args):
    graph, meta = arrays.read_npz(args.graph)
    covariance, _ = arrays.read_npz(args.covariance)
    settings, seed = args.cfg["sbm"], args.cfg["seed"]
    record = sbm.fit(graph, meta, settings, seed)
    record["classical"] = classical.fit(record, covariance, settings, seed)
    arrays.write_json(args.output, record, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--covariance", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
