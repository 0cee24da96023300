"""Nested block model of one site's graph, its stability and its nulls.

The model is degree-corrected and unweighted (Peixoto 2014, Phys. Rev. X 4, 011047), fitted by
minimum description length from several seeds. The only module that imports graph_tool; it runs on
NumPy 1.24 and 2.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from connectome.agreement import adjusted_mutual_information
from connectome.errors import ConfigError
from connectome.labelling import by_size, of_features

sys.modules["cairo"] = None  # type: ignore[assignment]  # some installs crash on a missing Gtk
warnings.filterwarnings("ignore", message="Error importing cairo")

import graph_tool  # noqa: E402
from graph_tool import inference  # noqa: E402

# The default table costs 0.8 GB and most of the start-up; the partition is the same.
inference.blockmodel._q_cache_max_n = 1000
graph_tool.openmp_set_num_threads(1)

NULL_SHARE = 0.95  # of the permuted and entries draws must be one block
_CONTROL_DRAWS = 20  # label permutations behind `half_ami_null`


@dataclass(frozen=True)
class Fit:
    """One restart: labels of the nodes per level, finest first, and how it got there."""

    seed: int
    levels: tuple[np.ndarray, ...]  # each (nodes,), parts by decreasing size
    description_length: float  # nats
    trace: tuple[float, ...]  # description length after each sweep

    @property
    def blocks(self) -> int:
        return int(self.levels[0].max()) + 1


@dataclass(frozen=True)
class Fits:
    """All restarts on one graph; `best` has the smallest description length."""

    nodes: np.ndarray  # (nodes,) feature numbers of the nodes, increasing
    best: Fit
    restarts: tuple[Fit, ...]


def fit_edges(
    edges: np.ndarray,
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    degree_corrected: bool,
    weights: np.ndarray | None = None,
) -> Fits:
    """Fit the edges (E, 2) of feature numbers from each seed; isolated features are no nodes.

    `weights` (E,) are normal covariates of the edges (Peixoto 2018, Phys. Rev. E 97, 012306).
    """
    nodes, graph, model = _graph(edges, degree_corrected, weights)
    restarts = tuple(_restart(graph, seed, settings, model) for seed in seeds)
    best = min(restarts, key=lambda fit: fit.description_length)
    return Fits(nodes, best, restarts)


def _graph(
    edges: np.ndarray, degree_corrected: bool, weights: np.ndarray | None
) -> "tuple[np.ndarray, graph_tool.Graph, dict[str, Any]]":
    """Feature numbers of the nodes, the graph, and what graph-tool calls its `state_args`."""
    nodes, ends = np.unique(edges, return_inverse=True)
    graph = graph_tool.Graph(directed=False)
    graph.add_vertex(len(nodes))
    graph.add_edge_list(ends.reshape(-1, 2))
    model: dict[str, Any] = {"deg_corr": degree_corrected}
    if weights is not None:
        covariate = graph.new_edge_property("double", vals=weights)
        model |= {"recs": [covariate], "rec_types": ["real-normal"]}
    return nodes, graph, model


def _restart(
    graph: "graph_tool.Graph", seed: int, settings: Mapping[str, Any], model: dict[str, Any]
) -> Fit:
    graph_tool.seed_rng(seed)
    np.random.seed(seed)
    state = inference.minimize_nested_blockmodel_dl(graph, state_args=model)
    trace = [state.entropy()]
    idle = 0
    while len(trace) <= settings["sweeps"] and idle < settings["patience"]:
        state.multiflip_mcmc_sweep(beta=np.inf, niter=10)
        trace.append(state.entropy())
        idle = 0 if trace[-2] - trace[-1] > settings["min_gain"] else idle + 1
    return Fit(seed, _levels(state), float(trace[-1]), tuple(map(float, trace)))


def _levels(state: "inference.NestedBlockState") -> tuple[np.ndarray, ...]:
    """Labels of the nodes per level, without levels that merge nothing."""
    levels: list[np.ndarray] = []
    labels = np.arange(state.g.num_vertices())
    for of_blocks in state.get_bs():
        labels = np.asarray(of_blocks)[labels]
        if not levels or len(np.unique(labels)) <= levels[-1].max():
            levels.append(by_size(labels))
    return tuple(levels)


def description_length(
    edges: np.ndarray,
    levels: Sequence[np.ndarray],
    degree_corrected: bool = True,
    weights: np.ndarray | None = None,
) -> float:
    """Description length in nats of the edges under given labels of the nodes, finest first."""
    _, graph, model = _graph(edges, degree_corrected, weights)
    finer = np.arange(graph.num_vertices())
    above = []
    for labels in levels:
        of_blocks = np.zeros(finer.max() + 1, dtype=np.int32)
        of_blocks[finer] = labels
        above.append(of_blocks)
        finer = labels
    return float(inference.NestedBlockState(graph, bs=above, state_args=model).entropy())


def one_block_length(edges: np.ndarray) -> float:
    """Description length in nats of the graph as a single block."""
    return description_length(edges, [np.zeros(len(np.unique(edges)), dtype=np.int32)])


def agreement(left: np.ndarray, right: np.ndarray) -> float | None:
    """AMI, or None where it says nothing: no common members, or one block in both."""
    if len(left) == 0 or (len(np.unique(left)) == 1 and len(np.unique(right)) == 1):
        return None
    return adjusted_mutual_information(left, right)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def restart_records(fits: Fits) -> list[dict[str, Any]]:
    """Seed, description length, block count and trace of each restart."""
    return [
        {
            "seed": fit.seed,
            "description_length": fit.description_length,
            "blocks": fit.blocks,
            "trace": list(fit.trace),
        }
        for fit in fits.restarts
    ]


def restart_agreement(fits: Fits) -> float | None:
    """Mean AMI over pairs of restarts at the finest level."""
    pairs = combinations([fit.levels[0] for fit in fits.restarts], 2)
    return _mean([agreement(left, right) for left, right in pairs])


def stability(fits: Fits) -> np.ndarray | None:
    """Share (nodes,) of the other restarts that agree with the best, after optimal matching.

    None where that says nothing: a single restart, or one block in all of them.
    """
    others = [fit for fit in fits.restarts if fit is not fits.best]
    if not others or max(fit.blocks for fit in fits.restarts) == 1:
        return None
    target = fits.best.levels[0]
    agree = [inference.align_partition_labels(fit.levels[0], target) == target for fit in others]
    return np.mean(agree, axis=0)


def fit(
    graph: Mapping[str, np.ndarray], meta: Mapping[str, Any], settings: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """The record of an sbm file from the arrays and metadata of a graph file.

    settings: seeds (restarts), control_seeds (restarts of each half and of the model without
    degree correction), sweeps, patience, min_gain (nats). Description lengths are in nats;
    agreements are AMI, None where they say nothing (one block on both sides). A refused graph
    stays refused with its reason, its other fields empty. Raises ConfigError for a seed below 1:
    graph-tool takes 0 for "any".
    """
    if seed < 1:
        raise ConfigError(f"seed: {seed} would be drawn anew in each run; take 1 or more")
    record: dict[str, Any] = {
        "site": meta["site"],
        "kind": meta["kind"],
        "features": meta["features"],
        "live": meta["live"],
        "dead": meta["dead"],
        "status": meta["status"],
        "reason": meta["reason"],
        "settings": {**settings, "seed": seed},
        "grouped": 0,
        "edges": 0,
        "levels": [],
        "blocks": [],
        "description_length": None,
        "description_length_one_block": None,
        "description_length_uncorrected": None,
        "restarts": [],
        "seed_ami": None,
        "stability": [None] * meta["features"],
        "half_ami": None,
        "half_ami_null": None,
        "half_blocks": None,
        "half_shared": 0,
        "null": {},
        "null_pass": None,
    }
    if meta["status"] == "refused":
        return record
    seeds = range(seed, seed + settings["seeds"])
    control_seeds = range(seed, seed + settings["control_seeds"])
    fits = fit_edges(graph["data"], seeds, settings, degree_corrected=True)
    uncorrected = fit_edges(graph["data"], control_seeds, settings, degree_corrected=False)
    levels = [of_features(labels, fits.nodes, graph["dead"]) for labels in fits.best.levels]
    record |= {
        "grouped": len(fits.nodes),
        "edges": len(graph["data"]),
        "levels": [labels.tolist() for labels in levels],
        "blocks": [int(labels.max()) + 1 for labels in levels],
        "description_length": fits.best.description_length,
        "description_length_one_block": one_block_length(graph["data"]),
        "description_length_uncorrected": uncorrected.best.description_length,
        "restarts": restart_records(fits),
        "seed_ami": restart_agreement(fits),
    }
    share = stability(fits)
    if share is not None:
        for node, value in zip(fits.nodes.tolist(), share.tolist(), strict=True):
            record["stability"][node] = value
    record |= _half_record(graph, control_seeds, settings, seed)
    record |= _null_record(graph, meta["draws"], seed, settings)
    return record


def _half_record(
    graph: Mapping[str, np.ndarray], seeds: Sequence[int], settings: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Agreement of the two halves on the features grouped in both, beside permuted labels."""
    edges = [graph[f"half{half}"] for half in (0, 1)]
    if min(map(len, edges)) == 0:
        return {}
    first, second = (fit_edges(half, seeds, settings, degree_corrected=True) for half in edges)
    shared, i, j = np.intersect1d(first.nodes, second.nodes, return_indices=True)
    left, right = first.best.levels[0][i], second.best.levels[0][j]
    generator = np.random.default_rng(seed)
    control = [agreement(left, generator.permutation(right)) for _ in range(_CONTROL_DRAWS)]
    return {
        "half_ami": agreement(left, right),
        "half_ami_null": _mean(control),
        "half_blocks": [first.best.blocks, second.best.blocks],
        "half_shared": len(shared),
    }


def _null_record(
    graph: Mapping[str, np.ndarray], draws: int, seed: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Blocks found in each null draw; passed where permuted data and entries give one."""
    found = {
        kind: [
            fit_edges(graph[f"{kind}.{draw}"], [seed], settings, degree_corrected=True).best.blocks
            for draw in range(draws)
        ]
        for kind in ("permuted", "entries", "rolled")
    }
    tested = found["permuted"] + found["entries"]
    passed = bool(np.mean([b == 1 for b in tested]) >= NULL_SHARE) if tested else None
    return {"null": found, "null_pass": passed}
