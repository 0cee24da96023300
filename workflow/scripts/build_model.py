"""Build a model by hand, as a transformers directory, and write down what is known of it."""

from pathlib import Path

from connectome import arrays, assembly, checkpoint, command, known, language, tokenizer


def main(args):
    name = args.cfg["build"]
    build = known.of_name(name)
    words = tokenizer.build(build.WORDS, language.PIECE)
    tokenizer.save(words, args.model_dir, build.SIZE.context)
    weights = assembly.assemble(build.design(), args.cfg["seed"])
    checkpoint.write(args.model_dir, known.settings(name), weights)
    arrays.write_json(args.known, known.record(name), args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--model-dir", type=Path, required=True, help="folder of the model")
    parser.add_argument("--known", type=Path, required=True, help="record of the known heads")
    command.run(main, parser)
