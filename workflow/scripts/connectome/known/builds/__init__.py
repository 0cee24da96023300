"""Built models, one module each, found by listing this folder.

A build is a family of sentences (see `language.families`) that brings a model of its own:
    CASES, METRIC, WORDS, pair, document    as in a family; `document` gives text to record
    SIZE      shape of the model (`design.Size`)
    ROLES     known head -> what it does, in words
    EDGES     edges of the intended circuit
    ATTENDS   known head -> where it looks from and to, in words
    attends   (words of a prompt) -> {head: (query, key)}, the same as word numbers
    design    () -> `design.Design`, from which `assembly` makes the weights
"""
