"""Sentence families, one module each, found by listing this folder.

A family has
    SHARES    stage -> relative number of its documents ("curriculum", "mixture")
    WORDS     every token that it can write
    document  (rng) -> Document that training may show
and, where it is a task,
    CASES     names of its variants, shown equally often in prompt sets
    METRIC    "logit_difference" or "probability_difference", how its answers are compared
    pair      (rng, case) -> Pair, or None where the draw mixes both sides of the split
"""
