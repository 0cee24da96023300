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
    tables,
    tokenizer,
    transformer,
)

LOGITS = 10  # tokens listed at either end


def examples_of(model, graphs, tasks, text_of):
    """The prompts of these graphs, each once, with the values of all units."""
    every = {
        row["clean"]: row["clean_ids"]
        for path in tasks
        for row in tables.read_table(path).to_pylist()
        if row["split"] == "heldout"
    }
    said = dict.fromkeys(graph["metadata"]["prompt"] for graph in graphs if graph["nodes"])
    by_shown = {graph_export.shown(text): ids for text, ids in every.items()}
    for prompt in said:
        ids = by_shown[prompt]
        trace = direct_effects.frozen(model, ids)
        values = {
            layer: direct_effects.unit_values(model, trace, site).cpu().numpy()
            for layer, site in enumerate(direct_effects.mlp_sites(model))
        }
        yield feature_export.Example([text_of(token) for token in ids], values)


def main(args):
    handle = models.open_handle(args.model)
    words = tokenizer.load(handle.directory)
    text_of = functools.partial(tokenizer.piece, words)
    dtype = torch.float64 if args.cfg["model_dtype"] == "float64" else torch.float32
    model = transformer.load(handle.directory, dtype, args.device)
    graphs = [arrays.read_json(path) for path in args.graphs]
    examples = list(examples_of(model, graphs, args.prompts, text_of))
    discovery = (prompts.of_table(tables.read_table(path), "discovery") for path in args.prompts)
    scales = [region_writing.mean_scales(model, of_task) for of_task in discovery if len(of_task)]
    scan, files = graph_export.scan_of(handle.record["name"], []), {}
    folder = args.output.parent / scan
    features = feature_export.features_of(graphs)
    reader = region_writing.reader_of(model, scales) if features else None
    for layer, index in features:
        written = model.writing(f"mlp.{layer}")[index].double().cpu().numpy()
        effect = region_writing.logit_effect(written, reader)[: words.size]
        found = feature_export.record(layer, index, scan, examples, effect, text_of, LOGITS)
        name = feature_export.name_of(layer, index)
        text = json.dumps(found, sort_keys=True, allow_nan=False) + "\n"
        with command.atomic(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        files[name] = hashlib.sha256(text.encode()).hexdigest()
    for left in folder.glob("*.json"):
        if left.name not in files:
            left.unlink()
    arrays.write_json(args.output, {"scan": scan, "files": files}, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--graphs", type=Path, nargs="*", default=[], metavar="JSON")
    parser.add_argument("--prompts", type=Path, nargs="*", default=[], metavar="PARQUET")
    parser.add_argument("--output", type=Path, required=True, help="the list of the files")
    command.run(main, parser)
