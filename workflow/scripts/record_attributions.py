"""Attributions of the task mixture to every native feature: one row per discovery prompt."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from connectome import (
    activations,
    arrays,
    attribution,
    command,
    models,
    prompts,
    tables,
    transformer,
)


def main(args):
    model = transformer.load(models.open_handle(args.model).directory)
    sites = [
        name.rpartition(".")[0]
        for name in activations.columns_of(model, args.cfg["sites"], outputs=())
    ]
    left_out, rows, scores = {}, {"task": [], "pair": []}, {site: [] for site in sites}
    for path, judged in zip(args.prompts, args.competence, strict=True):
        record = arrays.read_json(judged)
        if not record["competent"]:
            left_out[record["task"]] = record["reason"]
            continue
        pairs = prompts.of_table(tables.read_table(path), "discovery")
        found = attribution.site_attributions(model, pairs, args.cfg["metrics"][record["task"]])
        for site in sites:
            scores[site].append(found[site])
        rows["task"] += [record["task"]] * len(pairs)
        rows["pair"] += range(len(rows["pair"]), len(rows["pair"]) + len(pairs))
    columns = {
        "task": pa.array(rows["task"], pa.string()),
        "pair": pa.array(rows["pair"], pa.int32()),
    }
    for site in sites:
        width = model.features(site)
        values = np.concatenate(scores[site]) if scores[site] else np.zeros((0, width), np.float32)
        columns[site] = tables.fixed_lists(values)
    meta = {"left_out": left_out, "tasks": sorted(set(rows["task"]))}
    tables.write_table(args.output, columns, args.stamp, meta)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL.JSON")
    parser.add_argument("--prompts", type=Path, nargs="+", required=True)
    parser.add_argument("--competence", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
