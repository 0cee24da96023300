"""Tables of the built models: truth.csv, known_heads.csv, certificates.csv."""

from pathlib import Path

from connectome import arrays, command, tables
from connectome.tabulate import truth
from connectome.tabulate.identity import fields


def main(args):
    known = {path.parent.name: arrays.read_json(path) for path in args.known}
    attention, competence = {}, {}
    for path in args.attention:
        names = fields(path, "{model}/known/{task}.parquet")
        attention[names["model"], names["task"]] = tables.read_table(path).to_pylist()
    for path in args.competence:
        names = fields(path, "{model}/tasks/{task}.competence.json")
        competence[names["model"], names["task"]] = arrays.read_json(path)
    cases = []
    for nodes, edges in zip(args.nodes, args.edges, strict=True):
        names = fields(nodes, "{model}/{dictionary}/circuits/{task}.nodes.parquet")
        key = (names["model"], names["task"])
        cases.append(
            truth.Case(
                names,
                known[names["model"]],
                attention[key],
                tables.read_table(nodes).to_pylist(),
                tables.read_table(edges).to_pylist(),
                competence[key],
                tables.read_csv(args.circuits),
            )
        )
    exact = args.cfg["exact"]
    rows = [row for case in cases for row in truth.rows(case, exact)]
    heads = [row for case in cases for row in truth.head_rows(case)]
    tables.write_csv(args.output, rows, truth.COLUMNS)
    tables.write_csv(args.heads, heads, truth.HEAD_COLUMNS)
    certificates = [truth.certificate(case) for case in cases]
    tables.write_csv(args.certificates, certificates, truth.CERTIFICATE_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--known", type=Path, nargs="+", required=True, metavar="KNOWN_JSON")
    parser.add_argument("--attention", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--competence", type=Path, nargs="+", required=True, metavar="JSON")
    parser.add_argument("--nodes", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--edges", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--circuits", type=Path, required=True, help="circuits.csv")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--certificates", type=Path, required=True)
    command.run(main, parser)
