"""Training of a dictionary on recorded activations: one loop for every kind, resumable.

Inputs and targets are scaled to mean square length 1. The rows of a step follow from the seed and
the step alone; with the saved weights and optimiser moments a run that was cut off anywhere ends in
the same bytes as an undisturbed one. The recipe is that of Gao et al. 2024 (2406.04093).
"""

import importlib
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from connectome import dictionaries, dictionary_kinds, resumption, sparse_products
from connectome.command import canonical
from connectome.dictionaries import Dictionary
from connectome.dictionary_data import Recording, first_rows, scales, stream
from connectome.dictionary_settings import DictionarySettings
from connectome.dictionary_weights import Run, Weights, folded, initial, parameters
from connectome.errors import DataError

STATE_FILE = "checkpoint.safetensors"
SECOND_BETA, CLIP = 0.999, 1.0
REVIVAL_WEIGHT = 1 / 32
CURVE_POINTS = 100  # rows of the loss curve
LOSS_COLUMNS = (
    *("step", "tokens", "lr", "mse", "aux", "l0", "ev_batch", "dead_share", "theta", "grad_norm"),
)
ENTRIES = 2**26  # of the largest matrix (n, F) when a dictionary is only used


@dataclass(frozen=True)
class Loss:
    """What one batch costs, and what fired in it."""

    total: Tensor  # ()
    squared: Tensor  # (), mean squared length of the error with all features
    revival: Tensor  # (), error that dead features leave unexplained (AuxK)
    features: Tensor  # (n,) features looked at, in no order that matters
    columns: Tensor  # (n,) which ones they are


@dataclass(frozen=True)
class Trained:
    """A dictionary of raw activations, how often its features fire, and what was measured."""

    dictionary: Dictionary
    density: np.ndarray  # (F,) share of tokens on which a feature fires
    curve: list[dict[str, Any]]  # rows of LOSS_COLUMNS
    record: dict[str, Any]


def kind_of(architecture: str) -> ModuleType:
    """The module of a kind of dictionary."""
    return importlib.import_module(f"{dictionary_kinds.__name__}.{architecture}")


def batch_loss(
    weights: Weights, x: Tensor, y: Tensor, run: Run, settings: DictionarySettings
) -> Loss:
    """Loss of scaled inputs x (N, d_in) and targets y (N, d_out)."""
    kind = kind_of(settings.architecture)
    bias = weights.encoder_bias
    if not settings.transcoder:  # of the bias once rather than of every input
        bias = bias - weights.encoder @ weights.decoder_bias
    with torch.no_grad():
        h = torch.addmm(bias, x, weights.encoder.T)  # (N, F)
        places = kind.places(h, weights, run, settings)
        widths = settings.widths or (settings.features,)
        entries = sparse_products.entries_of(places, (len(x), settings.features), widths)
    chosen = sparse_products.encode(h, x, weights.encoder, bias, entries)
    features, price = kind.fire(chosen, entries.columns, weights, run, settings)
    made = weights.decoder_bias if weights.skip is None else x @ weights.skip.T
    if weights.skip is not None:
        made = made + weights.decoder_bias
    squares = []
    for piece in sparse_products.decode(features, weights.decoder, entries):  # (N, d_out)
        made = made + piece
        squares.append((y - made).square().sum() / len(y))
    revival = price.new_zeros(())
    if kind.REVIVES:
        dead = (run.since_fired >= settings.patience).nonzero().squeeze(1)
        revival = unexplained(weights, x, (y - made).detach(), dead, settings)
    total = sum(squares) / len(squares) + price + REVIVAL_WEIGHT * revival
    return Loss(total, squares[-1].detach(), revival.detach(), features.detach(), entries.columns)


def unexplained(
    weights: Weights, x: Tensor, error: Tensor, dead: Tensor, settings: DictionarySettings
) -> Tensor:
    """Share of the variance of the error (N, d_out) that dead features (n,) do not explain; ().

    Each token has as many of them as half the target's width, and they alone have gradients. 0
    where no feature is dead, or the error is the same for all tokens.
    """
    most = max(1, error.shape[1] // 2)
    variance = (error - error.mean(dim=0)).square().sum()
    if not len(dead) or variance == 0:
        return variance.new_zeros(())
    encoder = weights.encoder.index_select(0, dead)
    bias = weights.encoder_bias.index_select(0, dead)
    if not settings.transcoder:
        bias = bias - encoder @ weights.decoder_bias.detach()
    features = torch.addmm(bias, x, encoder.T).relu()  # (N, dead)
    if len(dead) > most:
        features = features * dictionaries.largest_of_rows(features.detach(), most)
    explained = features @ weights.decoder.index_select(0, dead)
    return min(len(dead) / most, 1.0) * (error - explained).square().sum() / variance


def advance(optimizer: torch.optim.Optimizer, weights: Weights, loss: Loss, rate: float) -> Tensor:
    """One step down the loss; the gradient's norm before clipping, ()."""
    optimizer.zero_grad()
    loss.total.backward()
    decoder = weights.decoder
    assert decoder.grad is not None
    # rows stay of length 1: what would lengthen them is no use to the moments of the optimiser
    decoder.grad -= (decoder.grad * decoder.detach()).sum(dim=1, keepdim=True) * decoder.detach()
    norm = torch.nn.utils.clip_grad_norm_(weights.named().values(), CLIP)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    with torch.no_grad():
        decoder /= torch.linalg.vector_norm(decoder, dim=1, keepdim=True)
        if weights.threshold is not None:
            weights.threshold.clamp_(min=0)
    return norm


def follow(run: Run, loss: Loss, settings: DictionarySettings, tracked: bool) -> None:
    """Take note of what fired: tokens since each feature did, and the threshold that is tracked."""
    fired = loss.features > 0
    run.since_fired += run.batch
    run.since_fired.index_fill_(0, loss.columns[fired], 0)
    if tracked and run.step > settings.warmup and bool(fired.any()):
        least = float(loss.features[fired].min())
        inertia = 1 - 1 / min(1000, max(10, settings.steps / 20))
        before = least if run.threshold is None else run.threshold
        run.threshold = inertia * before + (1 - inertia) * least


def optimizer_of(weights: Weights, first_beta: float) -> torch.optim.Optimizer:
    """Adam of all parameters."""
    return torch.optim.Adam(weights.named().values(), betas=(first_beta, SECOND_BETA), fused=True)


def train(
    recording: Recording,
    settings: DictionarySettings,
    state: Path,
    device: torch.device,
    code: str = "",
) -> Trained:
    """Train a dictionary, going on from `state` where a run of the same kind was cut off.

    `state` is the file to go on from, which the caller removes when the outputs stand. It holds for
    the same settings, data, versions, kind of device and `code` (digests of the code).
    Progress goes to stderr: a bar on a terminal, else a line for each point of the curve.
    """
    identity = {
        "cfg": canonical(
            {name: value for name, value in vars(settings).items() if name != "checkpoint_every_s"}
            | {"data": recording.digest, "device": device.type, "optimiser": "adam, fused"}
            | {"torch": torch.__version__, "numpy": np.__version__}
        ),
        "code": code,
    }
    with resumption.reproducible():
        return _train(recording, settings, state, device, identity)


def _train(
    recording: Recording,
    settings: DictionarySettings,
    state: Path,
    device: torch.device,
    identity: Mapping[str, str],
) -> Trained:
    kind = kind_of(settings.architecture)
    units = scales(recording, settings.seed)
    found = resumption.load_state(state, identity)
    if found is None:
        first = next(_batches(recording, settings, units, 0))
        values = initial(*first, settings, kind.THRESHOLD == "learnt")
        weights = parameters(values, device)
        optimizer = optimizer_of(weights, kind.FIRST_BETA)
        never = torch.zeros(settings.features, dtype=torch.int64, device=device)
        run = Run(since_fired=never, batch=settings.batch_tokens)
    else:
        weights, optimizer, run = _restored(*found, settings, kind, device)
        print(f"going on after step {run.step}", file=sys.stderr)
    peak = settings.learning_rate or kind.learning_rate(settings)
    every = math.ceil(settings.steps / CURVE_POINTS)
    saved = time.monotonic()

    def numbers(step: int) -> str:
        row = run.curve[-1]
        return f"error {row['mse']:.4f}, {row['l0']:.1f} features, {row['dead_share']:.1%} dead"

    steps = range(run.step + 1, settings.steps + 1)
    batches = _batches(recording, settings, units, run.step)
    for step in resumption.progress(steps, every, numbers):
        x, y = (torch.from_numpy(rows).to(device) for rows in next(batches))
        run.step = step
        rate = settings.rate(step, peak)
        loss = batch_loss(weights, x, y, run, settings)
        norm = advance(optimizer, weights, loss, rate)
        follow(run, loss, settings, kind.THRESHOLD == "tracked")
        last = step == settings.steps
        if last or step % every == 0:
            run.curve.append(_point(run, weights, loss, y, rate, norm, settings))
        if not last and time.monotonic() - saved >= settings.checkpoint_every_s:
            _save(state, weights, optimizer, run, identity)
            saved = time.monotonic()
    dictionary = folded(weights, units, settings, kind.ACTIVATION, run.threshold)
    density = firing(dictionary, recording, settings.seed, device)
    return Trained(dictionary, density, run.curve, _record(dictionary, density, run, units))


def _batches(
    recording: Recording, settings: DictionarySettings, units: Sequence[float], first: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scaled inputs (N, d_in) and targets (N, d_out), one and the same for an autoencoder."""
    for rows in stream(recording, settings.seed, settings.batch_tokens, first):
        scaled = [matrix / np.float32(unit) for matrix, unit in zip(rows, units, strict=True)]
        yield scaled[0], scaled[-1]


def _point(
    run: Run,
    weights: Weights,
    loss: Loss,
    y: Tensor,
    rate: float,
    norm: Tensor,
    settings: DictionarySettings,
) -> dict[str, Any]:
    """A row of the loss curve. Raises DataError where the training has diverged."""
    squared = float(loss.squared)
    if not math.isfinite(squared):
        raise DataError(
            f"the training diverged (step {run.step}, rate {rate:.3g}); use a smaller learning_rate"
        )
    spread = float((y - y.mean(dim=0)).double().square().sum()) / len(y)
    theta = run.threshold
    if weights.threshold is not None:
        theta = float(weights.threshold.detach().mean())
    return {
        "step": run.step,
        "tokens": run.step * run.batch,
        "lr": rate,
        "mse": squared,
        "aux": float(loss.revival),
        "l0": int((loss.features > 0).sum()) / run.batch,
        "ev_batch": 1 - squared / spread if spread else None,
        "dead_share": float((run.since_fired >= settings.patience).double().mean()),
        "theta": theta,
        "grad_norm": float(norm),
    }


def firing(
    dictionary: Dictionary, recording: Recording, seed: int, device: torch.device
) -> np.ndarray:
    """Share of the first rows of the seeded order on which each feature is above 0; (F,)."""
    dictionary = dictionary.to(device, torch.float32)
    counts, rows = torch.zeros(dictionary.features, dtype=torch.int64, device=device), 0
    size = max(1, min(4096, ENTRIES // dictionary.features))
    for matrices in first_rows(recording, seed, size):
        x = torch.from_numpy(matrices[0]).to(device)
        counts += (dictionaries.encode(dictionary, x) > 0).sum(dim=0)
        rows += len(x)
    return counts.cpu().numpy() / rows


def _record(
    dictionary: Dictionary, density: np.ndarray, run: Run, units: Sequence[float]
) -> dict[str, Any]:
    """Summary of a training; no times, so that the same training gives the same bytes."""
    threshold = dictionary.threshold
    return {
        "steps": run.step,
        "tokens": run.step * run.batch,
        "scale": dict(zip(("input", "target"), (units[0], units[-1]), strict=True)),
        "threshold": None if threshold is None else float(threshold.double().mean()),
        "dead_share": run.curve[-1]["dead_share"],
        "l0": float(density.sum()),
        "last": run.curve[-1],
    }


def _save(
    path: Path,
    weights: Weights,
    optimizer: torch.optim.Optimizer,
    run: Run,
    identity: Mapping[str, str],
) -> None:
    tensors = {f"weights/{name}": value for name, value in weights.named().items()}
    tensors |= {f"moments/{n}": value for n, value in resumption.moments(optimizer).items()}
    tensors["since_fired"] = run.since_fired
    record = {name: value for name, value in vars(run).items() if name != "since_fired"}
    resumption.save_state(
        path, {name: value.detach().cpu() for name, value in tensors.items()}, record, identity
    )


def _restored(
    tensors: Mapping[str, Tensor],
    record: Mapping[str, Any],
    settings: DictionarySettings,
    kind: ModuleType,
    device: torch.device,
) -> tuple[Weights, torch.optim.Optimizer, Run]:
    """Weights, optimiser and run as `_save` found them."""

    def below(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

    weights = parameters(below("weights/"), device)
    optimizer = optimizer_of(weights, kind.FIRST_BETA)
    resumption.restore_moments(optimizer, below("moments/"))
    return weights, optimizer, Run(since_fired=tensors["since_fired"].to(device), **record)
