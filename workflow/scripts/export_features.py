"""Feature files of the units in a model's exported graphs, and a record that lists them."""

import functools
import hashlib
import json
from pathlib import Path

import torch

from connectome import (
    arrays,
    command,
    direct_effects,
    feature_export,
    graph_export,
    models,
    prompts,
    region_writing,
    site_dictionaries,
    tables,
    tokenizer,
    transformer,
)

LOGITS = 10  # tokens listed at either end


def examples_of(model, graphs, tasks, text_of):
    """The prompts of these graphs, each once, with the values of all units."""
    ids_of = {
        graph_export.shown(row["clean"]): row["clean_ids"]
        for path in tasks
        for row in tables.read_table(path).to_pylist()
        if row["split"] == "heldout"
    }
    for prompt in dict.fromkeys(graph["metadata"]["prompt"] for graph in graphs if graph["nodes"]):
        trace = direct_effects.frozen(model, ids_of[prompt])
        values = {
            layer: direct_effects.unit_values(model, trace, site).cpu().numpy()
            for layer, site in enumerate(direct_effects.mlp_sites(model))
        }
        yield feature_export.Example([text_of(token) for token in ids_of[prompt]], values)


def cards_of(args):
    """Rows of the tables of cards, {(site, feature): {table: rows}}."""
    found = {}
    for path in args.cards:
        for row in tables.read_table(path).to_pylist():
            of_feature = found.setdefault((row["site"], row["feature"]), {})
            of_feature.setdefault(path.stem, []).append(row)
    return found


def write_files(folder, records):
    """Write a record per file name, take away what is left of earlier ones; digests by name."""
    digests = {}
    for name, found in records:
        text = json.dumps(found, sort_keys=True, allow_nan=False) + "\n"
        with command.atomic(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        digests[name] = hashlib.sha256(text.encode()).hexdigest()
    for left in folder.glob("*.json"):
        if left.name not in digests:
            left.unlink()
    return digests


def main(args):
    handle = models.open_handle(args.model)
    words = tokenizer.load(handle.directory)
    text_of = functools.partial(tokenizer.piece, words)
    given = site_dictionaries.read(args.dictionaries)
    used = {site: found for site, found in given.items() if found.transcoder}
    dtype = torch.float64 if args.cfg["model_dtype"] == "float64" else torch.float32
    model = transformer.load(handle.directory, dtype, args.device, used)
    graphs = [arrays.read_json(path) for path in args.graphs]
    examples = list(examples_of(model, graphs, args.prompts, text_of))
    discovery = (prompts.of_table(tables.read_table(path), "discovery") for path in args.prompts)
    scales = [region_writing.mean_scales(model, of_task) for of_task in discovery if len(of_task)]
    scan = graph_export.scan_of(handle.record["name"], graph_export.descriptions(used))
    reader, cards = region_writing.reader_of(model, scales), cards_of(args)

    def records():
        for layer, index in feature_export.features_of(graphs):
            site = f"mlp.{layer}"
            written = model.writing(site)[index].double().cpu().numpy()
            effect = region_writing.logit_effect(written, reader)[: words.size]
            found = feature_export.record(layer, index, scan, examples, effect, text_of, LOGITS)
            card = cards.get((site, index), {}) if site in used else {}
            if "cards" in card:
                rows = (card.get(name, []) for name in ("examples", "logits"))
                found = feature_export.carded(found, card["cards"][0], *rows)
            yield feature_export.name_of(layer, index), found

    files = write_files(args.output.parent / scan, records())
    arrays.write_json(args.output, {"scan": scan, "files": files}, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    command.add_dictionaries(parser)
    for name, kind in (("graphs", "JSON"), ("prompts", "PARQUET")):
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[], metavar=kind)
    parser.add_argument(
        "--cards",
        type=Path,
        nargs="*",
        default=[],
        metavar="PARQUET",
        help="cards, examples and logits of describe_features",
    )
    parser.add_argument("--output", type=Path, required=True, help="the list of the files")
    command.run(main, parser)
