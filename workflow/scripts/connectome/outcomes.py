"""Outcomes of the intact model on prompt pairs: what competence is judged from."""

import numpy as np
import torch

from connectome import metrics
from connectome.competence import Outcomes
from connectome.devices import ranges, within_memory
from connectome.prompts import Prompts
from connectome.transformer import Transformer, answers


@torch.inference_mode()
def of_prompts(
    model: Transformer, prompts: Prompts, metric: str, batch_pairs: int = 256
) -> Outcomes:
    """Accuracy and metric per pair on clean and corrupted prompts, answers exchanged there."""
    measure = metrics.metric(metric)
    prompts = prompts.to(model.device)

    def run(rows: range) -> dict[str, np.ndarray]:
        batch = prompts.rows(slice(rows.start, rows.stop))
        right, wrong = batch.right, batch.wrong
        clean, corrupted = answers(model, batch.clean), answers(model, batch.corrupted)
        found = {
            "correct_clean": metrics.choice_accuracy(clean, right, wrong),
            "correct_corrupted": metrics.choice_accuracy(corrupted, wrong, right),
            "metric_clean": measure(clean, right, wrong).double(),
            "metric_corrupted": measure(corrupted, right, wrong).double(),
        }
        return {name: values.cpu().numpy() for name, values in found.items()}

    parts = list(within_memory(run, ranges(len(prompts), batch_pairs), "prompt pairs"))
    rights = (prompts.right >= 0).sum(1).cpu().numpy()
    wrongs = (prompts.wrong >= 0).sum(1).cpu().numpy()
    share = rights / (rights + wrongs)
    return Outcomes(
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        chance_clean=share,
        chance_corrupted=1 - share,
        groups=prompts.groups,
    )
