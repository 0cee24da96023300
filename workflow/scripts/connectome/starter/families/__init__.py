"""Families of starter tasks, one module each, found by listing this folder.

A family has
    SLOTS     name -> Slot: the words that it can use, and how many of them it needs
    CASES     names of its variants, shown equally often in prompt sets
    METRIC    "logit_difference" or "probability_difference", how its answers are compared
    pair      (rng, case, words) -> Pair, or None where the draw mixes both sides of the split;
              words: slot -> forms of the entries that fit the tokenizer

No template begins with a slot: a word that opens a text has no blank before it and is another
token. What stands in both prompts alike (a place, a thing) may be of any number of tokens.
"""
