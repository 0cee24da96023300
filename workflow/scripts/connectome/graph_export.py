"""Graphs of direct effects as the JSON that viewers of attribution graphs read.

The format of circuit-tracer and of Neuronpedia: nodes with ids made of layer, index and position,
links with a weight, ROIs as groups of nodes (`supernodes`). Layers are numbers as text, `E` for
embeddings; logits stand one layer above the last and one more, as circuit-tracer has them. NumPy
and the standard library.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from connectome.influence import Pruned, prune
from connectome.plots.literal import visible

Record = dict[str, Any]
FEATURE = "cross layer transcoder"  # what readers call a feature of any dictionary
TYPES = {
    "embedding": "embedding",
    "unit": FEATURE,
    "error": "mlp reconstruction error",
    "logit": "logit",
}
GENERATOR = {"name": "lm-connectome", "version": "0.1.0", "url": ""}  # as in pyproject.toml
DIGITS = 7  # significant ones of what is written


class Nodes(NamedTuple):
    """What is said of the nodes of a graph, in order; see direct_effects.Graph."""

    kind: Sequence[str]
    layer: np.ndarray
    number: np.ndarray
    position: np.ndarray
    value: np.ndarray


class About(NamedTuple):
    """What a graph is of."""

    slug: str  # its name, that of its file too
    scan: str  # which model and dictionaries
    prompt: str
    tokens: Sequence[int]  # of the prompt
    layers: int  # of the model
    probability: Mapping[int, float]  # of the tokens whose logits are nodes
    targets: Sequence[int]  # those among them that are right answers
    text_of: Callable[[int], str]
    rois: Mapping[int, np.ndarray]  # per layer the ROI of each unit, below 0 of none
    partition: str
    settings: Mapping[str, Any]  # the section `exports` of the configuration
    transcoders: Sequence[str] = ()  # sites whose features are those of a transcoder


def cantor(layer: int, index: int) -> int:
    """One number for a layer and an index, the number of a feature's file."""
    return (layer + index) * (layer + index + 1) // 2 + index


def cantor_inverse(number: int) -> tuple[int, int]:
    """Layer and index of such a number."""
    total = (math.isqrt(8 * number + 1) - 1) // 2
    index = number - total * (total + 1) // 2
    return total - index, index


def scan_of(model: str, dictionaries: Iterable[Mapping[str, Any]]) -> str:
    """Name of a model with its native units; with dictionaries the digest of what describes them.

    The same in every run and in whatever order they come.
    """
    described = sorted(json.dumps(found, sort_keys=True) for found in dictionaries)
    if not described:
        return model
    digest = hashlib.sha256("\n".join([model, *described]).encode()).hexdigest()
    return f"custom-{digest[:12]}"


def descriptions(dictionaries: Mapping[str, Any]) -> list[Record]:
    """What tells dictionaries from all others: where each stands, and the digest of what it holds.

    dictionaries: dictionaries.Dictionary by site. Files carry more than that: when they were made
    by other code, what they compute may be the same.
    """
    return [
        {"site": site, "digest": _digest([(x.name, getattr(found, x.name)) for x in fields(found)])}
        for site, found in dictionaries.items()
    ]


def _digest(values: Iterable[tuple[str, Any]]) -> str:
    """SHA-256 of numbers, texts, arrays and tuples of arrays, by name."""
    result = hashlib.sha256()
    for name, value in values:
        for part in value if isinstance(value, tuple) else (value,):
            plain = part is None or isinstance(part, (str, int, float))
            result.update(f"{name}:".encode())
            result.update(repr(part).encode() if plain else np.asarray(part).tobytes())
    return result.hexdigest()


def keep(
    nodes: Nodes, effects: np.ndarray, weights: np.ndarray, settings: Mapping[str, Any]
) -> Pruned:
    """The nodes and edges that are written; weights (N,) of the logits, 0 of other nodes."""
    kind = np.array(nodes.kind)
    always = (kind == "embedding") | (kind == "logit")
    shares = settings["node_share"], settings["edge_share"]
    return prune(effects, weights, always, kind == "unit", *shares)


def weights_of(nodes: Nodes, probability: Mapping[int, float]) -> np.ndarray:
    """Share (N,) of each logit among those that are nodes, by probability; 0 of other nodes."""
    total = sum(probability.values())
    return np.array(
        [
            probability[int(index)] / total if kind == "logit" else 0.0
            for kind, index in zip(nodes.kind, nodes.number, strict=True)
        ]
    )


def record(nodes: Nodes, effects: np.ndarray, kept: Pruned, about: About) -> Record:
    """The whole file of one graph."""
    numbers = np.flatnonzero(kept.nodes).tolist()
    moved = _moved(nodes, numbers)
    level = {node: _layer(nodes, node, about.layers, moved) for node in numbers}
    named = {node: _id(nodes, node, level[node]) for node in numbers}
    targets, sources = np.nonzero(kept.edges & (effects != 0))
    order = np.lexsort((sources, targets))
    return {
        "metadata": _metadata(about, moved),
        "qParams": {
            "pinnedIds": [],
            "supernodes": _groups(nodes, named, about),
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": [_node(nodes, node, named[node], level[node], kept, about) for node in numbers],
        "links": [
            {
                "source": named[source],
                "target": named[target],
                "weight": _short(effects[target, source]),
            }
            for target, source in zip(targets[order].tolist(), sources[order].tolist(), strict=True)
        ],
    }


def refused(about: About, reason: str) -> Record:
    """The file of a graph that cannot be made: no nodes, and why."""
    empty = Nodes([], *(np.zeros(0, dtype=int),) * 3, np.zeros(0))
    nothing = Pruned(np.zeros(0, bool), np.zeros((0, 0), bool), np.zeros(0))
    found = record(empty, np.zeros((0, 0)), nothing, about)
    return found | {"status": "refused", "reason": reason}


def _metadata(about: About, moved: int) -> Record:
    settings = about.settings
    custom = about.scan.startswith("custom-")
    return {
        "slug": about.slug,
        "scan": about.scan,
        "prompt": shown(about.prompt),
        "prompt_tokens": [shown(about.text_of(token)) for token in about.tokens],
        "schema_version": 1,
        "node_threshold": settings["node_share"],
        # circuit-tracer takes the folder of a node's features from here, by the layer of the node,
        # where the scan is no model: all of them are in one folder, that of the scan
        "transcoder_list": [about.scan] * (about.layers + moved) if custom else [],
        "info": {"generator": dict(GENERATOR)},
        "generation_settings": {
            "max_n_logits": settings["logits"],
            "desired_logit_prob": settings["logit_share"],
            "max_feature_nodes": settings["nodes"],
            "transcoders": list(about.transcoders),
            "features": "features of these transcoders; of other MLPs hidden units",
            "errors": "all that an MLP writes and no node of it does",
            "weights": "direct effects on what a unit reads, on logits less their mean",
            "frozen": ["attention patterns", "scales of norms", "gates of MLPs"],
            "supernodes": about.partition,
            "layers_moved_up": moved,
        },
        "pruning_settings": {
            "node_threshold": settings["node_share"],
            "edge_threshold": settings["edge_share"],
        },
        "feature_details": {"folder": f"../features/{about.scan}"},
    }


def _moved(nodes: Nodes, numbers: Iterable[int]) -> int:
    """How far layers are moved up: Neuronpedia finds none where the largest below the logits is 0,
    as in a model of one layer, and where pruning left nothing above the first."""
    inner = [nodes.layer[node] for node in numbers if nodes.kind[node] in ("unit", "error")]
    return int(bool(inner) and max(inner) == 0)


def _layer(nodes: Nodes, node: int, layers: int, moved: int) -> str:
    kind, layer = nodes.kind[node], int(nodes.layer[node])
    if kind == "embedding":
        return "E"
    return str((layers + 1 if kind == "logit" else layer) + moved)


def _id(nodes: Nodes, node: int, layer: str) -> str:
    """Its own for every node, of three numbers but for embeddings, since circuit-tracer reads three
    back: an error has that of no feature."""
    index = -1 if nodes.kind[node] == "error" else int(nodes.number[node])
    return f"{layer}_{index}_{int(nodes.position[node])}"


def _node(nodes: Nodes, node: int, name: str, level: str, kept: Pruned, about: About) -> Record:
    kind, index = nodes.kind[node], int(nodes.number[node])
    layer, position = int(nodes.layer[node]), int(nodes.position[node])
    feature = {
        "embedding": position,
        "unit": cantor(layer, index) if kind == "unit" else 0,
        "error": -1,
        "logit": index,
    }[kind]
    found = {
        "node_id": name,
        "jsNodeId": name,
        "feature": feature,
        "layer": level,
        "ctx_idx": position,
        "feature_type": TYPES[kind],
        "clerp": _text(nodes, node, about),
        "token_prob": _short(about.probability[index]) if kind == "logit" else 0.0,
        "is_target_logit": kind == "logit" and index in about.targets,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
    }
    if kind != "logit":
        found["influence"] = _short(kept.cumulative[node])
    if kind == "unit":
        found["activation"] = _short(nodes.value[node])
    return found


def _text(nodes: Nodes, node: int, about: About) -> str:
    """What a reader shows of a node."""
    kind, index, layer = nodes.kind[node], int(nodes.number[node]), int(nodes.layer[node])
    if kind == "unit":
        roi = _roi(about, layer, index)
        return f"mlp.{layer}:{index}" + (f" ({roi})" if roi else "")
    token = index if kind != "error" else about.tokens[int(nodes.position[node])]
    text = visible(about.text_of(token))
    if kind == "logit":
        # readers cut at "(p=" and take what stands in quotes
        text = text.replace('"', "'").replace("(p=", "(p:")
        return f'Output "{text}" (p={about.probability[index]:.3f})'
    return f'Emb: "{text}"' if kind == "embedding" else f'Rest of mlp.{layer}: "{text}"'


def _roi(about: About, layer: int, index: int) -> str | None:
    labels = about.rois.get(layer)
    if labels is None or labels[index] < 0:
        return None
    return f"m{layer}.r{int(labels[index])}"


def _groups(nodes: Nodes, named: Mapping[int, str], about: About) -> list[list[str]]:
    """[ROI, id, id, ...] of each ROI with two nodes or more."""
    found: dict[str, list[str]] = {}
    for node, name in named.items():
        if nodes.kind[node] == "unit":
            roi = _roi(about, int(nodes.layer[node]), int(nodes.number[node]))
            if roi:
                found.setdefault(roi, []).append(name)
    return [[roi, *ids] for roi, ids in found.items() if len(ids) > 1]


def shown(text: str) -> str:
    """Text in which every character can be seen, blanks as they are."""
    return visible(text, longest=2000, ends=False)


def _short(number: Any) -> float:
    """The number with DIGITS significant digits: a file of half the size."""
    return float(f"{float(number):.{DIGITS}g}")
