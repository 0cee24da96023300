"""State of a training run that may be cut off: one safetensors file, complete or absent."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from connectome.command import atomic

STATE_FILE = "state.safetensors"


@dataclass(frozen=True)
class CurvePoint:
    """One measured number of the training curve; `task` is empty unless it is an accuracy."""

    step: int
    quantity: str
    task: str
    value: float


@dataclass
class Run:
    """What a cut-off run needs to go on."""

    step: int
    weights: dict[str, torch.Tensor]
    moments: dict[str, torch.Tensor]
    checkpoints: dict[int, dict[str, torch.Tensor]]
    curve: list[CurvePoint]
    losses: list[float]  # since the last measurement


def save_run(path: Path, run: Run, identity: str) -> None:
    """Write the state of a run as one file, complete or absent."""
    tensors = {f"weights/{name}": value for name, value in run.weights.items()}
    tensors |= {f"moments/{name}": value for name, value in run.moments.items()}
    for step, weights in run.checkpoints.items():
        tensors |= {f"checkpoint/{step}/{name}": value for name, value in weights.items()}
    curve = [[point.step, point.quantity, point.task, point.value] for point in run.curve]
    record = {"step": run.step, "curve": curve, "losses": run.losses}
    with atomic(path) as temporary:
        # save_file would tell of a full disk in its own words
        temporary.write_bytes(save(tensors, {"identity": identity, "run": json.dumps(record)}))


def load_run(path: Path, identity: str) -> Run | None:
    """The state of a cut-off run; None where there is none of this configuration and code."""
    try:
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            if meta.get("identity") != identity:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    record = json.loads(meta["run"])
    groups: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "moments": {}}
    checkpoints: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        if group == "checkpoint":
            step, _, rest = rest.partition("/")
            checkpoints.setdefault(int(step), {})[rest] = tensor
        else:
            groups[group][rest] = tensor
    curve = [CurvePoint(*point) for point in record["curve"]]
    return Run(
        record["step"], **groups, checkpoints=checkpoints, curve=curve, losses=record["losses"]
    )


def discard(folder: Path) -> None:
    """Remove the state of a finished run, and what a killed process left half written."""
    for path in folder.glob(f"*{STATE_FILE}*"):
        path.unlink()
    with contextlib.suppress(OSError):  # something else lies there: not ours to remove
        folder.rmdir()
