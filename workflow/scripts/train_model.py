"""Train the embedded model on the micro-language and write it as a transformers directory."""

import argparse
from pathlib import Path

from transformers import GenerationConfig

from connectome import command, digest, language, resumption, tables, tokenizer, training


def main(args: argparse.Namespace) -> None:
    cfg = training.TrainingConfig.from_dict(args.cfg)
    code = command.canonical(digest.code_digests(Path(__file__), Path(__file__).parent))
    trained = training.train(cfg, args.state, code)
    tokenizer.save(tokenizer.build(language.words(), language.PIECE), args.model_dir, cfg.context)
    generation = GenerationConfig.from_model_config(trained.config)
    with command.atomic(args.model_dir / "generation_config.json") as temporary:
        temporary.write_text(generation.to_json_string(), encoding="utf-8")
    training.save_model(args.model_dir, trained.config, trained.weights)
    for step, weights in trained.checkpoints.items():
        training.save_model(args.checkpoint_dir / str(step), trained.config, weights)
    tables.write_table(args.curve, training.curve_columns(trained.curve), args.stamp)
    resumption.discard(args.state / training.STATE_FILE)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model-dir", type=Path, required=True, help="folder of the final model")
    parser.add_argument("--checkpoint-dir", type=Path, required=True, help="folder of STEP/ models")
    parser.add_argument("--curve", type=Path, required=True, help="training curve, Parquet")
    parser.add_argument("--state", type=Path, required=True, help="folder of the resume state")
    command.run(main, parser)
