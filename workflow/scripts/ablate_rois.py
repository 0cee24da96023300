"""What ROIs do: their direction in the logits, and what each task loses when one is ablated."""

from pathlib import Path

import pyarrow as pa

from connectome import (
    ablation,
    arrays,
    bench,
    command,
    models,
    moments,
    partitions,
    profiles,
    prompts,
    region_effects,
    region_writing,
    site_dictionaries,
    statistics,
    tables,
    tokenizer,
    transformer,
)


def main(args):
    settings, seed = args.cfg["cards"], args.cfg["seed"]
    handle = models.open_handle(args.model)
    model = transformer.open_model(
        *(args.model, args.cfg["model_dtype"], args.device),
        site_dictionaries.read(args.dictionaries),
    )
    found = region_effects.groups(tables.read_table(args.members))
    table = partitions.load(args.partitions)
    labels = {name: partitions.labels(table, name) for name in settings["partitions"]}
    sites, live = {}, {}
    for path in args.covariance:
        content, meta = arrays.read_npz(path)
        site, of_site = meta["site"], moments.full(content)
        own = model.writing(site)[: model.layout["features"][site]]
        sites[site] = region_writing.site_of(own, of_site)
        live[site] = profiles.live_features(
            {name: parts[site] for name, parts in labels.items()}, of_site.variance
        )
    random = region_effects.random_sets(found, live, settings["draws"], seed)
    rows, scales = [], []
    for path in args.prompts:
        task, every = path.stem, tables.read_table(path)
        discovery = prompts.of_table(every, "discovery")
        heldout = prompts.of_table(every, "heldout", settings["pairs"])
        if not len(heldout):
            continue  # a refused task
        scales.append(region_writing.mean_scales(model, discovery))
        on = bench.prepare(
            model,
            heldout,
            ablation.ablated_values(model, heldout, "mean", discovery),
            args.cfg["metrics"][task],
            statistics.bootstrap_weights(heldout.groups, settings["bootstrap"], seed),
            region_effects.MEMORY,
        )
        of_task = {"task": task, "metric": args.cfg["metrics"][task]}
        rows += [of_task | row for row in region_effects.task_rows(on, found, random)]
    effects = pa.Table.from_pylist(rows, schema=region_effects.SCHEMA)
    tables.write_table(args.effects, effects, args.stamp, {"ablation": "mean", "split": "heldout"})
    reader = region_writing.reader_of(model, scales)
    sites = {name: region_writing.scaled(site, name, scales) for name, site in sites.items()}
    written = region_writing.all_rows(
        found, sites, random, reader, tokenizer.load(handle.directory), settings["logits"]
    )
    for name, schema in region_writing.SCHEMAS.items():
        listed = pa.Table.from_pylist(written[name], schema=schema)
        tables.write_table(getattr(args, name), listed, args.stamp, {"scale": reader.scale})


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    command.add_dictionaries(parser)
    parser.add_argument("--members", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--partitions", type=Path, required=True)
    parser.add_argument("--covariance", type=Path, nargs="+", required=True, metavar="ARRAYS")
    parser.add_argument("--prompts", type=Path, nargs="+", required=True)
    parser.add_argument("--effects", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--writing", type=Path, required=True, metavar="PARQUET")
    parser.add_argument("--logits", type=Path, required=True, metavar="PARQUET")
    command.run(main, parser)
