"""What the model can do of one task, on both prompts of each pair."""

from pathlib import Path

from connectome import arrays, command, competence, outcomes, prompts, tables, transformer


def main(args):
    settings = args.cfg["competence"]
    model = transformer.open_model(args.model, args.cfg["model_dtype"], args.device)
    table, about = tables.read_table(args.prompts), tables.read_meta(args.prompts)
    refused = about["status"] == "refused"
    splits = {}
    for split in ("discovery", "heldout"):
        if refused:
            splits[split] = competence.unmeasured()
            continue
        found = outcomes.of_prompts(model, prompts.of_table(table, split), args.cfg["metric"])
        splits[split] = competence.measure(found, settings["draws"], args.cfg["seed"])
    reason = about["reason"] if refused else competence.verdict(splits["heldout"])
    record = {
        "task": args.prompts.stem,
        "metric": args.cfg["metric"],
        "chance": splits["heldout"]["chance_clean"],
        "competent": reason is None,
        "reason": reason,
        "splits": splits,
        "words": about.get("words"),
    }
    arrays.write_json(args.output, record, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
