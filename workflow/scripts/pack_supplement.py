"""The supplement of a paper: page, figures, tables, exports, methods, records; one zip."""

import json
from pathlib import Path

from connectome import arrays, command, publication, supplement

README = """# Supplement

Results of lm-connectome for the configuration "{name}". Everything opens offline.

- `report.html`: the report; `figures/index.html`: all figures with their captions
- `figures/`: each figure as pdf, svg and png, with the csv it is drawn from and its caption (json)
- `tables/`: every number of the report
- `exports/methods.md`, `exports/methods.bib`: the methods of this run and the works they cite
- `exports/edges/`, `exports/graphml/`: scores of the circuits, as JSON by the names of edges and as
  GraphML (Gephi, Cytoscape)
- `exports/graphs/`: graphs of single prompts as circuit-tracer and Neuronpedia read them;
  `exports/features/`: the files of their features, a folder for each model or set of dictionaries,
  and the lists of them
- `config.json`: the whole configuration (`snakemake --configfile` reads it)
- `provenance.json`: versions, revision of the code, costs
- `snakemake.json`: for each result the rule, the inputs with their digests, parameters and times
- `MANIFEST.sha256`: digests of all files, read by `sha256sum --check MANIFEST.sha256`

Folders of the machine that made it are left out: `<path>/NAME` stands for them.
"""


def main(args):
    root, cfg = args.output.parents[1], args.cfg
    names = ["report.html", "figures/index.html", "exports/methods.md", "exports/methods.bib"]
    kinds = ("csv", "json", *publication.DRAWINGS)
    names += [f"figures/{name}.{kind}" for name in cfg["figures"] for kind in kinds]
    names += [f"tables/{name}.csv" for name in cfg["tables"]]
    names += cfg["exports"]
    members = {name: (root / name).read_bytes() for name in names}
    for name in cfg["exports"]:
        if name.startswith("exports/features/"):
            members |= supplement.listed_features(root, name)
    records = {
        "config.json": cfg["config"],
        "provenance.json": arrays.read_json(root / "provenance.json"),
        "snakemake.json": supplement.records(args.metadata, root, args.output),
    }
    for name, record in records.items():
        text = json.dumps(supplement.without_folders(record), sort_keys=True, indent=1)
        members[name] = f"{text}\n".encode()
    members["README.md"] = README.format(name=cfg["config"]["report"]["name"]).encode()
    home = Path(__file__).resolve().parents[2]
    supplement.check(members, [Path.home(), Path.cwd(), root.absolute(), home])
    with command.atomic(args.output) as temporary:
        supplement.pack(temporary, members)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument(
        "--metadata", type=Path, required=True, help="Snakemake's records: .snakemake/metadata"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="the zip, in `exports/` of the results"
    )
    command.run(main, parser)
