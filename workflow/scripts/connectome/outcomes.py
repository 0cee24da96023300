"""Outcomes of the intact model on prompt pairs: what competence is judged from."""

import numpy as np
import torch

from connectome import metrics
from connectome.competence import Outcomes
from connectome.prompts import Prompts
from connectome.transformer import Transformer, forward, logits_at_answer


@torch.inference_mode()
def of_prompts(
    model: Transformer, prompts: Prompts, metric: str, batch_pairs: int = 256
) -> Outcomes:
    """Accuracy and metric per pair on clean and corrupted prompts, answers exchanged there."""
    measure = metrics.metric(metric)
    columns: dict[str, list[np.ndarray]] = {}
    for batch in prompts.batches(batch_pairs):
        right, wrong = batch.right, batch.wrong
        clean = logits_at_answer(model, forward(model, batch.clean))
        corrupted = logits_at_answer(model, forward(model, batch.corrupted))
        found = {
            "correct_clean": metrics.choice_accuracy(clean, right, wrong),
            "correct_corrupted": metrics.choice_accuracy(corrupted, wrong, right),
            "metric_clean": measure(clean, right, wrong).double(),
            "metric_corrupted": measure(corrupted, right, wrong).double(),
        }
        for name, values in found.items():
            columns.setdefault(name, []).append(values.cpu().numpy())
    rights = (prompts.right >= 0).sum(1).numpy()
    wrongs = (prompts.wrong >= 0).sum(1).numpy()
    share = rights / (rights + wrongs)
    return Outcomes(
        **{name: np.concatenate(values) for name, values in columns.items()},
        chance_clean=share,
        chance_corrupted=1 - share,
        groups=prompts.groups,
    )
