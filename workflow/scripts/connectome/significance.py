"""Hypothesis tests of circuits: small p means that the null hypothesis named in each is refused.

Sufficiency, necessity and equivalence follow Shi et al. 2024 (Hypothesis testing the circuit
hypothesis in LLMs); every family of p values is corrected by Benjamini and Hochberg (1995).
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom, false_discovery_control

Array = np.ndarray
FRACTION = 0.9  # of the random circuits that a circuit has to beat
MARGIN = 0.1  # equivalence: the share of prompts on which the circuit wins is this near to one half


def fraction_p(wins: int, draws: int, fraction: float = FRACTION) -> float:
    """P[Bin(draws, fraction) >= wins]: null, it beats at most this fraction of random circuits.

    Beating all draws gives fraction ** draws: 29 draws are the fewest that reach 0.05 at 0.9.
    """
    return float(binom.sf(wins - 1, draws, fraction))


def prompts_above(
    circuit: Array, model: Array, groups: Array, tie: float = 0.0
) -> tuple[float, int]:
    """On how many distinct prompts m(C) > m(N), ties one half, and how many prompts there are.

    circuit, model (n,); prompts of one group (n,) count as one, by their mean. Differences of at
    most `tie` are ties: else the last digit of equal numbers would decide.
    """
    difference = circuit - model
    sign = (np.sign(difference) * (np.abs(difference) > tie) + 1) / 2
    _, member = np.unique(groups, return_inverse=True)
    of_group = np.bincount(member, sign) / np.bincount(member)
    return float(of_group.sum()), len(of_group)


def equivalence_p(above: float, n: int, margin: float = MARGIN) -> float:
    """Null: circuit and model differ, |P(m(C) > m(N)) - 1/2| >= margin. Small p: equivalent.

    Two one-sided binomial tests, of which the larger p counts; a count between two whole numbers is
    taken as the one that speaks less for equivalence. It is the sign of the difference that is
    tested, not its size.
    """
    low = binom.cdf(np.ceil(above - 1e-9), n, 0.5 + margin)
    high = binom.sf(np.floor(above + 1e-9) - 1, n, 0.5 - margin)
    return float(max(low, high))


def difference_p(above: float, n: int, margin: float = MARGIN) -> float:
    """Null: circuit and model are equivalent. Small p: they differ (Shi et al. 2024).

    P[|K/n - 1/2| >= |above/n - 1/2|] for K of Bin(n, 1/2 + margin).
    """
    counts = np.arange(n + 1)
    far = np.abs(counts - n / 2) >= abs(above - n / 2) - 1e-9
    return float(min(1.0, binom.pmf(counts[far], n, 0.5 + margin).sum()))


def adjusted(p: Sequence[float | None]) -> list[float | None]:
    """Benjamini-Hochberg p values of one family; None stays None and counts for nothing."""
    known = [value for value in p if value is not None]
    if not known:
        return list(p)
    corrected = iter(false_discovery_control(known, method="bh").tolist())
    return [None if value is None else next(corrected) for value in p]


def needed_at_floor(tests: int, floor: float, level: float = 0.05) -> int:
    """How many of `tests` must reach the smallest possible p for the first to stay below `level`.

    More than `tests` where no number of them would do.
    """
    return int(np.ceil(tests * floor / level - 1e-9))
