"""Direct effects within a held-out prompt, as graph JSON for circuit-tracer and Neuronpedia."""

import functools
from pathlib import Path

import torch

from connectome import (
    arrays,
    command,
    direct_effects,
    graph_export,
    models,
    partitions,
    prompts,
    site_dictionaries,
    tables,
    tokenizer,
    transformer,
)

NONE = (
    "no dictionary here is a transcoder of an MLP: what an autoencoder of a module's output reads "
    "is not linear in what was written before"
)


def rois_of(path, partition, native):
    """ROI of each unit by layer, of the MLPs that were mapped; `native` sites have other units."""
    found = partitions.labels(partitions.load(path), partition)
    return {
        int(site[4:]): labels
        for site, labels in found.items()
        if site.startswith("mlp") and site not in native
    }


def graph_of(model, ids, pair, settings):
    """The graph of one prompt, what is kept of it, and the tokens whose logits it has."""
    trace = direct_effects.frozen(model, ids)
    answers = [x[0][x[0] >= 0].tolist() for x in (pair.right, pair.wrong)]
    found = direct_effects.outputs(
        model, trace, *answers, settings["logit_share"], settings["logits"]
    )
    graph = direct_effects.graph(model, trace, ids, found, settings["nodes"])
    nodes = graph_export.Nodes(*graph[:5])
    probability = dict(zip(found.tokens, found.probability, strict=True))
    weights = graph_export.weights_of(nodes, probability)
    return nodes, graph.effects, graph_export.keep(nodes, graph.effects, weights, settings), found


def main(args):
    handle, settings = models.open_handle(args.model), args.cfg["exports"]
    given = site_dictionaries.read(args.dictionaries)
    used = {site: found for site, found in given.items() if found.transcoder}
    rows = tables.read_table(args.prompts).to_pylist()
    heldout = [row for row in rows if row["split"] == "heldout"]
    texts = list(dict.fromkeys(row["clean"] for row in heldout))
    known = args.prompt < len(texts)
    row = next(row for row in heldout if row["clean"] == texts[args.prompt]) if known else None
    about = graph_export.About(
        slug=args.output.stem,
        scan=graph_export.scan_of(handle.record["name"], graph_export.descriptions(used)),
        prompt=row["clean"] if row else "",
        tokens=row["clean_ids"] if row else [],
        layers=handle.layers,
        probability={},
        targets=[],
        text_of=functools.partial(tokenizer.piece, tokenizer.load(handle.directory)),
        rois=rois_of(args.partitions, settings["partition"], given.keys() - used.keys()),
        partition=settings["partition"],
        settings=settings,
        transcoders=sorted(used),
    )
    reason = f"the task has {len(texts)} held-out prompts, and this is number {args.prompt}"
    if given and not used:
        row, reason = None, NONE
    if row is None:
        arrays.write_json(args.output, graph_export.refused(about, reason), args.stamp)
        return
    # sums of many effects: never in less than single precision
    dtype = torch.float64 if args.cfg["model_dtype"] == "float64" else torch.float32
    model = transformer.load(handle.directory, dtype, args.device, used)
    pair = prompts.of_lists(
        *([row[name]] for name in ("clean_ids", "corrupted_ids", "answers", "wrong"))
    )
    nodes, effects, kept, found = graph_of(model, row["clean_ids"], pair, settings)
    about = about._replace(
        probability=dict(zip(found.tokens, found.probability, strict=True)),
        targets=[token for token, right in zip(found.tokens, found.target, strict=True) if right],
    )
    written = graph_export.record(nodes, effects, kept, about)
    arrays.write_json(args.output, written, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    command.add_dictionaries(parser)
    parser.add_argument("--prompts", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--partitions", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--prompt", type=int, required=True, help="which held-out one, from 0")
    parser.add_argument("--output", type=Path, required=True, help="SLUG.json")
    command.run(main, parser)
