"""First-order attribution of the metric to the parts and edges of any number of part graphs.

One reverse sweep gives the gradient G at the stream after each module; through one part alone the
same sweep gives its input gradient g_v. A node scores <Delta_u, G_u>, an edge <Delta_u, g_v>, with
Delta_u the difference of what u writes in the clean run and its ablated value (Nanda 2023; Syed et
al. 2024), at one point or averaged along a path from ablated to clean input (Hanna et al. 2024).
Per prompt the out-edges of a part sum to its node score. Weights need no gradient, so everything is
written out by hand: no autograd graph is built.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectome import metrics
from connectome.ablation import (
    MEMORY,
    Ablated,
    SiteParts,
    ablated_values,
    run_edges,
    run_nodes,
    wiring,
    write,
)
from connectome.errors import ConfigError
from connectome.parts import PartGraph
from connectome.prompts import Prompts
from connectome.transformer import (
    ACTIVATIONS,
    Attention,
    Mlp,
    Trace,
    Transformer,
    embed,
    features_of,
    forward,
    logits_at_answer,
    normalise,
    normalise_backward,
    rotate,
)


class Step(NamedTuple):
    """Gradients taken at `alpha` on the path (0 ablated, 1 clean) for the change start -> end."""

    alpha: float
    start: float
    end: float
    weight: float


def eap(steps: int) -> list[Step]:
    """Edge attribution patching: the gradient at the clean run."""
    return [Step(1.0, 0.0, 1.0, 1.0)]


def clean_corrupted(steps: int) -> list[Step]:
    """Mean of the gradients at the clean and at the corrupted run."""
    return [Step(alpha, 0.0, 1.0, 0.5) for alpha in (0.0, 1.0)]


def eap_ig_inputs(steps: int) -> list[Step]:
    """Gradients averaged over the midpoints of equal steps from ablated to clean input."""
    return [Step((k + 0.5) / steps, 0.0, 1.0, 1 / steps) for k in range(steps)]


def path(steps: int) -> list[Step]:
    """Each step's own change times the gradient at its midpoint: complete at every layer cut."""
    return [Step((k + 0.5) / steps, k / steps, (k + 1) / steps, 1.0) for k in range(steps)]


def method(name: str) -> Callable[[int], list[Step]]:
    """A method by its name: the function here of that name, with `_` for `-`."""
    found = globals().get(name.replace("-", "_"))
    if found is None or getattr(found, "__annotations__", {}).get("return") != list[Step]:
        raise ConfigError(
            f"method {name!r} is not known; known: clean-corrupted, eap, eap-ig-inputs, path"
        )
    return found


class Scores(NamedTuple):
    """Scores per prompt; edges (n, readers, writers) or None where they were not asked for."""

    nodes: np.ndarray  # (n, writers) float64
    edges: np.ndarray | None  # (n, readers, writers) float64


def _gelu_slope(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x / 2**0.5)) + x * torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5


def _gelu_tanh_slope(x: Tensor) -> Tensor:
    scale = (2 / torch.pi) ** 0.5
    tanh = torch.tanh(scale * (x + 0.044715 * x**3))
    return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * scale * (1 + 0.134145 * x * x)


def _silu_slope(x: Tensor) -> Tensor:
    gate = torch.sigmoid(x)
    return gate * (1 + x * (1 - gate))


SLOPES = {
    "gelu": _gelu_slope,
    "gelu_new": _gelu_tanh_slope,
    "gelu_pytorch_tanh": _gelu_tanh_slope,
    "relu": lambda x: (x > 0).to(x.dtype),
    "silu": _silu_slope,
}


def input_gradients(
    model: Transformer, trace: Trace, site: str, parts: SiteParts, grad: Tensor
) -> Tensor:
    """g_v (p, n, t, d): the metric's response to the input of each part of a site, through it only.

    grad (n, t, d) is the gradient at the stream after the site. The gradient of the whole module is
    the sum over its parts.
    """
    module = model.module(site)
    if isinstance(module, Attention):
        inner = _attention_gradients(module, trace, site, parts, grad)
    else:
        inner = _mlp_gradients(module, trace, site, parts, grad, model.size.activation)
    return normalise_backward(inner, trace.normed[site], model.size)


def _attention_gradients(
    module: Attention, trace: Trace, site: str, parts: SiteParts, grad: Tensor
) -> Tensor:
    assert parts.pairs is not None
    head, attended = parts.pairs.head, trace.attended[site]
    n, t = grad.shape[:2]
    dz = (grad.flatten(0, 1) @ module.output.transpose(1, 2)).unflatten(1, (n, t))  # (h, n, t, w)
    dz = dz[head]
    if parts.pairs.kept is not None:
        dz = dz * parts.pairs.kept
    query, key, value, pattern = (
        part[head] for part in (attended.query, attended.key, attended.value, attended.pattern)
    )
    d_pattern = dz @ value.transpose(-1, -2)  # (k, n, q, k)
    d_scores = pattern * (d_pattern - (d_pattern * pattern).sum(-1, keepdim=True))
    d_scores = d_scores / query.shape[-1] ** 0.5
    dq = rotate(d_scores @ key, trace.turn, back=True)
    dk = rotate(d_scores.transpose(-1, -2) @ query, trace.turn, back=True)
    dv = pattern.transpose(-1, -2) @ dz
    together = torch.cat([dq, dk, dv], dim=-1).flatten(1, 2)  # (k, n t, 3 w)
    matrices = torch.cat([module.query, module.key, module.value], dim=-1)[head]  # (k, d, 3 w)
    inner = together @ matrices.transpose(1, 2)  # (k, n t, d)
    count = parts.high - parts.low
    if len(head) != count:
        total = inner.new_zeros(count, *inner.shape[1:])
        inner = total.index_add_(0, parts.pairs.part, inner)
    return inner.unflatten(1, (n, t))


def _mlp_gradients(
    module: Mlp, trace: Trace, site: str, parts: SiteParts, grad: Tensor, activation: str
) -> Tensor:
    assert parts.units is not None
    activated, slope = trace.activated[site], SLOPES[activation]
    d_hidden = grad @ module.down.T  # (n, t, f)
    if module.gate is None or activated.gate is None:
        d_up = d_hidden * slope(activated.up)
        return torch.stack([d_up[..., s] @ module.up[:, s].T for s in parts.units])
    gate = module.gate
    d_up = d_hidden * ACTIVATIONS[activation](activated.gate)
    d_gate = d_hidden * activated.up * slope(activated.gate)
    return torch.stack(
        [d_up[..., s] @ module.up[:, s].T + d_gate[..., s] @ gate[:, s].T for s in parts.units]
    )


class Sweep(NamedTuple):
    """Gradients of the metric at the stream after each writer's module."""

    after: dict[str, Tensor]  # per site, and "input": (n, t, d)
    answer: Tensor  # (n, d) at the stream that `logits` reads, at the answer


def sweep(
    model: Transformer, trace: Trace, whole: Mapping[str, SiteParts], grad_logits: Tensor
) -> Sweep:
    """Reverse sweep from the gradient at the logits (n, vocabulary).

    `whole` is the wiring of the graph of whole modules.
    """
    batch = trace.batch
    rows = torch.arange(len(batch.ids), device=grad_logits.device)
    final = trace.streams[-1]
    at_answer = normalise(final[rows, batch.last], model.size)
    answer = normalise_backward(grad_logits @ model.unembedding.T, at_answer, model.size)
    grad = torch.zeros_like(final)
    grad[rows, batch.last] = answer
    after = {}
    for site in reversed(model.sites):
        after[site] = grad
        grad = grad + input_gradients(model, trace, site, whole[site], grad)[0]
    after["input"] = grad
    return Sweep(after, answer)


def feature_scores(
    model: Transformer, swept: Sweep, change: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Node score of every feature, and of `input`: (n, features) per site, positions summed.

    `change` holds differences of features (n, t, features) per site, of the embedding for "input".
    """
    scores = {"input": (change["input"] * swept.after["input"]).sum(dim=(1, 2))[:, None]}
    for site in model.sites:
        response = swept.after[site] @ model.writing(site).T  # (n, t, features)
        scores[site] = (change[site] * response).sum(dim=1)
    return scores


def node_scores(graph: PartGraph, of_features: Mapping[str, Tensor]) -> Tensor:
    """Node scores (n, writers): first-order scores of parts are sums of their features' (C-14)."""
    first = of_features["input"]
    result = first.new_zeros(len(first), graph.writers)
    result[:, :1] = first
    for site in graph.sites:
        nodes = torch.as_tensor(graph.members[site], device=first.device)
        result.index_add_(1, nodes, of_features[site])
    return result


def edge_scores(
    model: Transformer,
    trace: Trace,
    swept: Sweep,
    parts: Mapping[str, SiteParts],
    change: Mapping[str, Tensor],
) -> Tensor:
    """Edge scores (n, readers, writers) of one graph, positions summed."""
    n, t, d = change["input"].shape
    writers = max(site.high for site in parts.values())
    delta = change["input"].new_empty(n, writers, t, d)
    delta[:, 0] = change["input"]
    for site in model.sites:
        low, high = parts[site].low, parts[site].high
        delta[:, low:high] = write(model, site, parts[site], change[site]).transpose(0, 1)
    result = delta.new_zeros(n, writers, writers)
    for site in model.sites:
        low, high = parts[site].low, parts[site].high
        g = input_gradients(model, trace, site, parts[site], swept.after[site])  # (p, n, t, d)
        earlier = delta[:, :low].flatten(2)  # (n, low, t d)
        result[:, low - 1 : high - 1, :low] = g.transpose(0, 1).flatten(2) @ earlier.mT
    rows = torch.arange(n, device=delta.device)
    result[:, -1] = (delta[rows, :, trace.batch.last] @ swept.answer[:, :, None])[..., 0]
    return result


class _Pass:
    """Traces of one batch along the path from ablated to clean input, each made once."""

    def __init__(self, model: Transformer, prompts: Prompts, ablated: Ablated) -> None:
        self.model, self.prompts, self.ablated = model, prompts, ablated
        self.clean = embed(model, prompts.clean)
        self.traces: dict[float, Trace] = {}

    def trace(self, alpha: float) -> Trace:
        if alpha not in self.traces:
            start = self.ablated.input.expand_as(self.clean)
            stream = self.clean if alpha == 1 else start + alpha * (self.clean - start)
            self.traces[alpha] = forward(self.model, self.prompts.clean, stream)
        return self.traces[alpha]

    def values(self, alpha: float) -> dict[str, Tensor]:
        if alpha == 0:
            return {"input": self.ablated.input, **self.ablated.features}
        trace = self.trace(alpha)
        features = {site: features_of(trace, site) for site in self.model.sites}
        return {"input": trace.streams[0], **features}

    def change(self, step: Step) -> dict[str, Tensor]:
        start, end = self.values(step.start), self.values(step.end)
        return {site: end[site] - start[site] for site in end}


@torch.inference_mode()
def attribute(
    model: Transformer,
    prompts: Prompts,
    graphs: Mapping[str, PartGraph],
    methods: Sequence[str],
    metric: str,
    ablation: str = "counterfactual",
    steps: int = 5,
    batch_pairs: int = 64,
    nodes_only: Sequence[str] = (),
) -> dict[tuple[str, str], Scores]:
    """Scores of every graph by every method, {(graph, method): Scores}.

    Forward passes and reverse sweeps are shared by all graphs; scores per prompt do not depend on
    the batch. Graphs named in `nodes_only` get no edge scores (single features have too many).
    Raises ConfigError for an unknown method, metric or ablation.
    """
    from connectome import parts as part_graphs

    gradient = metrics.gradient(metric)
    plans = {name: method(name)(steps) for name in methods}
    wired = {name: wiring(model, graph) for name, graph in graphs.items() if name not in nodes_only}
    counts = {site: model.features(site) for site in model.sites}
    whole = wiring(model, part_graphs.modules(counts, model.sites))
    found: dict[tuple[str, str], list[tuple[Tensor, Tensor | None]]] = {}
    for batch in prompts.batches(batch_pairs):
        ablated = ablated_values(model, batch, ablation, discovery=prompts)
        run = _Pass(model, batch, ablated)
        for name, plan in plans.items():
            total: dict[str, tuple[Tensor | float, Tensor | float]] = {}
            for step in plan:
                trace = run.trace(step.alpha)
                logits = logits_at_answer(model, trace)
                swept = sweep(model, trace, whole, gradient(logits, batch.right, batch.wrong))
                change = run.change(step)
                of_features = feature_scores(model, swept, change)
                for graph_name, graph in graphs.items():
                    nodes, edges = total.get(graph_name, (0.0, 0.0))
                    nodes = nodes + step.weight * node_scores(graph, of_features).double()
                    if graph_name in wired:
                        scored = edge_scores(model, trace, swept, wired[graph_name], change)
                        edges = edges + step.weight * scored.double()
                    total[graph_name] = nodes, edges
            for graph_name, (nodes, edges) in total.items():
                kept = edges if isinstance(edges, Tensor) else None
                found.setdefault((graph_name, name), []).append((nodes, kept))  # type: ignore
    return {
        key: Scores(
            torch.cat([nodes for nodes, _ in batches]).cpu().numpy(),
            None
            if batches[0][1] is None
            else torch.cat([edges for _, edges in batches if edges is not None]).cpu().numpy(),
        )
        for key, batches in found.items()
    }


@torch.inference_mode()
def site_attributions(
    model: Transformer, prompts: Prompts, metric: str, batch_pairs: int = 64
) -> dict[str, np.ndarray]:
    """(clean - corrupted) x gradient of every native feature, signed, positions summed.

    Returns {site: (n, features) float32}; rows of the attribution covariance.
    """
    gradient = metrics.gradient(metric)
    counts = {site: model.features(site) for site in model.sites}
    from connectome import parts as part_graphs

    whole = wiring(model, part_graphs.modules(counts, model.sites))
    found: dict[str, list[Tensor]] = {site: [] for site in model.sites}
    for batch in prompts.batches(batch_pairs):
        run = _Pass(model, batch, ablated_values(model, batch, "counterfactual"))
        trace = run.trace(1.0)
        logits = logits_at_answer(model, trace)
        swept = sweep(model, trace, whole, gradient(logits, batch.right, batch.wrong))
        scores = feature_scores(model, swept, run.change(Step(1.0, 0.0, 1.0, 1.0)))
        for site, values in found.items():
            values.append(scores[site])
    return {
        site: torch.cat(values).to(torch.float32).cpu().numpy() for site, values in found.items()
    }


@torch.inference_mode()
def exact(
    model: Transformer,
    prompts: Prompts,
    graph: PartGraph,
    metric: str,
    ablation: str = "counterfactual",
    memory: int = MEMORY,
) -> Scores:
    """Effect of ablating each part everywhere, and of cutting each edge alone, by running it.

    s = m(N) - m(N without it), per prompt. Edges into one site are run together, from that site
    on: nothing before it changes.
    """
    measure = metrics.metric(metric)
    ablated = ablated_values(model, prompts, ablation, discovery=prompts)
    intact = logits_at_answer(model, forward(model, prompts.clean))
    reference = measure(intact, prompts.right, prompts.wrong).double()

    def effect(logits: Tensor) -> np.ndarray:
        return (reference - measure(logits, prompts.right, prompts.wrong).double()).cpu().numpy()

    keep = ~np.eye(graph.writers, dtype=bool)
    nodes = effect(run_nodes(model, prompts, graph, keep, ablated, memory)).T
    edges = np.zeros((len(prompts), graph.writers, graph.writers))
    for site, (low, high) in list(graph.bounds.items())[1:]:
        reader, writer = np.nonzero(graph.exists[low - 1 : high - 1])
        reader = reader + low - 1
        masks = np.repeat(graph.exists[None], len(reader), axis=0)
        masks[np.arange(len(reader)), reader, writer] = False
        logits = run_edges(model, prompts, graph, masks, ablated, memory, start=site)
        edges[:, reader, writer] = effect(logits).T
    return Scores(nodes, edges)
