"""Both built models from their weights to the tables and the page, made once for all tests of them.

Everything goes through the scripts' own `main`, in this process, without the stages that the truth
tables do not need (activity, ROIs, evaluation).
"""

import argparse
import atexit
import functools
import importlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from conftest import ROOT
from connectome import configuration, tables
from connectome.tabulate.circuits import COLUMNS as CIRCUITS

MODELS = {"copier": "induction", "mover": "indirect_object"}
DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
METHODS = ["eap", "eap-ig-inputs", "path"]
EXACT = ["heads", "modules"]
PLAN = {
    "models": {
        name: {
            "trained": False,
            "known": [f"known_{build}"],
            "tasks": [],
            "dictionaries": {"neurons": {"sites": [], "tasks": []}},
            "judged": [],
        }
        for name, build in MODELS.items()
    },
    "native": "neurons",
    "report": {"name": "built", "circuits": [], "method": "eap", "faithfulness": 0.85},
}

torch.set_num_threads(1)
NUMBERS = {"model_dtype": "float32"}


def call(script: str, cfg: dict[str, Any], **arguments: Any) -> None:
    """Run one script in this process."""
    stamp = {"cfg": "{}", "code": ""}
    args = argparse.Namespace(cfg=cfg, stamp=stamp, device="cpu", **arguments)
    importlib.import_module(script).main(args)


def build(root: Path, name: str, seed: int = 1) -> Path:
    """Write a built model below `root` and describe it; the path of its model.json."""
    folder, source = root / name, {"build": MODELS[name]}
    call(
        "build_model",
        source | {"seed": seed},
        model_dir=folder / "model",
        known=folder / "known.json",
    )
    call(
        "describe_model",
        {"name": name, "source": source},
        files=[folder / "model/config.json"],
        output=folder / "model.json",
    )
    return folder / "model.json"


def make_task(model: Path, task: str, discovery: int, heldout: int) -> Path:
    """Write the prompts of a built model's task and what it can do of it."""
    prompts = model.parent / "tasks" / f"{task}.parquet"
    pairs = {"discovery": discovery, "heldout": heldout, "heldout_share": 0.4}
    cfg = {"name": task, "task": {"generator": task}, "pairs": pairs, "seed": 1}
    call("make_task", cfg, model=model, output=prompts)
    call(
        "measure_competence",
        NUMBERS | {"metric": "logit_difference", "competence": {"draws": 50}, "seed": 1},
        model=model,
        prompts=prompts,
        output=prompts.with_suffix(".competence.json"),
    )
    return prompts


def _score(model: Path, prompts: Path) -> None:
    folder, task = model.parent, prompts.stem
    circuits = DEFAULTS["circuits"] | {
        "partitions": EXACT, "methods": METHODS, "exact": EXACT, "exact_pairs": 16,
        "stability_draws": 2,
    }  # fmt: skip
    tables.write_table(folder / "none.parquet", {"site": []}, {})
    cfg = {"circuits": circuits, "metric": "logit_difference", "seed": 1}
    parts = folder / f"neurons/circuits/{task}.scores/part-0-of-1.npz"
    call(
        "score_prompts",
        NUMBERS | cfg,
        model=model,
        prompts=prompts,
        partitions=folder / "none.parquet",
        dictionaries=[],
        shard=0,
        output=parts,
    )
    call(
        "attribute_circuit",
        cfg,
        scores=[parts],
        partitions=folder / "none.parquet",
        nodes=folder / f"neurons/circuits/{task}.nodes.parquet",
        edges=folder / f"neurons/circuits/{task}.edges.parquet",
        stability=folder / f"neurons/circuits/{task}.stability.parquet",
    )
    call(
        "check_known",
        NUMBERS,
        model=model,
        known=folder / "known.json",
        prompts=prompts,
        output=folder / f"known/{task}.parquet",
    )


def drawn() -> list[dict[str, Any]]:
    """Rows of circuits.csv: for one model a circuit of two edges, one of them meant."""
    names = {"model": "copier", "dictionary": "neurons", "task": "known_induction"}
    edges = [("input", "a0.h1"), ("a0.h1", "m0")]
    return [
        dict.fromkeys(CIRCUITS) | names | {"partition": "heads", "src": src, "dst": dst}
        for src, dst in edges
    ]


@functools.cache
def results() -> Path:
    """Folder with both models, their scores, and the tables of the ground truth."""
    root = Path(tempfile.mkdtemp(prefix="lm-connectome-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for name, of_build in MODELS.items():
        model = build(root, name)
        _score(model, make_task(model, f"known_{of_build}", 16, 24))

    def found(pattern: str) -> list[Path]:
        return sorted(root.glob(pattern))

    (root / "tables").mkdir()
    tables.write_csv(root / "tables/circuits.csv", drawn(), CIRCUITS)
    call(
        "tabulate_truth",
        {"exact": EXACT},
        known=found("*/known.json"),
        attention=found("*/known/*.parquet"),
        competence=found("*/tasks/*.competence.json"),
        nodes=found("*/neurons/circuits/*.nodes.parquet"),
        edges=found("*/neurons/circuits/*.edges.parquet"),
        circuits=root / "tables/circuits.csv",
        output=root / "tables/truth.csv",
        heads=root / "tables/known_heads.csv",
        certificates=root / "tables/certificates.csv",
    )
    return root


@functools.cache
def page() -> str:
    """The page of both models."""
    from connectome.report.build import build as build_page

    return build_page(results(), PLAN, ROOT / "workflow/report")
