"""Planted features through the real rules: covariance, graph, block model, partitions.

The files that recording would make are written by hand; Snakemake runs the rest.
"""

import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from conftest import quick_command
from connectome import arrays, partitions, planted, tables

SITE = "mlp.0"
RULES = ("compute_covariance", "build_graph", "fit_sbm", "make_partitions")
ROWS, DOCUMENT, PROMPTS, MEMORY = 3000, 50, 600, 0.5


def write(results: Path, name: str, x: np.ndarray, prompts: np.ndarray) -> None:
    """The model's record and samples of one site: tokens x (n, d), prompts (m, d)."""
    d = x.shape[1]
    record = {"name": name, "layers": 1, "heads": 1, "head_width": 4, "hidden": d}
    arrays.write_json(results / name / "model.json", record, {})
    place = np.arange(len(x))
    columns = {
        "document": pa.array(place // DOCUMENT, pa.int32()),
        "position": pa.array(place % DOCUMENT + 1, pa.int32()),
        "token": pa.array(place * 0, pa.int32()),
        f"{SITE}.hidden": tables.fixed_lists(x),
    }
    folder = results / name / "activations.parquet"
    tables.write_table(folder / "part-0-of-1.parquet", columns, {})
    rows = {
        "task": pa.array(["planted"] * len(prompts)),
        "pair": pa.array(np.arange(len(prompts)), pa.int32()),
        SITE: tables.fixed_lists(prompts),
    }
    tables.write_table(results / name / "neurons/attributions.parquet", rows, {})


def run(folder: Path, sets: dict[str, tuple[np.ndarray, np.ndarray]], **settings: dict) -> dict:
    """Labels {set: {partition: (d,)}} that the rules find in the sets {name: (x, prompts)}."""
    for name, (x, prompts) in sets.items():
        write(folder / "results", name, x, prompts)
    config = {
        "models": {name: {"train": {"layers": 1, "steps": 1}} for name in sets},
        "training": {"checkpoints": []},
        "activations": {"sites": [SITE]},
        "partitions": {"controls_match": "rois", "kmeans_starts": 4},
        "graph": {"draws": 1},
        "sbm": {"seeds": 2, "sweeps": 4},
    }
    (folder / "planted.yaml").write_text(yaml.safe_dump(config | settings))
    wanted = [f"results/{name}/neurons/partitions.parquet" for name in sets]
    command = [*quick_command(folder, config=str(folder / "planted.yaml"))]
    done = subprocess.run(
        [*command, "--allowed-rules", *RULES, "--", *wanted],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    found = {}
    for name, path in zip(sets, wanted, strict=True):
        table = partitions.load(folder / path)
        found[name] = {
            partition: partitions.labels(table, partition)[SITE]
            for partition in partitions.names(table)
        }
    return found


def grouped(labels: np.ndarray, strength: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and prompts of planted groups."""
    x = planted.samples(labels, ROWS, strength, MEMORY, seed)
    return x, planted.samples(labels, PROMPTS, strength, 0.0, seed + 1)
