"""Tables of several models: matching, matched_rois, overlap, growth and comparison, as CSV."""

from pathlib import Path

import connectome.tabulate.comparison as comparison
from connectome import arrays, command, partitions, tables
from connectome.tabulate import growth, overlap
from connectome.tabulate.identity import fields
from connectome.tabulate.rois import edges_of

PAIR = "comparison/{dictionary}/{left}.{right}"
CIRCUIT = "{model}/{dictionary}/circuits/{task}"


def found_in(paths, kind, relations):
    for path in paths:
        names = fields(path, f"{PAIR}.{kind}.parquet")
        yield (
            {"dictionary": names["dictionary"], **relations[names["left"], names["right"]]},
            tables.read_table(path).to_pydict(),
        )


def overlaps(args, relations, competence, partners):
    scores = {}
    for nodes, edges in zip(args.nodes, args.edges, strict=True):
        names = fields(nodes, f"{CIRCUIT}.nodes.parquet")
        of_files = [tables.read_table(path).to_pylist() for path in (nodes, edges)]
        scores[tuple(names.values())] = overlap.scores(*of_files, args.cfg["method"])
    able = {(row["model"], row["task"]) for row in competence if row["competent"] == "true"}
    dictionaries, tasks = (list(dict.fromkeys(key[i] for key in scores)) for i in (1, 2))
    pairs = []
    for dictionary in dictionaries:
        for (left, right), relation in relations.items():
            for task in tasks:
                found = [scores.get((model, dictionary, task)) for model in (left, right)]
                if None not in found:
                    names = {"dictionary": dictionary, **relation, "task": task}
                    both = {(left, task), (right, task)} <= able
                    pairs.append(overlap.Pair(names, both, *found))
    return overlap.rows(pairs, partners, args.cfg["method"], args.cfg["sizes"])


def modularity(args):
    edges, rows = {}, []
    for path in args.graphs:
        names = fields(path, "{model}/{dictionary}/graph/{site}.{kind}.npz")
        of_pair = edges.setdefault((names["model"], names["dictionary"]), {})
        of_pair[names["site"], names["kind"]] = edges_of(arrays.read_npz(path)[0])
    for path in args.partitions:
        names = fields(path, "{model}/{dictionary}/partitions.parquet")
        table = partitions.load(path)
        labels = {name: partitions.labels(table, name) for name in partitions.KIND_OF}
        of_pair = edges[names["model"], names["dictionary"]]
        rows += growth.modularity_rows(names, of_pair, labels, args.cfg["draws"], args.cfg["seed"])
    return rows


def main(args):
    relations = {(pair["left"], pair["right"]): pair for pair in args.cfg["pairs"]}
    competence, sites, sizes_of_parts, sizes = (tables.read_csv(path) for path in args.tables)
    matching = comparison.rows(found_in(args.matching, "matching", relations))
    rois = comparison.roi_rows(found_in(args.pairs, "pairs", relations))
    shared = overlaps(args, relations, competence, comparison.partners(rois))
    parameters = {}
    for path in args.models:
        record = arrays.read_json(path)
        parameters[record["name"]] = record["parameters"]
    models = growth.in_order(args.cfg["models"], parameters)
    structure = modularity(args)
    read = (competence, sites, sizes_of_parts, sizes)
    grown = growth.rows(models, *read, structure, args.cfg["method"])
    for name, rows, columns in (
        ("matching", matching, comparison.COLUMNS),
        ("matched_rois", rois, comparison.ROI_COLUMNS),
        ("overlap", shared, overlap.COLUMNS),
        ("growth", grown, growth.COLUMNS),
        ("comparison", comparison.verdicts(matching, rois, shared), comparison.VERDICT_COLUMNS),
    ):
        tables.write_csv(args.output / f"{name}.csv", rows, columns)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--models", type=Path, nargs="+", required=True, metavar="MODEL.JSON")
    parser.add_argument("--matching", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--nodes", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--edges", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--graphs", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument("--partitions", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument(
        "--tables", type=Path, nargs=4, required=True, metavar="CSV",
        help="competence, sites, partitions and sizes",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, help="folder of the tables")
    command.run(main, parser)
