"""State of a training run of the embedded model, as tensors and a record of one file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from connectome.resumption import load_state, save_state

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


def save_run(path: Path, run: Run, identity: Mapping[str, str]) -> None:
    """Write the state of a run as one file, complete or absent."""
    tensors = {f"weights/{name}": value for name, value in run.weights.items()}
    tensors |= {f"moments/{name}": value for name, value in run.moments.items()}
    for step, weights in run.checkpoints.items():
        tensors |= {f"checkpoint/{step}/{name}": value for name, value in weights.items()}
    curve = [[point.step, point.quantity, point.task, point.value] for point in run.curve]
    record = {"step": run.step, "curve": curve, "losses": run.losses}
    save_state(path, tensors, record, identity)


def load_run(path: Path, identity: Mapping[str, str]) -> Run | None:
    """The state of a cut-off run; None where there is none of this configuration and code."""
    found = load_state(path, identity)
    if found is None:
        return None
    tensors, record = found
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
