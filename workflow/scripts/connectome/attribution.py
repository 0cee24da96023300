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
from connectome.ablation import MEMORY, Ablated, ablated_values
from connectome.continuation import changed, finish
from connectome.devices import ranges, within_memory
from connectome.errors import ConfigError
from connectome.gradients import Sweep, add_edges, answer_edges, input_gradients, sweep
from connectome.parts import PartGraph, modules, with_parallel
from connectome.precision import widen
from connectome.prompts import Prompts
from connectome.scores import Scores, joined
from connectome.transformer import (
    Trace,
    Transformer,
    features_of,
    forward,
    logits_at_answer,
    shares_of,
)
from connectome.wiring import (
    SiteParts,
    features_of_parts,
    split,
    wiring,
    write,
    write_difference,
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
    known = {
        key.replace("_", "-"): value
        for key, value in globals().items()
        if getattr(value, "__annotations__", {}).get("return") == list[Step]
    }
    if name not in known:
        raise ConfigError(f"method {name!r} is not known; known: {', '.join(sorted(known))}")
    return known[name]


def feature_scores(
    model: Transformer, swept: Sweep, change: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Node score of every feature, and of `input`: (n, features) per site, positions summed.

    `change` holds differences of shares (n, t, features) per site, of the embedding for "input".
    """
    scores = {"input": (widen(change["input"]) * swept.first).sum(dim=(1, 2))[:, None]}
    for site in model.sites:
        scores[site] = (widen(change[site]) * swept.responses[site]).sum(dim=1)
    return scores


def node_scores(graph: PartGraph, of_features: Mapping[str, Tensor]) -> Tensor:
    """Node scores (n, writers): first-order scores of parts are sums of their features'."""
    first = of_features["input"]
    result = first.new_zeros(len(first), graph.writers)
    result[:, :1] = first
    for site in graph.sites:
        nodes = torch.as_tensor(graph.members[site], device=first.device)
        result.index_add_(1, nodes, of_features[site])
    return result


def contributions(
    model: Transformer, parts: Mapping[str, SiteParts], change: Mapping[str, Tensor]
) -> Tensor:
    """What every writer of a graph writes for a change of shares, Delta (writers, n, t, d)."""
    first = change["input"]
    delta = first.new_empty(max(site.high for site in parts.values()), *first.shape)
    delta[0] = first
    for site in model.sites:
        delta[parts[site].low : parts[site].high] = write(model, site, parts[site], change[site])
    return delta


def edge_scores(
    model: Transformer,
    trace: Trace,
    swept: Sweep,
    parts: Mapping[str, SiteParts],
    change: Mapping[str, Tensor],
) -> Tensor:
    """Edge scores (n, readers, writers) of one graph, positions summed."""
    delta = contributions(model, parts, change)
    edges = answer_edges(delta, parts, trace.batch.last, swept.answer)
    for site in model.sites:
        g = input_gradients(model, trace, site, parts[site], swept.inner[site])
        add_edges(edges, parts[site], g, delta)
    return edges


class _Pass:
    """Runs of one batch along the path from ablated to clean input.

    Methods share the clean run; of the others, only the values at the last step's end are kept.
    """

    def __init__(self, model: Transformer, prompts: Prompts, ablated: Ablated) -> None:
        self.model, self.prompts, self.ablated = model, prompts, ablated
        self.clean = forward(model, prompts.clean)
        self.ends: dict[float, dict[str, Tensor]] = {}

    def trace(self, alpha: float) -> Trace:
        if alpha == 1:
            return self.clean
        end = self.clean.streams[0]
        start = self.ablated.input.expand_as(end)
        return forward(self.model, self.prompts.clean, start + alpha * (end - start))

    def _values(self, alpha: float) -> dict[str, Tensor]:
        if alpha == 0:
            return {"input": self.ablated.input, **self.ablated.features}
        trace = self.trace(alpha)
        features = {site: shares_of(trace, site) for site in self.model.sites}
        return {"input": trace.streams[0], **features}

    def change(self, step: Step) -> dict[str, Tensor]:
        """What every share, and the embedding as "input", changes by in a step."""
        ends = (step.start, step.end)
        self.ends = {
            alpha: self.ends[alpha] if alpha in self.ends else self._values(alpha) for alpha in ends
        }
        start, end = (self.ends[alpha] for alpha in ends)
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
    discovery: Prompts | None = None,
) -> dict[tuple[str, str], Scores]:
    """Scores of every graph by every method, {(graph, method): Scores}.

    Forward passes and reverse sweeps are shared by all graphs; scores per prompt do not depend on
    the batch. Graphs named in `nodes_only` get no edge scores (single features have too many).
    Ablated values that are means are those of `discovery`, by default of `prompts`.
    Raises ConfigError for an unknown method, metric or ablation.
    """
    gradient = metrics.gradient(metric)
    plans = {name: method(name)(steps) for name in methods}
    wired = {name: wiring(model, graph) for name, graph in graphs.items() if name not in nodes_only}
    along = next(iter(wired), None)  # the graph whose parts the sweep goes through
    whole = wired[along] if along is not None else _whole(model)
    fixed = (
        None
        if ablation == "counterfactual"
        else ablated_values(model, prompts, ablation, discovery or prompts)
    )
    prompts = prompts.to(model.device)

    def of_rows(rows: range) -> dict[tuple[str, str], Scores]:
        batch = prompts.rows(slice(rows.start, rows.stop))
        found: dict[tuple[str, str], Scores] = {}
        run = _Pass(model, batch, fixed or ablated_values(model, batch, ablation))
        for name, plan in plans.items():
            total: dict[str, Scores] = {}
            for step in plan:
                trace, change = run.trace(step.alpha), run.change(step)
                grad = gradient(logits_at_answer(model, trace), batch.right, batch.wrong)
                delta = None if along is None else contributions(model, whole, change)
                swept = sweep(model, trace, whole, grad, delta)
                del delta  # as large as the differences of the next graph
                of_features = feature_scores(model, swept, change)
                for graph_name, graph in graphs.items():
                    edges = None
                    if graph_name == along:
                        edges = swept.edges
                    elif graph_name in wired:
                        edges = edge_scores(model, trace, swept, wired[graph_name], change)
                    scores = _weighted(step.weight, node_scores(graph, of_features), edges)
                    total[graph_name] = _added(total.get(graph_name), scores)
            found |= {(graph_name, name): scores for graph_name, scores in total.items()}
        return found

    blocks = list(within_memory(of_rows, ranges(len(prompts), batch_pairs), "prompt pairs"))
    return {key: joined([block[key] for block in blocks]) for key in blocks[0]} if blocks else {}


def _whole(model: Transformer) -> dict[str, SiteParts]:
    """The wiring of whole modules."""
    counts = {site: model.features(site) for site in model.sites}
    return wiring(model, with_parallel(modules(counts, model.sites), model.size.parallel))


def _weighted(weight: float, nodes: Tensor, edges: Tensor | None) -> Scores:
    def weigh(x: Tensor) -> np.ndarray:
        return weight * x.double().cpu().numpy()

    return Scores(weigh(nodes), None if edges is None else weigh(edges))


def _added(total: Scores | None, step: Scores) -> Scores:
    if total is None:
        return step
    edges = None
    if total.edges is not None and step.edges is not None:
        edges = total.edges + step.edges
    return Scores(total.nodes + step.nodes, edges)


@torch.inference_mode()
def site_attributions(
    model: Transformer, prompts: Prompts, metric: str, batch_pairs: int = 64
) -> dict[str, np.ndarray]:
    """(clean - corrupted) x gradient of every feature, signed, positions summed.

    Returns {site: (n, features) float32}; rows of the attribution covariance. What stands beside
    the features of a dictionary is left out.
    """
    gradient = metrics.gradient(metric)
    whole = _whole(model)
    prompts = prompts.to(model.device)

    def of_rows(rows: range) -> dict[str, np.ndarray]:
        batch = prompts.rows(slice(rows.start, rows.stop))
        run = _Pass(model, batch, ablated_values(model, batch, "counterfactual"))
        grad = gradient(logits_at_answer(model, run.clean), batch.right, batch.wrong)
        swept = sweep(model, run.clean, whole, grad)
        scores = feature_scores(model, swept, run.change(eap(1)[0]))
        return {
            site: scores[site][:, :count].to(torch.float32).cpu().numpy()
            for site, count in model.layout["features"].items()
        }

    blocks = list(within_memory(of_rows, ranges(len(prompts), batch_pairs), "prompt pairs"))
    return {site: np.concatenate([block[site] for block in blocks]) for site in model.sites}


@torch.inference_mode()
def exact(
    model: Transformer,
    prompts: Prompts,
    graph: PartGraph,
    metric: str,
    ablation: str = "counterfactual",
    memory: int = MEMORY,
    batch_pairs: int = 64,
    discovery: Prompts | None = None,
) -> Scores:
    """Effect of ablating each part everywhere, and of cutting each edge alone, by running it.

    s = m(N) - m(N without it), per prompt. All other parts go on carrying their current values, so
    what stands before the cut is the clean run, and behind it the plain forward pass goes on from a
    changed stream; runs of one site are batched. Means are those of `discovery`, as in `attribute`.
    """
    measure, parts = metrics.metric(metric), wiring(model, graph)
    fixed = (
        None
        if ablation == "counterfactual"
        else ablated_values(model, prompts, ablation, discovery or prompts)
    )
    prompts = prompts.to(model.device)

    def of_rows(rows: range) -> Scores:
        batch = prompts.rows(slice(rows.start, rows.stop))
        run = _Pass(model, batch, fixed or ablated_values(model, batch, ablation))
        return _exact(model, run, graph, parts, measure, memory)

    return joined(list(within_memory(of_rows, ranges(len(prompts), batch_pairs), "prompt pairs")))


def _exact(
    model: Transformer,
    run: _Pass,
    graph: PartGraph,
    parts: Mapping[str, SiteParts],
    measure: Callable[[Tensor, Tensor, Tensor], Tensor],
    memory: int,
) -> Scores:
    clean, right, wrong = run.clean, run.prompts.right, run.prompts.wrong
    intact = measure(logits_at_answer(model, clean), right, wrong)
    delta = contributions(model, parts, run.change(eap(1)[0]))  # (u, n, t, d)
    _, n, t, d = delta.shape
    nodes = np.zeros((n, graph.writers))
    edges = np.zeros((n, *graph.exists.shape))

    def effect(stream: Tensor, behind: Sequence[str]) -> np.ndarray:
        """Loss (n, c) of the metric in runs that go on from streams (c, n, t, d)."""
        loss = intact - measure(finish(model, clean, stream, behind), right, wrong)
        return loss.double().T.cpu().numpy()

    def blocks(count: int, readers: int) -> list[slice]:
        """Runs whose streams, one per reader and source, fit the memory."""
        cell = readers * n * t * (4 * d + 3 * model.size.hidden) * delta.element_size()
        step = max(1, memory // cell)
        return [slice(first, min(first + step, count)) for first in range(0, count, step)]

    nodes[:, :1] = effect(clean.streams[0] - delta[:1], model.sites)
    for number, site in enumerate(model.sites):
        low, high, seen = parts[site].low, parts[site].high, parts[site].seen
        before, after = clean.streams[model.reads(site)], clean.streams[number + 1]
        behind = model.sites[number + 1 :]
        current = split(model, site, parts[site], features_of(clean, site))
        for some in blocks(high - low, 1):
            cut = slice(low + some.start, low + some.stop)
            nodes[:, cut] = effect(after - delta[cut], behind)
        slots, first = parts[site].slots, parts[site].inputs.start
        for some in blocks(seen, slots * (high - low)):
            without = before - delta[some]  # (c, n, t, d)
            c = len(without)
            sight = clean.sights[site].repeated(c)
            for slot in range(slots):
                x = before.expand(slots, high - low, c, n, t, d).clone()
                x[slot] = without  # the other slots of a part read what they always read
                change = delta.new_empty(high - low, c, n, t, d)
                found = features_of_parts(model, site, parts[site], x.flatten(0, 1), sight)
                write_difference(model, site, parts[site], found, current, change)
                for reader, of_part in enumerate(change, first + slot * len(change)):
                    edges[:, reader, some] = effect(changed(model, clean, site, of_part), behind)
    for some in blocks(graph.writers, 1):
        edges[:, -1, some] = effect(clean.streams[-1] - delta[some], ())
    return Scores(nodes, edges)
