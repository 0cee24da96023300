"""Seconds and peak memory of the stages on big random models, by the rules' own scripts.

Each stage is one process, as in a run: recording of two sites, covariance, graph and block model of
each (activations alone), partitions, scores of heads and ROIs. Prints its CPU seconds, also in
units of a bare forward pass over the recorded tokens (F, measured on BARE tokens), and its peak
resident memory beside the model's weights in the engine and beside what the rule asks for. The
default records few tokens; `--tokens 100000` is the size of the design and takes long.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HOME = Path(__file__).resolve().parents[1]
SCRIPTS = HOME / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from connectome import architectures, checkpoint, configuration, footprint  # noqa: E402

CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2-small": {
        **{"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024},
        "vocab_size": 50257,
    },
    "pythia-410m": {
        **{"model_type": "gpt_neox", "num_hidden_layers": 24, "hidden_size": 1024},
        **{"num_attention_heads": 16, "intermediate_size": 4096, "vocab_size": 50304},
        **{"max_position_embeddings": 2048, "rotary_pct": 0.25, "tie_word_embeddings": False},
    },
}
BARE, DOCUMENT, PROMPT = 1024, 128, 15  # tokens
STAMP = {"cfg": "{}", "code": "benchmark"}


def make_model(folder: Path, config: dict[str, Any]) -> None:
    """A checkpoint with random weights, and the handle that the scripts open."""
    shapes = architectures.adapter(config, folder).shapes(config)
    rng = np.random.default_rng(1)
    tensors = {
        name: (np.zeros if name.endswith("bias") else np.ones)(shape, np.float32)
        if len(shape) == 1
        else 0.02 * rng.standard_normal(shape, dtype=np.float32)
        for name, shape in shapes.items()
    }
    checkpoint.write(folder / "model", {"config.json": config}, tensors)
    sizes = asdict(architectures.adapter(config, folder).dimensions(config))
    (folder / "model.json").write_text(json.dumps({"directory": "model", **sizes}))


def make_data(folder: Path, vocabulary: int, tokens: int, pairs: int) -> None:
    """A corpus of random tokens, and prompt pairs that differ in two of them."""
    rng = np.random.default_rng(2)
    documents = -(-tokens // DOCUMENT)
    ids = rng.integers(0, vocabulary, (documents, DOCUMENT)).tolist()
    table = pa.table({"document": pa.array(range(documents), pa.int32()), "tokens": ids})
    pq.write_table(table, folder / "corpus.parquet")
    clean = rng.integers(0, vocabulary, (pairs, PROMPT))
    corrupted = clean.copy()
    corrupted[:, [3, 9]] = rng.integers(0, vocabulary, (pairs, 2))
    columns = {"clean_ids": clean.tolist(), "corrupted_ids": corrupted.tolist()}
    columns |= {"answers": [[1]] * pairs, "wrong": [[2]] * pairs, "split": ["discovery"] * pairs}
    pq.write_table(pa.table(columns), folder / "prompts.parquet")


def run(python: str, script: str, cfg: dict[str, Any], *options: Any) -> tuple[float, float]:
    """CPU seconds and peak MB of a script."""
    command = [python, SCRIPTS / f"{script}.py", *options, "--cfg", json.dumps(cfg)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = subprocess.Popen(list(map(str, command)), env=environment)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{script} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10


def bare_forward(folder: Path, dtype: str) -> float:
    """CPU seconds of a forward pass of the body over BARE tokens."""
    import torch

    from connectome import transformer
    from connectome.prompts import Batch

    torch.set_num_threads(1)
    model = transformer.load(folder / "model", dtype)
    batch = Batch.of([list(range(DOCUMENT))] * (BARE // DOCUMENT))
    with torch.inference_mode():
        start = time.process_time()
        transformer.forward(model, batch, visit=lambda site, trace: None)
    return time.process_time() - start


def apart(action: Callable[..., Any], *given: Any) -> Any:
    """Result of an action in a process of its own: a script starts as large as what started it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(action, *given).result()


def measure(name: str, args: argparse.Namespace, folder: Path) -> None:
    """Print one row per stage."""
    config = configuration.read_yaml(HOME / "config" / "config.yaml")
    model, own = CONFIGS[name], {"model_dtype": args.dtype}
    size = architectures.adapter(model, folder).dimensions(model)
    sites = [f"attn.{size.layers // 2}", f"mlp.{size.layers // 2}"]
    config["activations"] |= {"sites": sites, "dtype": "float16", "batch_tokens": 2048}
    config["circuits"] |= {"partitions": ["heads", "rois"], "exact": [], "stability_draws": 2}
    config["circuits"]["methods"] = ["eap"]
    if args.skip_rois:
        config["circuits"]["partitions"] = ["heads"]
    config["sbm"] |= {"seeds": 1, "sweeps": 1, "control_seeds": 1}
    config["partitions"]["controls_match"] = "rois"
    seed = {"seed": 1}
    apart(make_model, folder, model)
    apart(make_data, folder, size.vocabulary, args.tokens, args.pairs)
    megabytes = footprint.weights(size, args.dtype) / 1e6
    print(
        f"{name}: {megabytes:.0f} MB of weights in {args.dtype}, {args.tokens} tokens", flush=True
    )
    unit = apart(bare_forward, folder, args.dtype) * args.tokens / BARE

    def row(script: str, cfg: dict[str, Any], *options: Any, python: str = sys.executable) -> None:
        spent, peak = run(python, script, cfg, *options)
        asked = (
            ""
            if script in ("fit_sbm", "attribute_circuit")
            else footprint.stated(script, 0, size, args.dtype, config, 2)
        )
        asked = f"{asked:8d} {peak / asked:6.2f}" if asked else ""
        part = f"{script:20} {spent:8.1f} {spent / unit:6.2f} {peak:8.0f} {peak / megabytes:6.2f}"
        print(f"{part} {asked}", flush=True)

    print("stage                 CPU (s)   in F  peak MB  in W   asked MB  used", flush=True)
    handle = ("--model", folder / "model.json", "--device", "cpu")
    parts = folder / "part-0-of-1.parquet"
    row(
        *("record_activations", own | config["activations"], *handle, "--shard", 0),
        *("--corpus", folder / "corpus.parquet", "--output", parts),
    )
    made: dict[str, list[Path]] = {"covariance": [], "graphs": [], "sbm": []}
    for site in sites:
        moments, graph, sbm = (folder / f"{site}.{end}" for end in ("m.npz", "g.npz", "json"))
        row(
            *("compute_covariance", config["covariance"], "--samples", parts, "--site", site),
            *("--kind", "activation", "--dictionary", "neurons", "--output", moments),
        )
        row(
            *("build_graph", seed | {"graph": config["graph"]}, "--covariance", moments),
            *("--samples", parts, "--output", graph),
        )
        if args.skip_rois:
            continue
        row(
            *("fit_sbm", seed | {"sbm": config["sbm"]}, "--graph", graph),
            *("--covariance", moments, "--output", sbm),
            python=args.graph_tool,
        )
        for kind, path in zip(made, (moments, graph, sbm), strict=True):
            made[kind].append(path)
        left_out = {"site": site, "kind": "attribution", "status": "refused", "features": 0}
        left_out |= {"reason": "activations alone", "stability": [], "classical": None}
        made["sbm"].append(folder / f"{site}.none.json")
        made["sbm"][-1].write_text(json.dumps(left_out))
    partitions = folder / "partitions.parquet"
    if args.skip_rois:
        pq.write_table(pa.table({"site": []}), partitions)
    else:
        row(
            *("make_partitions", seed | {"partitions": config["partitions"]}, *handle[:2]),
            *(x for kind, paths in made.items() for x in (f"--{kind}", *paths)),
            *("--output", partitions),
        )
    cfg = seed | {"metric": "logit_difference", "circuits": config["circuits"]}
    scores = folder / "part-0-of-1.npz"
    row(
        *("score_prompts", own | cfg, *handle, "--prompts", folder / "prompts.parquet"),
        *("--partitions", partitions, "--shard", 0, "--output", scores),
    )
    outputs = (x for n in ("nodes", "edges", "stability") for x in (f"--{n}", folder / n))
    row("attribute_circuit", cfg, "--scores", scores, "--partitions", partitions, *outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--skip-rois", action="store_true", help="no block model; heads alone")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--graph-tool", default="/usr/bin/python3")
    args = parser.parse_args()
    for name in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, args, Path(folder))


if __name__ == "__main__":
    main()
