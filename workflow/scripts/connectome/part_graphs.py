"""Part graphs of the partitions of a model, by name; and their scores as tables."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectome import partitions, parts
from connectome.errors import DataError
from connectome.parts import PartGraph
from connectome.scores import Scores

FEATURES, TOP_FEATURES = "features", "top_features"
_TEXT, _COUNT, _SCORE = pa.string(), pa.int32(), pa.float64()
_NAMES = {"partition": _TEXT, "method": _TEXT, "ablation": _TEXT}
_MEASURES = dict.fromkeys(("score", "se", "mean_abs", "sign_share"), _SCORE) | {"n": _COUNT}
# of a task without prompts
_EMPTY = {
    "nodes": pa.schema(
        _NAMES | dict.fromkeys(("node", "site", "kind"), _TEXT) | {"features": _COUNT} | _MEASURES
    ),
    "edges": pa.schema(
        _NAMES
        | dict.fromkeys(("src", "dst", "slot", "src_site", "dst_site"), _TEXT)
        | {"n_src": _COUNT, "n_dst": _COUNT}
        | _MEASURES
    ),
}


def build(
    names: Sequence[str],
    table: pa.Table,
    features: Mapping[str, int],
    head_width: int,
    seed: int,
    chosen: Collection[str] | None = None,
    slots: Collection[str] = (),
    parallel: bool = False,
    beside: parts.Beside | None = None,
) -> dict[str, PartGraph]:
    """Graphs of the named partitions, {name: PartGraph}.

    features: those of every site of the model, in the order in which sites write; `beside` is what
    stands beside those of a dictionary (all of Transformer.layout).
    `modules`, `heads` and `features` follow from the architecture, `random` is drawn from the seed,
    `top_features` are the single features named in `chosen` (without it that partition is left
    out), all others are columns of the table of partitions; a site that was not
    mapped is one part. Attention parts of partitions named in `slots` have inputs for queries, keys
    and values. `parallel`: attention and MLP of a block read the same stream. Raises ConfigError
    for a partition that the table has not, DataError for one of other features.
    """
    beside = beside or {}
    graphs = {
        name: _graph(name, table, features, head_width, seed, beside)
        for name in names
        if name != TOP_FEATURES
    }
    if TOP_FEATURES in names and chosen is not None:
        graphs[TOP_FEATURES] = parts.chosen_features(features, list(features), chosen, beside)
    return {
        name: parts.with_parallel(parts.with_slots(graph) if name in slots else graph, parallel)
        for name, graph in graphs.items()
    }


def layout_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `build` that describe a model, from the metadata of its scores."""
    found = {key: about[key] for key in ("head_width", "parallel", "beside")}
    return {**found, "features": dict(about["features"])}


def _graph(
    name: str,
    table: pa.Table,
    features: Mapping[str, int],
    head_width: int,
    seed: int,
    beside: parts.Beside,
) -> PartGraph:
    sites = list(features)
    if name == "modules":
        return parts.modules(features, sites, beside)
    if name == "heads":
        return parts.heads(features, sites, head_width, beside)
    if name == FEATURES:
        return parts.singletons(features, sites, beside)
    found = partitions.labels(table, partitions.matched(table) if name == "random" else name)
    if name == "random":
        found = {
            site: partitions.shuffled(found[site], (seed, place))
            for place, site in enumerate(sites)
            if site in found
        }
    for site, labels in found.items():
        if len(labels) != features.get(site, 0):
            raise DataError(
                f"partition {name!r} has {len(labels)} features at {site}, the model "
                f"{features.get(site, 0)}; it is of another model or dictionary"
            )
    whole = {site: np.zeros(count, dtype=np.int32) for site, count in features.items()}
    return parts.labelled({**whole, **found}, sites, beside)


def top_features(features: PartGraph, scores: Scores, count: int) -> PartGraph:
    """Graph of the `count` features of largest |mean node score| as single nodes.

    features: the graph of single features that `scores` belong to; ties break by name.
    """
    mean = scores.nodes.mean(axis=0)
    counts = {}
    for site, nodes in features.members.items():
        counts[site] = len(nodes) - sum(features.beside.get(site, {}).values())
        mean[nodes[counts[site] :]] = 0  # no single features: they stand by themselves anyway
    keep = parts.top_nodes(features, mean, count, "absolute")
    chosen = [features.names[node] for node in np.flatnonzero(keep)]
    graph = parts.chosen_features(counts, features.sites, chosen, features.beside)
    return parts.with_parallel(graph, features.parallel)


def chosen_nodes(nodes: pa.Table) -> list[str]:
    """Names of the nodes of `top_features` in a task's table of node scores."""
    return rows_of(nodes, TOP_FEATURES)["node"].to_pylist()


def rows_of(table: pa.Table, partition: str, method: str | None = None) -> pa.Table:
    """Rows of a table of scores that belong to a partition (and a method)."""
    chosen = pc.equal(table["partition"], partition)
    if method is not None:
        chosen = pc.and_(chosen, pc.equal(table["method"], method))
    return table.filter(chosen)


def summary(scores: np.ndarray) -> dict[str, np.ndarray]:
    """Over prompts (axis 0): mean, its error, mean |score|, share of the mean's sign."""
    mean = scores.mean(axis=0)
    spread = scores.std(axis=0, ddof=1) if len(scores) > 1 else np.zeros_like(mean)
    return {
        "score": mean,
        "se": spread / np.sqrt(len(scores)),
        "mean_abs": np.abs(scores).mean(axis=0),
        "sign_share": (np.sign(scores) == np.sign(mean)).mean(axis=0),
    }


def node_table(
    found: Mapping[tuple[str, str], Scores], graphs: Mapping[str, PartGraph], ablation: str
) -> pa.Table:
    """Table of node scores: one row per (partition, method, node)."""
    tables = []
    for (name, method), scores in found.items():
        graph = graphs[name]
        count = graph.writers
        tables.append(
            pa.table(
                {
                    "partition": [name] * count,
                    "method": [method] * count,
                    "ablation": [ablation] * count,
                    "node": list(graph.names[:-1]),
                    "site": list(graph.site_of[:-1]),
                    "kind": [site.split(".")[0] for site in graph.site_of[:-1]],
                    "features": graph.sizes.astype(np.int32),
                    **summary(scores.nodes),
                    "n": np.full(count, len(scores.nodes), dtype=np.int32),
                }
            )
        )
    return pa.concat_tables(tables) if tables else _EMPTY["nodes"].empty_table()


def edge_table(
    found: Mapping[tuple[str, str], Scores], graphs: Mapping[str, PartGraph], ablation: str
) -> pa.Table:
    """Table of edge scores: one row per (partition, method, existing edge), edges by name."""
    tables = []
    for (name, method), scores in found.items():
        if scores.edges is None:
            continue
        graph = graphs[name]
        reader, writer = graph.edges
        target = graph.reads[reader]
        sizes = np.append(graph.sizes, 1).astype(np.int32)
        count = len(reader)

        def of(values: Iterable[Any], nodes: np.ndarray) -> list[Any]:
            listed = list(values)
            return [listed[node] for node in nodes]

        tables.append(
            pa.table(
                {
                    "partition": [name] * count,
                    "method": [method] * count,
                    "ablation": [ablation] * count,
                    "src": of(graph.names, writer),
                    "dst": of(graph.names, target),
                    "slot": [graph.readers[v].slot for v in reader.tolist()],
                    "src_site": of(graph.site_of, writer),
                    "dst_site": of(graph.site_of, target),
                    "n_src": sizes[writer],
                    "n_dst": sizes[target],
                    **summary(scores.edges[:, reader, writer]),
                    "n": np.full(count, len(scores.nodes), dtype=np.int32),
                }
            )
        )
    return pa.concat_tables(tables) if tables else _EMPTY["edges"].empty_table()


def edge_matrix(table: pa.Table, graph: PartGraph) -> np.ndarray:
    """Mean scores (readers, writers) from the rows of one partition and method."""
    pairs = zip(table["dst"].to_pylist(), table["slot"].to_pylist(), strict=True)
    targets = [parts.reader_name(*pair) for pair in pairs]
    return parts.matrix(graph, table["src"].to_pylist(), targets, table["score"].to_numpy())
