"""Kinds of dictionaries that can be trained: one module each, found by its name.

A module offers
`ACTIVATION`: how the trained dictionary is used, one of `dictionaries.ACTIVATIONS`;
`THRESHOLD`: of such a jumprelu, "tracked" (least feature that fired) or "learnt", else None;
`REVIVES`: whether dead features learn from the error (AuxK);
`FIRST_BETA`: of Adam;
`learning_rate(settings)`: where the configuration names none;
`places(h, weights, run, settings)`: entries (n,) int64 of h (N, F), flattened, that the loss looks
at, in rows;
`fire(h, columns, weights, run, settings)`: features (n,) of the pre-activations at those entries,
and what they cost beside the error.
Adding a kind is adding one file. Standard library alone here; the modules need torch.
"""
