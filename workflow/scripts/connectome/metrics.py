"""Metrics at the answer: pure functions of logits and answers, higher is better; and gradients.

Answers are padded id lists (n, k), -1 where a list is shorter. Logits (..., n, vocabulary).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from connectome.errors import ConfigError


def _members(ids: Tensor, vocabulary: int) -> Tensor:
    """Which tokens a padded list holds, bool (n, vocabulary)."""
    held = torch.zeros(len(ids), vocabulary + 1, dtype=torch.bool, device=ids.device)
    held.scatter_(1, torch.where(ids < 0, vocabulary, ids), True)
    return held[:, :vocabulary]


def _shares(ids: Tensor, like: Tensor) -> Tensor:
    """Weights (n, vocabulary) that average logits over a list."""
    held = _members(ids, like.shape[-1]).to(like.dtype)
    return held / held.sum(-1, keepdim=True)


def logit_difference(logits: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Mean logit of the right answers minus mean logit of the wrong ones (..., n)."""
    return (logits * (_shares(right, logits) - _shares(wrong, logits))).sum(-1)


def logit_difference_gradient(logits: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Gradient (n, vocabulary) of `logit_difference`, per prompt."""
    return (_shares(right, logits) - _shares(wrong, logits)).expand_as(logits)


def probability_difference(logits: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Probability of all right answers minus that of all wrong ones (..., n)."""
    signs = _members(right, logits.shape[-1]).to(logits.dtype)
    signs = signs - _members(wrong, logits.shape[-1]).to(logits.dtype)
    return (logits.softmax(-1) * signs).sum(-1)


def probability_difference_gradient(logits: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Gradient (n, vocabulary) of `probability_difference`, per prompt."""
    signs = _members(right, logits.shape[-1]).to(logits.dtype)
    signs = signs - _members(wrong, logits.shape[-1]).to(logits.dtype)
    p = logits.softmax(-1)
    return p * (signs - (p * signs).sum(-1, keepdim=True))


def choice_accuracy(logits: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Whether the best right answer beats the best wrong one, bool (..., n)."""
    low = torch.finfo(logits.dtype).min
    best = logits.masked_fill(~_members(right, logits.shape[-1]), low).amax(-1)
    rival = logits.masked_fill(~_members(wrong, logits.shape[-1]), low).amax(-1)
    return best > rival


def accuracy(logits: Tensor, right: Tensor) -> Tensor:
    """Whether the likeliest token is a right answer, bool (..., n)."""
    held = _members(right, logits.shape[-1]).expand_as(logits)
    return held.gather(-1, logits.argmax(-1, keepdim=True))[..., 0]


def kl_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(reference || logits) over the whole vocabulary, nats (..., n); lower is better."""
    log_p, log_q = reference.log_softmax(-1), logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def statistical_distance(logits: Tensor, reference: Tensor) -> Tensor:
    """Half the summed difference of probabilities (..., n); lower is better."""
    return (reference.softmax(-1) - logits.softmax(-1)).abs().sum(-1) / 2


def metric(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A metric of a task by its name. Raises ConfigError for any other."""
    if name not in ("logit_difference", "probability_difference"):
        raise ConfigError(
            f"metric {name!r} is not known; known: logit_difference, probability_difference"
        )
    return globals()[name]


def gradient(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Gradient of a metric at the logits.

    Raises ConfigError for the KL divergence from the intact model, whose gradient there is zero:
    first-order scores would be noise.
    """
    if name == "kl_divergence":
        raise ConfigError(
            "the KL divergence has zero gradient at the intact model: no first-order attribution; "
            "use logit_difference"
        )
    metric(name)
    return globals()[f"{name}_gradient"]
