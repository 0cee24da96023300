"""Train the dictionary of one site on recorded activations, and write it in the SAELens layout."""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from connectome import arrays, command, devices, digest, resumption, tables
from connectome import dictionary_data as data
from connectome import dictionary_training as training
from connectome.dictionary_settings import DictionarySettings


def main(args: argparse.Namespace) -> None:
    settings = DictionarySettings.from_dict(args.cfg["train"], args.cfg["seed"])
    columns = data.columns_of(args.site, settings.transcoder)
    recording = data.survey(args.activations, columns)
    code = command.canonical(digest.code_digests(Path(__file__), Path(__file__).parent))
    state, device = args.state / training.STATE_FILE, devices.resolve(args.device)[0]
    trained = training.train(recording, settings, state, device, code)
    write_dictionary(args, trained)
    provenance = {"site": args.site, "columns": columns, "data": recording.digest}
    record = {**args.cfg, **provenance, "rows": recording.rows, **trained.record}
    arrays.write_json(args.record, record, args.stamp)
    tables.write_csv(args.curve, trained.curve, training.LOSS_COLUMNS)
    resumption.discard(state)


def write_dictionary(args: argparse.Namespace, trained: training.Trained) -> None:
    dictionary = trained.dictionary
    tensors = {
        "W_enc": dictionary.encoder,
        "b_enc": dictionary.encoder_bias,
        "W_dec": dictionary.decoder,
        "b_dec": dictionary.decoder_bias,
        "threshold": dictionary.threshold,
        "W_skip": dictionary.skip,
    }
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    with command.atomic(args.weights) as temporary:
        temporary.write_bytes(save(kept))
    density = torch.from_numpy(np.log10(trained.density + 1e-10).astype(np.float32))
    with command.atomic(args.sparsity) as temporary:
        temporary.write_bytes(save({"sparsity": density}))
    config = {"architecture": dictionary.activation, "d_sae": dictionary.features}
    arrays.write_json(args.config, config, args.stamp)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_model(parser)
    parser.add_argument("--activations", type=Path, nargs="+", required=True, metavar="PART")
    parser.add_argument("--site", required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of the resume state")
    for name in ("config", "weights", "sparsity", "record", "curve"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    command.run(main, parser)
