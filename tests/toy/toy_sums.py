"""Sums of the toy."""

from connectome.toy_plus import plus


def total(numbers):
    """Their sum."""
    result = 0
    for number in numbers:
        result = plus(result, number)
    return result
