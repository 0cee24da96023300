"""Faithfulness of circuits: the share of the metric that a circuit keeps, with its intervals.

f(C) = (m(C) - m({})) / (m(N) - m({})) for the intact model N and the empty circuit {}, m a metric
where higher is better (Wang et al. 2023; Marks et al. 2025). Two aggregates stand side by side:
the ratio of means, and the median of per-prompt ratios with its quartiles.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from connectome.significance import difference_p, equivalence_p, fraction_p, prompts_above
from connectome.statistics import interval, permutation_p

Array = np.ndarray
TINY_SHARE = 0.05  # of the median |m(N) - m({})|: below it a prompt has no ratio of its own
DIGITS = 6  # of a ratio: two circuits nearer than that tie, and rounding decides no rank
TIE_SHARE = 1e-4  # of the same median: two metrics nearer than that differ by rounding
# Tests of MEASURES whose p values are corrected as families, in columns of that name + "_adj".
TESTS = ("p", "p_fraction", "p_equivalent", "p_different")
# Columns of an evaluation table, and of the table of all of them.
MEASURES: dict[str, type] = {
    "partition": str,
    "method": str,
    "ablation": str,
    "intervention": str,
    "error": str,  # one of parts.ERRORS; "" where no part is the error of a dictionary
    "mode": str,
    "ranking": str,
    "requested": int,
    "selected": int,
    "edges": int,
    "nodes": int,
    "features": int,
    "weighted": float,
    "k": float,
    "m_model": float,
    "m_empty": float,
    "m_circuit": float,
    "f_ratio": float,
    "f_lo": float,
    "f_hi": float,
    "f_median": float,
    "f_q25": float,
    "f_q75": float,
    "excluded": int,
    "null_lo": float,
    "null_hi": float,
    "null_median": float,
    "p": float,
    "wins": int,
    "p_fraction": float,
    "above": float,
    "p_equivalent": float,
    "p_different": float,
    "null_pairs": int,
    "kl": float,
    "accuracy": float,
    "draws": int,
    "pairs": int,
    "distinct": int,
    "seed": int,
}


@dataclass(frozen=True)
class Reference:
    """Metric of the intact model and of the empty circuit on the same prompts, each (n,)."""

    model: Array
    empty: Array

    @property
    def gap(self) -> Array:
        """What the circuit is asked to keep, per prompt (n,)."""
        return self.model - self.empty

    def ratio(self, circuit: Array) -> float | None:
        """Ratio of means of circuit (n,); None where the mean gap is 0."""
        gap = float(self.gap.mean())
        return float((circuit - self.empty).mean() / gap) if gap else None

    def part(self, count: int) -> "Reference":
        """The same on the first `count` prompts."""
        return Reference(self.model[:count], self.empty[:count])


def measure(circuit: Array, reference: Reference, weights: Array) -> dict[str, Any]:
    """Faithfulness of a circuit from its metric (n,) and bootstrap weights (draws, n).

    Numerator and denominator are resampled together. Prompts whose own gap is tiny are left out
    of the per-prompt ratios and counted in `excluded`, never set to 0. Values that are not
    defined (no gap at all) are None.
    """
    kept, gap = circuit - reference.empty, reference.gap
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = interval((weights @ kept) / (weights @ gap))
    usable = np.abs(gap) >= TINY_SHARE * np.median(np.abs(gap))
    usable &= gap != 0
    record: dict[str, Any] = {
        "m_circuit": float(circuit.mean()),
        "m_model": float(reference.model.mean()),
        "m_empty": float(reference.empty.mean()),
        "f_ratio": reference.ratio(circuit),
        "f_lo": low if np.isfinite(low) else None,
        "f_hi": high if np.isfinite(high) else None,
        "excluded": int((~usable).sum()),
    }
    names = ("f_q25", "f_median", "f_q75")
    if usable.any():
        quartiles = np.quantile(kept[usable] / gap[usable], [0.25, 0.5, 0.75])
        return record | dict(zip(names, map(float, quartiles), strict=True))
    return record | dict.fromkeys(names)


def against_model(circuit: Array, reference: Reference, groups: Array) -> dict[str, float]:
    """Is the circuit's metric (n,) as often above the intact model's as below it?

    `above` counts distinct prompts (groups, (n,)); `p_equivalent` is small where they are
    equivalent, `p_different` where they differ: each has the other's alternative as its null.
    """
    tie = TIE_SHARE * float(np.median(np.abs(reference.gap)))
    above, n = prompts_above(circuit, reference.model, groups, tie)
    return {
        "above": above,
        "p_equivalent": equivalence_p(above, n),
        "p_different": difference_p(above, n),
    }


def against_random(
    circuit: Array, random: Array, reference: Reference, complement: bool = False
) -> dict[str, Any]:
    """A circuit beside random circuits of its size, on the prompts that both ran on.

    circuit (n,), random (draws, n), reference of the same n prompts. Sufficiency: `p` is the share
    of random circuits that are at least as faithful. Necessity (`complement`: all metrics are those
    of complements): the share whose complement keeps at most as much. Both with the +1 correction:
    never below 1 / (draws + 1). `wins` random circuits are strictly beaten; `p_fraction` is small
    where that is more than the fraction significance.FRACTION.
    """
    null = [reference.ratio(row) for row in random]
    observed = reference.ratio(circuit)
    names = ("null_lo", "null_median", "null_hi", "p", "wins", "p_fraction")
    if observed is None or not null:
        return dict.fromkeys(names)
    observed, values = round(observed, DIGITS), np.round(np.array(null, np.float64), DIGITS)
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    sign = -1 if complement else 1
    wins = int(np.sum(sign * observed > sign * values))
    return {
        "null_lo": float(low),
        "null_median": float(middle),
        "null_hi": float(high),
        "p": permutation_p(sign * observed, sign * values),
        "wins": wins,
        "p_fraction": fraction_p(wins, len(values)),
    }
