"""What single features of a sparse dictionary respond to and write; one job per model."""

import functools
from pathlib import Path

import pyarrow as pa

from connectome import (
    arrays,
    command,
    dictionary_files,
    feature_cards,
    models,
    part_graphs,
    prompts,
    region_writing,
    tables,
    tokenizer,
    transformer,
)
from connectome.tabulate.identity import fields


def able_nodes(args):
    """Nodes of the graph of single features, for each task that the model can do."""
    competent = {
        fields(path, "tasks/{task}.competence.json")["task"]: arrays.read_json(path)["competent"]
        for path in args.competence
    }
    for path in args.nodes:
        task = fields(path, "circuits/{task}.nodes.parquet")["task"]
        if competent[task]:
            nodes = tables.read_table(path)
            yield task, part_graphs.rows_of(nodes, "features", args.cfg["method"])


def main(args):
    handle = models.open_handle(args.model)
    model = transformer.load(handle.directory, args.cfg["model_dtype"], args.device)
    vocabulary = tokenizer.load(handle.directory)
    words = feature_cards.Words(
        vocabulary.size,
        handle.record["vocabulary"],
        functools.partial(tokenizer.piece, vocabulary),
    )
    discovery = (prompts.of_table(tables.read_table(path), "discovery") for path in args.prompts)
    scales = [region_writing.mean_scales(model, of_task) for of_task in discovery if len(of_task)]
    reader = region_writing.reader_of(model, scales)
    nodes = dict(able_nodes(args))
    parts = {}
    for path in args.features:
        parts.setdefault(tables.read_meta(path)["site"], []).append(path)
    rows = {name: [] for name in feature_cards.SCHEMAS}
    for folder in dict.fromkeys(path.parent for path in args.dictionaries):
        dictionary, _ = dictionary_files.read(folder)
        site, features = folder.name, dictionary.features
        found = feature_cards.describe(
            feature_cards.Site(
                site,
                dictionary.decoder.double().numpy(),
                functools.partial(feature_cards.batches, parts[site], features),
            ),
            {task: feature_cards.scores_of(table, site, features) for task, table in nodes.items()},
            reader,
            words,
            args.cfg["cards"],
            args.cfg["seed"],
        )
        for name, more in found.items():
            rows[name] += more
    for name, schema in feature_cards.SCHEMAS.items():
        listed = pa.Table.from_pylist(rows[name], schema=schema)
        tables.write_table(getattr(args, name), listed, args.stamp, {"scale": reader.scale})


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--dictionaries", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--features", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--prompts", type=Path, nargs="*", default=[], metavar="PARQUET")
    parser.add_argument("--competence", type=Path, nargs="*", default=[], metavar="RECORD")
    parser.add_argument("--nodes", type=Path, nargs="*", default=[], metavar="PARQUET")
    for name in feature_cards.SCHEMAS:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PARQUET")
    command.run(main, parser)
