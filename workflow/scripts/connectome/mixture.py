"""Attributions of a mixture of tasks: the samples of the attribution covariance."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from connectome.attribution import site_attributions
from connectome.prompts import Prompts
from connectome.transformer import Transformer


class Mixture(NamedTuple):
    """One row per prompt, tasks one after the other."""

    tasks: list[str]  # (rows,)
    pairs: np.ndarray  # (rows,) int32 number of the row
    values: dict[str, np.ndarray]  # per site (rows, features) float32


def attributions(
    model: Transformer,
    prompts: Mapping[str, Prompts],
    metrics: Mapping[str, str],
    sites: Sequence[str],
) -> Mixture:
    """(clean - corrupted) x gradient of every feature of `sites`, for the prompts of each task.

    `metrics` names the metric of each task. Without any task the values have no rows.
    """
    tasks: list[str] = []
    counts = model.layout["features"]
    found = {site: [np.zeros((0, counts[site]), np.float32)] for site in sites}
    for task, of_task in prompts.items():
        tasks += [task] * len(of_task)
        scores = site_attributions(model, of_task, metrics[task])
        for site, values in found.items():
            values.append(scores[site])
    return Mixture(
        tasks,
        np.arange(len(tasks), dtype=np.int32),
        {site: np.concatenate(values) for site, values in found.items()},
    )
