"""Gradients written out by hand: through every part by itself, and the reverse sweep.

G is the gradient of the metric at the stream behind a module; through one part alone it gives the
part's input gradient g_v = J(f_v)^T G; before the module G grows by the sum of its g_v. Weights
need no gradient, so each product of the plain backward pass is kept apart by part instead of
summed, at the same number of multiplications. Axes as in blocks.py.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from connectome import coding, dictionaries
from connectome.architectures import Dimensions
from connectome.blocks import (
    ACTIVATIONS,
    WHOLE,
    Attended,
    Attention,
    Group,
    Mlp,
    Normed,
    Rotary,
    join_heads,
    normalise,
    normalise_backward,
    of_parts,
    rms_backward,
    rotate,
    rows,
    scores,
    split_heads,
    take,
)
from connectome.coding import Coding
from connectome.precision import product, widen
from connectome.transformer import Trace, Transformer, unembed, widest
from connectome.wiring import SiteParts, multiply


def _gelu_slope(x: Tensor) -> Tensor:
    return torch.ops.aten.gelu_backward(torch.ones_like(x), x)


def _gelu_tanh_slope(x: Tensor) -> Tensor:
    return torch.ops.aten.gelu_backward(torch.ones_like(x), x, approximate="tanh")


SLOPES = {
    "gelu": _gelu_slope,
    "gelu_fast": _gelu_tanh_slope,
    "gelu_new": _gelu_tanh_slope,
    "gelu_pytorch_tanh": _gelu_tanh_slope,
    "relu": lambda x: (x > 0).to(x.dtype),
    "silu": lambda x: torch.ops.aten.silu_backward(torch.ones_like(x), x),
}


def input_gradients(
    model: Transformer, trace: Trace, site: str, parts: SiteParts, response: Tensor
) -> Tensor:
    """g_v (readers, n, t, d): the metric's response to each input of each part, through it only.

    response (n, t, features) is the gradient at the site's features. The gradient of the whole
    module is the sum over its readers.
    """
    shape = (parts.slots, parts.high - parts.low, *response.shape[:2], model.size.width)
    inner = response.new_empty(shape)
    module, found = model.module(site), model.dictionaries.get(site)
    if found is not None:
        _coded_gradients(model, trace, site, found, parts.groups, response, inner)
    elif isinstance(module, Attention):
        attended, turn = trace.attended[site], trace.sights[site].turn
        _attention_gradients(module, model.size, attended, turn, parts.groups, response, inner)
    else:
        factors = _factors(module, trace, site, model.size)
        _mlp_gradients(module, factors, parts.groups, response, inner)
    return normalise_backward(inner.flatten(0, 1), trace.normed[site], model.size)


def _coded_gradients(
    model: Transformer,
    trace: Trace,
    site: str,
    found: Coding,
    groups: Sequence[Group],
    response: Tensor,
    out: Tensor,
) -> None:
    """At the bare norm, through the parts of a dictionary: each has the whole module behind it."""
    n, t, _ = response.shape
    cell = n * t * widest(model, site, t)
    slope = dictionaries.slopes(found.dictionary, trace.coded[site].pre)
    flow = response[..., : slope.shape[-1]] * slope
    through = _through_module(model, trace, site)
    for some in (some for group in groups for some in coding.pieces(found, group, cell)):
        at_output: Tensor | None = None
        if some.beside:
            at_output, at_input = coding.pull_any(found, slope, response, some)
        elif found.dictionary.transcoder:
            at_input = coding.pull_features(found, flow, some)
        else:
            at_output, at_input = coding.pull_features(found, flow, some), None
        own = out[:, some.parts]  # (s, p, n, t, d)
        if at_output is not None:
            through(at_output, own)
            if at_input is not None:
                own += at_input
        elif at_input is not None:
            own[0] = at_input


def _through_module(
    model: Transformer, trace: Trace, site: str
) -> Callable[[Tensor, Tensor], None]:
    """From gradients (p, n, t, d) at what a module adds to the stream to those at the bare norm.

    These go into the second argument (s, p, n, t, d). Each p goes through the whole module.
    """
    module, size = model.module(site), model.size
    factors = None if isinstance(module, Attention) else _factors(module, trace, site, size)

    def through(grad: Tensor, out: Tensor) -> None:
        count, out = len(grad), out.flatten(1, 2)[:, None]  # each a run of all prompts
        if module.gain is not None:
            grad = rms_backward(grad * module.gain, trace.within[site])
        response = grad @ module.output.flatten(0, -2).T
        if isinstance(module, Attention):
            attended, turn = _repeated(trace, site, count)
            response = response.flatten(0, 1)
            _attention_gradients(module, size, attended, turn, [WHOLE], response, out)
        elif factors is not None:
            _mlp_gradients(module, factors, [WHOLE], response, out)

    return through


def _repeated(trace: Trace, site: str, count: int) -> tuple[Attended, Rotary]:
    """What heads leave behind and how they turn in `count` runs of each prompt."""

    def many(x: Any) -> Any:
        if isinstance(x, Tensor):  # (h, n, t, ...)
            return x.repeat(1, count, 1, 1)
        return None if x is None else type(x)(*map(many, x))

    attended = trace.attended[site]
    turn = trace.sights[site].repeated(count).turn
    return (attended if count == 1 else many(attended)), turn


def _attention_gradients(
    module: Attention,
    size: Dimensions,
    attended: Attended,
    turn: Rotary,
    groups: Sequence[Group],
    response: Tensor,
    out: Tensor,
) -> None:
    """At the bare norm (s, p, n, t, d), from gradients (n, t, features) at native features."""
    width, cap = module.query.shape[1], size.score_cap

    def through_norm(grad: Tensor, normed: Normed | None, gain: Tensor | None) -> Tensor:
        if normed is None or gain is None:
            return grad
        return rms_backward(grad * gain, Normed(*(take(x, group.units) for x in normed)))

    for group in groups:
        dz = split_heads(of_parts(module, response, group), width)  # (p k, n, t, w)
        query, key, value, pattern = (
            take(x, group.units)
            for x in (attended.query, attended.key, attended.value, attended.pattern)
        )
        d_pattern = dz @ value.transpose(-1, -2)  # (p k, n, q, k)
        d_scores = pattern * (d_pattern - (d_pattern * pattern).sum(-1, keepdim=True))
        if cap is not None:
            d_scores *= 1 - (scores(query, key, cap) / cap).square()
        d_scores *= width**-0.5
        d_query = rotate(d_scores @ key, turn, back=True)
        d_key = rotate(d_scores.transpose(-1, -2) @ query, turn, back=True)
        found = (
            (through_norm(d_query, attended.query_norm, module.query_gain), module.query),
            (through_norm(d_key, attended.key_norm, module.key_gain), module.key),
            (pattern.transpose(-1, -2) @ dz, module.value),
        )
        multiply(
            out[:, group.parts],
            *((join_heads(grad, group.count), rows(matrix, group)) for grad, matrix in found),
        )


_Factors = list[tuple[tuple[Tensor, ...], Tensor]]


def _factors(module: Mlp, trace: Trace, site: str, size: Dimensions) -> _Factors:
    """Per matrix (f, d) that reads: factors (n, t, f) from a hidden unit to it, and the matrix."""
    activated, slope = trace.activated[site], SLOPES[size.activation]
    if activated.gate is None or module.gate is None:
        return [((slope(activated.up[0]),), module.up)]
    return [
        ((ACTIVATIONS[size.activation](activated.gate[0]),), module.up),
        ((activated.up[0], slope(activated.gate[0])), module.gate),
    ]


def _mlp_gradients(
    module: Mlp, factors: _Factors, groups: Sequence[Group], response: Tensor, out: Tensor
) -> None:
    """At the bare norm (s, p, n, t, d), from gradients (..., n, t, f) at hidden units."""
    at_read = [
        (functools.reduce(torch.mul, own, response).flatten(0, -3), matrix)
        for own, matrix in factors
    ]
    for group in groups:
        multiply(
            out[:, group.parts],
            *((of_parts(module, grad, group), rows(matrix, group)) for grad, matrix in at_read),
        )


class Sweep(NamedTuple):
    """What a reverse sweep finds, and the edge scores of a graph that it took along."""

    responses: dict[str, Tensor]  # gradient at the shares of each site (n, t, features)
    inner: dict[str, Tensor]  # gradient at its features: through the norm behind it, if any
    first: Tensor  # gradient at the embedding (n, t, d)
    answer: Tensor  # (n, d) at the stream that `logits` reads, at the answer
    edges: Tensor | None  # (n, readers, writers)


def sweep(
    model: Transformer,
    trace: Trace,
    whole: Mapping[str, SiteParts],
    grad_logits: Tensor,
    delta: Tensor | None = None,
) -> Sweep:
    """Reverse sweep from the gradient at the logits (n, vocabulary).

    The gradient of a module is the sum over its parts, so a sweep through the parts of one graph
    (`whole` its wiring, `delta` what its writers write) yields its edge scores at no further cost;
    without `delta`, `whole` is best the graph of whole modules.
    """
    batch = trace.batch
    prompts = torch.arange(len(batch.ids), device=grad_logits.device)
    final = trace.streams[-1]
    at_answer = normalise(widen(final[prompts, batch.last]), model.size)
    if model.size.logit_cap is not None:
        logits = unembed(model, final[prompts, batch.last])
        grad_logits = grad_logits * (1 - (logits / model.size.logit_cap).square())
    answer = normalise_backward(product(grad_logits, model.unembedding.T), at_answer, model.size)
    grad = torch.zeros_like(final)
    grad[prompts, batch.last] = answer.to(grad.dtype)
    edges = None if delta is None else answer_edges(delta, whole, batch.last, answer)
    responses, inner = {}, {}
    waiting = None  # what an MLP sends to the stream before the attention of its block
    for number, site in reversed(list(enumerate(model.sites))):
        responses[site], inner[site] = _at_features(model, trace, site, grad)
        g = input_gradients(model, trace, site, whole[site], inner[site])
        if delta is not None and edges is not None:
            add_edges(edges, whole[site], g, delta)
        if model.reads(site) < number:
            waiting = g.sum(0)
            continue
        grad = grad + g.sum(0)
        if waiting is not None:
            grad, waiting = grad + waiting, None
    return Sweep(responses, inner, grad, answer, edges)


def _at_features(
    model: Transformer, trace: Trace, site: str, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients at a site's shares and at its features, (n, t, features) each."""
    writer = model.writer(site)
    if writer.gain is None:
        response = grad @ model.writing(site).T
        return response, response
    directions, at_sum = writer.output.flatten(0, -2).T, grad * writer.gain
    response = at_sum @ directions
    return response, rms_backward(at_sum, trace.behind[site]) @ directions


def answer_edges(
    delta: Tensor, parts: Mapping[str, SiteParts], last: Tensor, answer: Tensor
) -> Tensor:
    """Edge scores (n, readers, writers) with those into `logits`, the last reader, filled in."""
    readers = max(site.inputs.stop for site in parts.values()) + 1
    edges = answer.new_zeros(delta.shape[1], readers, len(delta))
    prompts = torch.arange(len(last), device=last.device)
    edges[:, -1] = torch.einsum("und,nd->nu", widen(delta[:, prompts, last]), answer)
    return edges


def add_edges(edges: Tensor, parts: SiteParts, g: Tensor, delta: Tensor) -> None:
    """Fill in <Delta_u, g_v> of the readers of a site; g (readers, n, t, d), delta (u, n, t, d)."""
    earlier = widen(delta[: parts.seen]).flatten(2).permute(1, 2, 0)  # (n, t d, seen)
    edges[:, parts.inputs, : parts.seen] = widen(g).flatten(2).transpose(0, 1) @ earlier
