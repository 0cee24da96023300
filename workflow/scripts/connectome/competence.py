"""What the model can do of a task, before any circuit of it is believed.

A task counts only where the accuracy lies above chance on the clean AND on the corrupted prompts
(there with the answers exchanged) and the gap between the two metrics excludes zero: accuracy on
clean prompts alone lets shortcuts pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from connectome.statistics import bootstrap_weights, mean_interval

Array = np.ndarray
_SIDES = ("clean", "corrupted")


@dataclass(frozen=True)
class Outcomes:
    """Per-prompt outcomes of one split, each (n,)."""

    correct_clean: Array  # bool: the best right answer beats the best wrong one
    correct_corrupted: Array  # bool: on the corrupted prompt, answers exchanged
    metric_clean: Array  # float: the task's metric
    metric_corrupted: Array  # float: the same metric, same answers, on the corrupted prompt
    chance_clean: Array  # float: share of right answers among all answers
    chance_corrupted: Array
    groups: Array  # prompts with the same clean text share a group


def measure(outcomes: Outcomes, draws: int, seed: int) -> dict[str, Any]:
    """Accuracies (Wilson intervals over distinct prompts), metrics and gap (bootstrap)."""
    weights = bootstrap_weights(outcomes.groups, draws, seed)
    gap = outcomes.metric_clean - outcomes.metric_corrupted
    return {
        "pairs": len(outcomes.groups),
        "distinct": len(np.unique(outcomes.groups)),
        "chance_clean": float(outcomes.chance_clean.mean()),
        "chance_corrupted": float(outcomes.chance_corrupted.mean()),
        "accuracy_clean": proportion_interval(outcomes.correct_clean, outcomes.groups),
        "accuracy_corrupted": proportion_interval(outcomes.correct_corrupted, outcomes.groups),
        "metric_clean": mean_interval(outcomes.metric_clean, weights),
        "metric_corrupted": mean_interval(outcomes.metric_corrupted, weights),
        "gap": mean_interval(gap, weights),
    }


def unmeasured() -> dict[str, Any]:
    """What `measure` says of a split without prompts: nothing is defined."""
    sides = [f"{name}_{s}" for name in ("chance", "accuracy", "metric") for s in _SIDES]
    return {"pairs": 0, "distinct": 0, **dict.fromkeys([*sides, "gap"])}


def proportion_interval(correct: Array, groups: Array, level: float = 0.95) -> dict[str, float]:
    """Share of correct prompts with its Wilson interval; n is the number of distinct groups.

    Unlike the bootstrap it does not shrink to a point where all prompts agree (Wilson 1927).
    """
    n = len(np.unique(groups))
    share = float(np.mean(correct))
    z = float(norm.ppf(0.5 + level / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return {
        "value": share,
        "lo": float(min(share, centre - half)),
        "hi": float(max(share, centre + half)),
    }


def verdict(heldout: Mapping[str, Any]) -> str | None:
    """Why the model cannot do the task, from the held-out record of `measure`; None if it can."""
    for side in _SIDES:
        accuracy = heldout[f"accuracy_{side}"]
        chance = heldout[f"chance_{side}"]
        if not accuracy["lo"] > chance:
            return (
                f"accuracy on {side} prompts {accuracy['value']:.2f} "
                f"[{accuracy['lo']:.2f}, {accuracy['hi']:.2f}] is not above chance ({chance:.2f})"
            )
    gap = heldout["gap"]
    if gap["lo"] is None:
        return "one distinct prompt gives the gap between clean and corrupted prompts no interval"
    if not gap["lo"] > 0:
        return (
            f"the gap between clean and corrupted prompts, {gap['value']:.2f} "
            f"[{gap['lo']:.2f}, {gap['hi']:.2f}], does not exclude 0"
        )
    return None
