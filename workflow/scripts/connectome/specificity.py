"""Are parts specific to a task? Sets of parts of every task, their null, and what a matrix says.

M[a, b] is what is left of task b when the parts of task a are ablated, or when they alone are kept.
Ideal: ablating leaves nothing on the diagonal and all beside it, keeping the reverse. NumPy alone;
`cross_ablation` runs the model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from connectome.labelling import DEAD
from connectome.parts import ERROR, MARKS, SKIP, PartGraph, top_nodes
from connectome.statistics import interval, permutation_p

Array = np.ndarray
TRIES = 50  # permutations of the parts among which the one nearest in features is taken
RELABELLINGS = 999
_SETS: dict[str, type] = {"partition": str, "sets": str, "intervention": str}
_RUN: dict[str, type] = {"pairs": int, "draws": int, "null_pairs": int, "seed": int}
# Columns of the table of cells and of the table of matrices.
CELLS: dict[str, type] = {
    **_SETS,
    "task": str,  # whose parts
    "measured": str,
    "status": str,
    "reason": str,
    "nodes": int,
    "features": int,
    "parts": str,
    "f": float,
    "f_lo": float,
    "f_hi": float,
    "null_f": float,
    "accuracy": float,
    "accuracy_lo": float,
    "accuracy_hi": float,
    "null_accuracy": float,
    "distinct": int,
    **_RUN,
}
SUMMARIES: dict[str, type] = {
    **_SETS,
    "measure": str,
    "tasks": int,
    "status": str,
    "reason": str,
    "diagonal": float,
    "beside": float,
    "worst": float,
    "worst_task": str,
    "separation": float,
    "separation_lo": float,
    "separation_hi": float,
    "separation_first": float,
    "null_lo": float,
    "null_median": float,
    "null_hi": float,
    "p": float,
    "p_labels": float,
    "nodes": float,
    "features": float,
    "null_features": float,
    "unassigned": int,
    "nodes_all": int,
    "features_all": int,
    **_RUN,
}
TESTS = ("p", "p_labels")  # corrected as families, in columns of that name + "_adj"


def shares(scores: Array) -> Array:
    """|node scores| (tasks, U) as shares of their sum over the nodes but the input, per task."""
    size = np.abs(scores)
    size[:, 0] = 0
    total = size.sum(axis=1, keepdims=True)
    return np.divide(size, total, out=np.zeros_like(size), where=total > 0)


def circuit(graph: PartGraph, share: Array, settings: Mapping[str, Any]) -> Array:
    """The share `size` of all nodes that scores highest, per task: bool (tasks, U)."""
    count = max(1, round(settings["size"] * (graph.writers - 1)))
    kept = np.stack([top_nodes(graph, of_task, count, "absolute") for of_task in share])
    kept[:, 0] = False
    return kept


def assigned(graph: PartGraph, share: Array, settings: Mapping[str, Any]) -> Array:
    """Each node to the task of which it has the largest share: bool (tasks, U), disjoint.

    A node whose second largest share comes within the fraction `margin` of the largest goes to no
    task, and so does one without any score.
    """
    ordered = np.sort(share, axis=0)
    second = ordered[-2] if len(share) > 1 else np.zeros(graph.writers)
    clear = (ordered[-1] > 0) & (ordered[-1] - second >= settings["margin"] * ordered[-1])
    return clear & (share.argmax(axis=0) == np.arange(len(share))[:, None])


SETS: Mapping[str, Callable[[PartGraph, Array, Mapping[str, Any]], Array]] = {
    "circuit": circuit,
    "assigned": assigned,
}


def random_sets(graph: PartGraph, sets: Array, rng: np.random.Generator) -> Array:
    """Sets (tasks, U) whose parts are exchanged at random for others of the same kind of site.

    One permutation serves all tasks: each set keeps its number of attention and of MLP parts,
    disjoint sets stay disjoint and sets that overlap overlap as much. Of TRIES permutations the
    one that changes the sets' numbers of features least is taken. Dead parts, and what stands
    beside the features of a dictionary, take no part.
    """
    kinds = np.array([site.split(".")[0] for site in graph.site_of[:-1]])
    aside = tuple(f".{MARKS[mark]}" for mark in (DEAD, SKIP, ERROR))
    live = np.array([not name.endswith(aside) for name in graph.names[:-1]])
    pools = [np.flatnonzero((kinds == kind) & live) for kind in ("attn", "mlp")]
    wanted = sets @ graph.sizes
    best, distance = sets, np.inf
    for _ in range(TRIES):
        place = np.arange(graph.writers)
        for pool in pools:
            place[pool] = rng.permutation(pool)
        found = sets[:, place]
        change = float(np.abs(found @ graph.sizes - wanted).sum())
        if change < distance:
            best, distance = found, change
    return best


def keep_masks(sets: Array, intervention: str) -> Array:
    """Writers kept (tasks, U), the input always: all but the sets ("ablate"), or they alone."""
    kept = ~sets if intervention == "ablate" else sets.copy()
    kept[:, 0] = True
    return kept


def separation(matrix: Array, intervention: str) -> Array:
    """Mean beside the diagonal minus mean on it (ablate), or the reverse (keep), of (..., a, a)."""
    n = matrix.shape[-1]
    on = np.diagonal(matrix, axis1=-2, axis2=-1).mean(axis=-1)
    off = (matrix.sum(axis=(-2, -1)) - n * on) / (n * (n - 1))
    return off - on if intervention == "ablate" else on - off


class Matrix(NamedTuple):
    """One measure of one kind of sets under one intervention; axes: task of the set, measured."""

    value: Array  # (a, a)
    draws: Array  # (draws, a, a) bootstrap over the prompts of each measured task
    first: Array  # (a, a) on the prompts that the null ran on
    null: Array  # (random draws, a, a) of random sets


def relabelled_p(matrix: Array, intervention: str, seed: int) -> float:
    """Is the separation larger than with the same sets handed to the tasks at random?"""
    rng = np.random.default_rng(seed)
    others = [matrix[rng.permutation(len(matrix))] for _ in range(RELABELLINGS)]
    null = separation(np.stack(others), intervention)
    return permutation_p(float(separation(matrix, intervention)), null + 1e-12)


def summarise(matrix: Matrix, tasks: Sequence[str], intervention: str, seed: int) -> dict[str, Any]:
    """Diagonal, rest, worst task and separation of a matrix of `tasks`, beside both nulls.

    `p`: random sets whose separation, on the same prompts, is at least as large; `p_labels`: the
    sets themselves, handed to the tasks at random. Fewer than two tasks have no separation.
    """
    on = np.diagonal(matrix.value)
    worst = int(np.argmax(on) if intervention == "ablate" else np.argmin(on))
    if len(tasks) < 2:
        return {"diagonal": float(on[0]), "worst": float(on[0]), "worst_task": tasks[0]}
    found = float(separation(matrix.value, intervention))
    low, high = interval(separation(matrix.draws, intervention))
    record = {
        "diagonal": float(on.mean()),
        "beside": float(on.mean() + (found if intervention == "ablate" else -found)),
        "worst": float(on[worst]),
        "worst_task": tasks[worst],
        "separation": found,
        "separation_lo": low,
        "separation_hi": high,
        "p_labels": relabelled_p(matrix.value, intervention, seed),
    }
    if len(matrix.null):
        null = separation(matrix.null, intervention)
        low, middle, high = np.quantile(null, [0.025, 0.5, 0.975])
        first = float(separation(matrix.first, intervention))
        record |= {
            "separation_first": first,
            "null_lo": float(low),
            "null_median": float(middle),
            "null_hi": float(high),
            "p": permutation_p(first, null),
        }
    return record
