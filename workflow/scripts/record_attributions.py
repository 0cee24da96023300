"""Attributions of the task mixture to every feature: one row per discovery prompt."""

from pathlib import Path

import pyarrow as pa

from connectome import (
    activations,
    arrays,
    command,
    mixture,
    prompts,
    site_dictionaries,
    tables,
    transformer,
)


def main(args):
    model = transformer.open_model(
        *(args.model, args.cfg["model_dtype"], args.device),
        site_dictionaries.read(args.dictionaries),
    )
    columns = activations.columns_of(model, args.cfg["sites"], outputs=())
    sites = [name.rpartition(".")[0] for name in columns]
    prompts_of, left_out = {}, {}
    for path, judged in zip(args.prompts, args.competence, strict=True):
        record = arrays.read_json(judged)
        if record["competent"]:
            prompts_of[record["task"]] = prompts.of_table(tables.read_table(path), "discovery")
        else:
            left_out[record["task"]] = record["reason"]
    found = mixture.attributions(model, prompts_of, args.cfg["metrics"], sites)
    rows = {"task": pa.array(found.tasks, pa.string()), "pair": found.pairs}
    rows |= {site: tables.fixed_lists(values) for site, values in found.values.items()}
    tables.write_table(args.output, rows, args.stamp, {"left_out": left_out})


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    command.add_dictionaries(parser)
    parser.add_argument("--prompts", type=Path, nargs="+", required=True)
    parser.add_argument("--competence", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
