"""Words of the claims under figures: counts, ranges and medians of the rows that are drawn.

A plot module says with `caption` what is drawn, in words without numbers that hold for every run
(the page shows them), and with `claim` what these rows say. Standard library only.
"""

from collections.abc import Iterable, Sequence
from statistics import median


def counted(number: int, noun: str, nouns: str = "") -> str:
    """`1 region`, `2 regions`; nouns: a plural that does not end in s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def rounded(value: float) -> str:
    """Two decimals, with a true minus sign and none before zero."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212")


def spread(values: Sequence[float]) -> str:
    """`median 0.50 (0.10 to 0.90)`, or the one value that there is."""
    if len(set(values)) == 1:
        return rounded(values[0])
    ends = f"{rounded(min(values))} to {rounded(max(values))}"
    return f"median {rounded(median(values))} ({ends})"


def ranged(values: Iterable[int], noun: str) -> str:
    """`24 prompts`, or `20 to 24 prompts`."""
    found = sorted(set(values))
    ends = f"{found[0]:,} to {found[-1]:,}" if len(found) > 1 else f"{found[0]:,}"
    return f"{ends} {noun}"


def sentences(parts: Iterable[str]) -> str:
    """Those that are not empty, one after the other."""
    return " ".join(part for part in parts if part)
