"""Runs that may be cut off: their state in one safetensors file, kernels that repeat, progress."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from tqdm import tqdm

from connectome.command import atomic
from connectome.stamps import differences


def save_state(
    path: Path, tensors: Mapping[str, torch.Tensor], record: Any, identity: Mapping[str, str]
) -> None:
    """Write the state of a run as one file, complete or absent.

    `identity` is a stamp: `cfg` holds settings, versions and data, `code` the digests of the code.
    """
    meta = {"identity": json.dumps(dict(identity)), "record": json.dumps(record)}
    with atomic(path) as temporary:
        # save_file would tell of a full disk in its own words
        temporary.write_bytes(save(dict(tensors), meta))


def load_state(
    path: Path, identity: Mapping[str, str]
) -> tuple[dict[str, torch.Tensor], Any] | None:
    """Tensors and record of a cut-off run; None where there are none of this identity.

    What makes a file that lies there unfit is told on stderr.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            found = differences(json.loads(meta["identity"]), identity)
            if not found:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, json.loads(meta["record"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        found = ["it is no state, or a damaged one"]
    print(f"{path}: not used: {'; '.join(found)}", file=sys.stderr)
    return None


def discard(state: Path) -> None:
    """Remove the state of a finished run, and what a killed process left half written."""
    for path in state.parent.glob(f"*{state.name}*"):
        path.unlink()
    with contextlib.suppress(OSError):  # something else lies there: not ours to remove
        state.parent.rmdir()


def moments(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What an optimiser remembers, by number of the parameter and name."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}/{name}": value
        for number, entry in state.items()
        for name, value in entry.items()
    }


def restore_moments(
    optimizer: torch.optim.Optimizer, remembered: Mapping[str, torch.Tensor]
) -> None:
    """Give back to a new optimiser of the same parameters what `moments` told."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in remembered.items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


@contextlib.contextmanager
def reproducible() -> Iterator[None]:
    """One thread and deterministic kernels, put back afterwards."""
    settings: Any = torch.utils.deterministic
    threads, fill = torch.get_num_threads(), settings.fill_uninitialized_memory
    deterministic = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    settings.fill_uninitialized_memory = False  # costs 6 % of the time; nothing reads that memory
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        settings.fill_uninitialized_memory = fill


def progress(steps: range, every: int, describe: Callable[[int], str]) -> Iterator[int]:
    """The steps, shown as a bar on a terminal, else as a line every so many and at the last.

    describe(step) is what such a line tells beside the step.
    """
    if sys.stderr.isatty():
        yield from tqdm(steps, initial=steps.start - 1, total=steps.stop - 1, unit="step")
        return
    for step in steps:
        yield step
        if step % every == 0 or step == steps.stop - 1:
            told = describe(step)
            print(
                f"step {step} of {steps.stop - 1}{'; ' * bool(told)}{told}",
                file=sys.stderr,
                flush=True,
            )
