"""How well the dictionary of one site gives back what the model does, on held-out documents."""

from pathlib import Path

from connectome import (
    arrays,
    command,
    dictionary_evaluation,
    dictionary_files,
    tables,
    transformer,
)


def main(args):
    model = transformer.open_model(args.model, args.cfg["model_dtype"], args.device)
    dictionary, about = dictionary_files.read(args.dictionary[0].parent)
    width = model.size.width
    dictionary_files.check_fits(dictionary, about, args.site, width, width)
    corpus, settings = tables.read_table(args.corpus), args.cfg["quality"]
    record = dictionary_evaluation.evaluate(
        model, corpus, args.activations, dictionary, args.site, settings, args.cfg["seed"]
    )
    arrays.write_json(args.output, record | {"dictionary": about}, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--activations", type=Path, nargs="+", required=True, help="part files")
    parser.add_argument("--dictionary", type=Path, nargs="+", required=True, help="its files")
    parser.add_argument("--site", required=True)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser)
