"""Tables of the ROIs: rois.csv, their part in each task, and how much of that is their size."""

from pathlib import Path

import connectome.tabulate.rois as rois
from connectome import arrays, command, moments, tables
from connectome.tabulate.identity import fields


def main(args):
    found, edges = {}, {}
    for path in args.covariance:
        names = fields(path, "{model}/{dictionary}/covariance/{site}.{kind}.npz")
        of_pair = found.setdefault((names["model"], names["dictionary"]), {})
        content, _ = arrays.read_npz(path)
        of_pair[names["site"], names["kind"]] = moments.full(content)
    for path in args.graphs:
        names = fields(path, "{model}/{dictionary}/graph/{site}.{kind}.npz")
        of_pair = edges.setdefault((names["model"], names["dictionary"]), {})
        content, _ = arrays.read_npz(path)
        of_pair[names["site"], names["kind"]] = rois.edges_of(content)
    rows, labels = [], {}
    for path in args.partitions:
        names = fields(path, "{model}/{dictionary}/partitions.parquet")
        pair = names["model"], names["dictionary"]
        labels[pair] = columns = tables.read_table(path).to_pydict()
        kinds = rois.kinds(columns, tables.read_meta(path))
        rows += rois.rows(names, columns, kinds, found[pair], edges[pair], args.cfg["seed"])
    tables.write_csv(args.output, rows, rois.COLUMNS)
    nodes = [
        (
            fields(path, "{model}/{dictionary}/circuits/{task}.nodes.parquet"),
            tables.read_table(path, (*rois.NODE_COLUMNS, "mean_abs")).to_pylist(),
        )
        for path in args.nodes
    ]
    scores = rois.score_rows(nodes, labels, args.cfg["method"])
    tables.write_csv(args.scores, scores, rois.SCORE_COLUMNS)
    tables.write_csv(args.sizes, rois.size_rows(scores), rois.SIZE_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--covariance", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument("--graphs", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument("--partitions", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--nodes", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--sizes", type=Path, required=True)
    command.run(main, parser)
