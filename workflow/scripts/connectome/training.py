"""Training of the embedded model: transformers' GPT-2 on the micro-language, resumable.

Documents are packed into rows, each opened by the start token, with positions restarting and
attention confined to the document, so that prompts are later read exactly as trained. The batch
of a step is a function of (seed, step) alone; with the saved weights and optimiser moments a run
that was cut off anywhere ends in the same bytes as an undisturbed one.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel
from transformers import __version__ as transformers_version

from connectome import language, resumption
from connectome.command import atomic, canonical
from connectome.errors import ConfigError
from connectome.tokenizer import START_ID
from connectome.training_state import STATE_FILE, CurvePoint, Run, load_run, save_run

BETAS, WEIGHT_DECAY, CLIP = (0.9, 0.98), 0.1, 1.0
WARMUP, CONSTANT_SHARE, FINAL_RATE = 100, 0.5, 0.05
INITIALIZER_RANGE = 0.1
EMBEDDING, UNEMBEDDING = "transformer.wte.weight", "lm_head.weight"  # one matrix, two names
SAVE_EVERY = 100  # steps between saved states
REPORT_EVERY = 100  # steps between lines of a log
EVALUATION_BATCH = 256  # prompts


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run; see config/config.yaml for what each means."""

    seed: int
    layers: int
    heads: int
    width: int
    context: int
    steps: int
    batch_rows: int
    learning_rate: float
    curriculum_share: float
    checkpoints: tuple[int, ...]
    evaluate_every: int
    evaluate_pairs: int

    @classmethod
    def from_dict(cls, cfg: Mapping[str, Any]) -> "TrainingConfig":
        """Raises ConfigError naming keys that are missing or unknown."""
        known = {field.name for field in fields(cls)}
        for title, names in (("lacks", known - set(cfg)), ("has unknown", set(cfg) - known)):
            if names:
                raise ConfigError(f"training {title} {', '.join(sorted(names))}")
        return cls(**{**cfg, "checkpoints": tuple(cfg["checkpoints"])})


@dataclass(frozen=True)
class TrainedModel:
    """Final weights, weights at the checkpoints, and what was measured on the way."""

    config: GPT2Config
    weights: dict[str, torch.Tensor]
    checkpoints: dict[int, dict[str, torch.Tensor]]
    curve: list[CurvePoint]


@dataclass(frozen=True)
class Batch:
    """Packed rows. Targets are the next tokens, weights those of the targets."""

    tokens: torch.Tensor  # (rows, context) int64
    targets: torch.Tensor  # (rows, context) int64
    weights: torch.Tensor  # (rows, context) float32
    positions: torch.Tensor  # (rows, context) int64, from 0 in each document
    documents: torch.Tensor  # (rows, context) int64, number of the document within its row


def pack(
    documents: Iterator[language.Document], rows: int, context: int, ids: Mapping[str, int]
) -> Batch:
    """Fill rows with whole documents, first fit, until one fits nowhere.

    A document of n tokens takes n + 1 places: the start token foretells its first token, its
    last token foretells the end token. Documents longer than a row are left out.
    """
    tokens, targets = (np.full((rows, context), START_ID, dtype=np.int64) for _ in range(2))
    # padding is document 0: it attends to itself and weighs nothing
    positions, numbers = (np.zeros((rows, context), dtype=np.int64) for _ in range(2))
    weights = np.zeros((rows, context), dtype=np.float32)
    filled, count = [0] * rows, [1] * rows
    for document in documents:
        length = len(document.pieces) + 1
        if length > context:
            continue
        row = next((row for row in range(rows) if filled[row] + length <= context), None)
        if row is None:
            break
        piece_ids = [ids[piece] for piece in document.pieces]
        place = slice(filled[row], filled[row] + length)
        tokens[row, place] = [START_ID, *piece_ids]
        targets[row, place] = [*piece_ids, START_ID]
        weights[row, place] = [*document.weights, document.weights[-1]]
        positions[row, place] = range(length)
        numbers[row, place] = count[row]
        filled[row] += length
        count[row] += 1
    arrays = (tokens, targets, weights, positions, numbers)
    return Batch(*(torch.from_numpy(array) for array in arrays))


def batch_of(cfg: TrainingConfig, step: int, ids: Mapping[str, int]) -> Batch:
    """The rows of a step (counted from 1): a function of the seed and the step alone."""
    stage = "curriculum" if step <= cfg.curriculum_share * cfg.steps else "mixture"
    stream = language.document_stream(f"training/{cfg.seed}/{step}", stage)
    return pack(stream, cfg.batch_rows, cfg.context, ids)


def learning_rate(cfg: TrainingConfig, step: int) -> float:
    """Linear warm-up, constant, then linear to a twentieth at the last step."""
    if step <= WARMUP:
        return cfg.learning_rate * step / WARMUP
    constant = CONSTANT_SHARE * cfg.steps
    if step <= constant:
        return cfg.learning_rate
    left = (cfg.steps - step) / (cfg.steps - constant)
    return cfg.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * left)


def new_model(cfg: TrainingConfig, vocabulary: int) -> GPT2LMHeadModel:
    """An untrained model, initialised from the seed."""
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=cfg.context,
        n_embd=cfg.width,
        n_layer=cfg.layers,
        n_head=cfg.heads,
        initializer_range=INITIALIZER_RANGE,
        activation_function="gelu_pytorch_tanh",  # the same function as gelu_new, in one kernel
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=START_ID,
        eos_token_id=START_ID,
        pad_token_id=START_ID,
        architectures=["GPT2LMHeadModel"],
        dtype="float32",
    )
    torch.manual_seed(cfg.seed)
    return GPT2LMHeadModel(config)


def batch_loss(model: GPT2LMHeadModel, batch: Batch) -> torch.Tensor:
    """Weighted mean cross-entropy; () float32. Logits are made only where a target weighs."""
    context = batch.tokens.shape[1]
    causal = torch.ones(context, context, dtype=torch.bool).tril()
    same = batch.documents[:, :, None] == batch.documents[:, None, :]
    hidden = model.transformer(
        input_ids=batch.tokens,
        position_ids=batch.positions,
        attention_mask=(same & causal)[:, None],  # (rows, 1, query, key)
        use_cache=False,
    ).last_hidden_state
    weighed = batch.weights > 0
    logits = model.lm_head(hidden[weighed])  # (weighed tokens, vocabulary)
    loss = functional.cross_entropy(logits, batch.targets[weighed], reduction="none")
    weights = batch.weights[weighed]
    return (loss * weights).sum() / weights.sum()


@dataclass(frozen=True)
class Probe:
    """Held-out prompts of a task, clean ones first, then the corrupted ones of the same pairs."""

    task: str
    metric: str
    tokens: torch.Tensor  # (prompts, longest) int64, padded on the right
    lengths: torch.Tensor  # (prompts,) int64
    right: list[list[int]]  # per prompt, token ids
    wrong: list[list[int]]


def probe_of(task: str, pairs: int, ids: Mapping[str, int]) -> Probe:
    """Prompts that measure a task during training; answers change places for corrupted ones."""
    drawn = language.pairs(task, seed=0, discovery=0, heldout=pairs)
    texts = [pair[side] for side in ("clean", "corrupted") for pair in drawn]
    prompts = [[START_ID, *(ids[piece] for piece in language.split(text))] for text in texts]
    answers = [[ids[piece] for piece in pair["answers"]] for pair in drawn]
    wrong = [[ids[piece] for piece in pair["wrong"]] for pair in drawn]
    longest = max(len(prompt) for prompt in prompts)
    padded = [prompt + [START_ID] * (longest - len(prompt)) for prompt in prompts]
    return Probe(
        task=task,
        metric=language.metric(task),
        tokens=torch.tensor(padded),
        lengths=torch.tensor([len(prompt) for prompt in prompts]),
        right=answers + wrong,
        wrong=wrong + answers,
    )


def metric_values(model: GPT2LMHeadModel, probe: Probe) -> np.ndarray:
    """Per prompt, right against wrong answers: positive where the model is right; (prompts,).

    Mean logits compared, or summed probabilities, as the task's metric says.
    """
    values: list[float] = []
    with torch.no_grad():
        for first in range(0, len(probe.tokens), EVALUATION_BATCH):
            rows = slice(first, first + EVALUATION_BATCH)
            tokens = probe.tokens[rows]
            # padding stands behind the prompt, where causal attention cannot see it
            hidden = model.transformer(
                input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False
            ).last_hidden_state
            last = hidden[torch.arange(len(hidden)), probe.lengths[rows] - 1]
            scores = model.lm_head(last)  # (prompts, vocabulary)
            if probe.metric == "probability_difference":
                scores = scores.softmax(-1)
            for row, right, wrong in zip(
                scores.double().numpy(), probe.right[rows], probe.wrong[rows], strict=True
            ):
                fold = np.sum if probe.metric == "probability_difference" else np.mean
                values.append(float(fold(row[right]) - fold(row[wrong])))
    return np.array(values)


def accuracies(model: GPT2LMHeadModel, probes: list[Probe], step: int) -> list[CurvePoint]:
    """Held-out accuracy per task: on clean prompts, on corrupted ones, and on all of them."""
    points = []
    for probe in probes:
        correct = metric_values(model, probe) > 0
        clean, corrupted = np.split(correct, 2)
        for quantity, values in (
            ("accuracy", correct),
            ("accuracy_clean", clean),
            ("accuracy_corrupted", corrupted),
        ):
            points.append(CurvePoint(step, quantity, probe.task, float(values.mean())))
    return points


def _weights(model: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    """Copies of all weights; the unembedding is the embedding and is not stored twice."""
    state = model.state_dict()
    del state[UNEMBEDDING]
    return {name: value.detach().clone() for name, value in state.items()}


def _optimizer(model: GPT2LMHeadModel) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices alone."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=BETAS, fused=True)


def train(cfg: TrainingConfig, state: Path, code: str = "") -> TrainedModel:
    """Train a model, going on from `state` where a run of the same settings was cut off.

    `state` is a folder for the resume file, which the caller removes when the outputs stand;
    `code` is the digest of the code: a state of other code or settings is not used.
    Progress goes to stderr: a bar on a terminal, else a line every hundred steps.
    """
    versions = {"torch": torch.__version__, "transformers": transformers_version}
    identity = {"cfg": canonical({**vars(cfg), **versions}), "code": code}
    with resumption.reproducible():
        return _train(cfg, state / STATE_FILE, identity)


def _train(cfg: TrainingConfig, state: Path, identity: Mapping[str, str]) -> TrainedModel:
    ids = {piece: number for number, piece in enumerate(language.words(), START_ID + 1)}
    model = new_model(cfg, len(ids) + 1)
    optimizer = _optimizer(model)
    probes = [probe_of(task, cfg.evaluate_pairs, ids) for task in language.task_names()]
    run = load_run(state, identity)
    if run is None:
        run = Run(0, _weights(model), {}, {}, accuracies(model, probes, 0), [])
    else:
        print(f"going on after step {run.step}", file=sys.stderr)
        model.load_state_dict({**run.weights, UNEMBEDDING: run.weights[EMBEDDING]})
        resumption.restore_moments(optimizer, run.moments)

    def scores(step: int) -> str:
        measured = [
            f"{point.task} {point.value:.2f}"
            for point in run.curve
            if point.step == step and point.quantity == "accuracy"
        ]
        return f"held-out accuracy: {', '.join(measured)}" if measured else ""

    for step in resumption.progress(range(run.step + 1, cfg.steps + 1), REPORT_EVERY, scores):
        rate = learning_rate(cfg, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = batch_loss(model, batch_of(cfg, step, ids))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        run.step = step
        run.losses.append(loss.item())
        last = step == cfg.steps
        if last or step % cfg.evaluate_every == 0:
            run.curve.append(CurvePoint(step, "loss", "", float(np.mean(run.losses))))
            run.curve.append(CurvePoint(step, "learning_rate", "", rate))
            run.curve.extend(accuracies(model, probes, step))
            run.losses = []
        if step in cfg.checkpoints:
            run.checkpoints[step] = _weights(model)
        if last or step % SAVE_EVERY == 0:
            run.weights, run.moments = _weights(model), resumption.moments(optimizer)
            save_run(state, run, identity)
    return TrainedModel(model.config, run.weights, run.checkpoints, run.curve)


def save_model(directory: Path, config: GPT2Config, weights: Mapping[str, torch.Tensor]) -> None:
    """Write config.json and model.safetensors as transformers reads them, the same bytes always."""
    with atomic(directory / "config.json") as temporary:
        temporary.write_text(config.to_json_string(), encoding="utf-8")
    with atomic(directory / "model.safetensors") as temporary:
        temporary.write_bytes(
            save(dict(weights), {"format": "pt"})
        )  # save_file: owner alone may read


def curve_columns(curve: list[CurvePoint]) -> dict[str, np.ndarray | list[str]]:
    """The training curve as columns of a table."""
    return {
        "step": np.array([point.step for point in curve], dtype=np.int32),
        "quantity": [point.quantity for point in curve],
        "task": [point.task for point in curve],
        "value": np.array([point.value for point in curve], dtype=np.float64),
    }
