"""Train the dictionary of one site on recorded activations, and write it in the SAELens layout."""

from pathlib import Path

import torch

from connectome import (
    arrays,
    command,
    devices,
    dictionary_files,
    dictionary_hooks,
    digest,
    models,
    resumption,
    tables,
)
from connectome import dictionary_data as data
from connectome import dictionary_training as training
from connectome.dictionary_settings import DictionarySettings


def main(args):
    settings = DictionarySettings.from_dict(args.cfg["train"], args.cfg["seed"])
    columns = data.columns_of(args.site, settings.transcoder)
    recording = data.survey(args.activations, columns)
    code = command.canonical(digest.code_digests(Path(__file__), Path(__file__).parent))
    state, device = args.state / training.STATE_FILE, devices.resolve(args.device)[0]
    trained = training.train(recording, settings, state, device, code)
    about = {"site": args.site, "columns": columns, "data": recording.digest}
    model = models.open_handle(args.model).record
    names = dictionary_hooks.names_of(args.site, model["architecture"], settings.transcoder)
    metadata = {"model_name": model["hub"] or model["name"], **names, "connectome": about}
    metadata["training_architecture"] = settings.architecture
    files = dictionary_files.Files(args.config, args.weights, args.sparsity)
    density = torch.from_numpy(trained.density)
    dictionary_files.write(files, trained.dictionary, density, metadata, args.stamp)
    record = {**args.cfg, **about, "rows": recording.rows, **trained.record}
    arrays.write_json(args.record, record, args.stamp)
    tables.write_csv(args.curve, trained.curve, training.LOSS_COLUMNS)
    resumption.discard(state)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--activations", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--site", required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of the resume state")
    for name in ("config", "weights", "sparsity", "record", "curve"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    command.run(main, parser)
