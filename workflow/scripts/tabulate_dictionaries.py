"""Tables of the dictionaries: dictionaries.csv, dictionary_training.csv, dictionary_density.csv."""

from pathlib import Path

from connectome import arrays, command, decoder_cosines, tables
from connectome.tabulate import dictionaries
from connectome.tabulate.identity import fields


def by_key(paths):
    return {tuple(fields(path.parent, dictionaries.PATH).values()): path for path in paths}


def main(args):
    measured = {key: arrays.read_json(path) for key, path in by_key(args.metrics).items()}
    trained = {key: arrays.read_json(path) for key, path in by_key(args.records).items()}
    curves = {key: tables.read_csv(path) for key, path in by_key(args.curves).items()}
    weights, shares = by_key(args.weights), {}
    for twins in dictionaries.twins(trained):
        decoders = [arrays.read_tensor(weights[key], "W_dec") for key in twins]
        share = decoder_cosines.matched_share(*decoders)
        for key in twins:
            shares.setdefault(key, []).append(share)
    rows = dictionaries.rows(measured, trained, shares)
    tables.write_csv(args.output, rows, dictionaries.COLUMNS)
    training = dictionaries.training_rows(curves)
    tables.write_csv(args.training, training, dictionaries.TRAINING_COLUMNS)
    density = dictionaries.density_rows(measured)
    tables.write_csv(args.density, density, dictionaries.DENSITY_COLUMNS)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--metrics", type=Path, nargs="*", default=[], metavar="METRICS_JSON")
    parser.add_argument("--records", type=Path, nargs="*", default=[], metavar="TRAIN_JSON")
    parser.add_argument("--curves", type=Path, nargs="*", default=[], metavar="LOSS_CSV")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="of the trained ones")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--training", type=Path, required=True)
    parser.add_argument("--density", type=Path, required=True)
    command.run(main, parser)
