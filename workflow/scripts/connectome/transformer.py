"""The engine's own forward pass: folded weights, prompts, and what a pass leaves behind.

Weights are folded on loading (folding.py), so that norms only centre and scale and single value
dimensions mean something; what each module computes stands in blocks.py.

Axes in names and comments: n prompts, t or q, k positions, d width, h heads, w head width, f hidden
units, p parts, m features of a part.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from connectome import architectures, checkpoint, devices, folding, models, precision
from connectome.architectures import Dimensions, Raw, RawAttention, RawMlp, Stretch
from connectome.blocks import (
    WHOLE,
    Activated,
    Attended,
    Attention,
    Group,
    Mlp,
    Normed,
    Rotary,
    Sight,
    activate,
    attend,
    join_heads,
    normalise,
    rms_normalise,
)
from connectome.errors import DataError
from connectome.prompts import Batch


@dataclass(frozen=True)
class Transformer:
    """Folded weights of a pre-norm transformer of blocks of attention and MLP, one after the other.

    Or both read the same stream (`size.parallel`); the MLP still comes second in `sites`.
    """

    size: Dimensions
    embedding: Tensor  # (vocabulary, d), scaled
    positions: Tensor | None  # (context, d)
    blocks: Sequence[tuple[Attention, Mlp]]  # a layer may lie on another device until asked for
    unembedding: Tensor  # (d, vocabulary)
    unembedding_bias: Tensor  # (vocabulary,)

    @property
    def device(self) -> torch.device:
        """Where the stream and all that is computed of it live."""
        return self.embedding.device

    @property
    def sites(self) -> tuple[str, ...]:
        """Modules in the order in which they write, the embedding left out."""
        return tuple(f"{kind}.{i}" for i in range(self.size.layers) for kind in ("attn", "mlp"))

    def module(self, site: str) -> Attention | Mlp:
        """Weights of `attn.l` or `mlp.l`."""
        kind, layer = site.split(".")
        return self.blocks[int(layer)][kind == "mlp"]

    def features(self, site: str) -> int:
        """Native features of a site: value directions or hidden units."""
        if site.startswith("attn"):
            return self.size.heads * self.size.head_width
        return self.size.hidden

    def reads(self, site: str) -> int:
        """Number of the stream that a site reads, among those before each module in order."""
        number = self.sites.index(site)
        return number - 1 if self.size.parallel and site.startswith("mlp") else number

    @property
    def layout(self) -> dict[str, Any]:
        """What a graph of its parts needs: features of each site in order, and how blocks go."""
        return {
            "features": {site: self.features(site) for site in self.sites},
            "head_width": self.size.head_width,
            "parallel": self.size.parallel,
        }

    def writing(self, site: str) -> Tensor:
        """Writing directions (features, d) of a site; behind a norm, but for the run's scale."""
        module = self.module(site)
        directions = module.output.flatten(0, -2)
        return directions if module.gain is None else directions * module.gain


def load(
    directory: Path, dtype: str | torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Transformer:
    """Read and fold the checkpoint in `directory`, layer by layer.

    dtype is one of devices.FORMATS. Several cards are shared by a model that one cannot hold. Takes
    the memory of the model in its own numbers and of one layer in float64 (of the embeddings, where
    they are larger). Raises ModelError where the checkpoint is not complete, DeviceError where the
    device is not there or too small.
    """
    places, numbers = devices.resolve(device), devices.number_format(dtype)
    config = checkpoint.config_of(directory)
    adapter = architectures.adapter(config, directory)
    size = adapter.dimensions(config)
    raw = adapter.raw(config, checkpoint.Tensors(directory))
    layers, ends = raw.blocks, _ends(raw, size.embedding_scale, numbers, places[0])
    del raw  # the embeddings in float64
    blocks = devices.lay_out(
        _folded(layers, size, numbers),
        size.layers,
        sum(x.nbytes for x in ends.values() if x is not None),
        places,
    )
    return Transformer(size, blocks=blocks, **ends)  # type: ignore[arg-type]


def open_model(
    handle: Path, dtype: str | torch.dtype, device: str | torch.device = "cpu"
) -> Transformer:
    """The model that a model.json describes; see `load`."""
    return load(models.open_handle(handle).directory, dtype, device)


def _folded(
    layers: Iterable[tuple[RawAttention, RawMlp]], size: Dimensions, dtype: torch.dtype
) -> Iterator[tuple[Attention, Mlp]]:
    """Folded layers, one after the other, always by the CPU: the same directions on any device."""

    def module(kind: type, folded: tuple[Tensor | None, ...]) -> Any:
        return kind(*(None if x is None else x.to(dtype).contiguous() for x in folded))

    for attention, mlp in layers:
        yield (
            module(Attention, folding.attention(attention, size)),
            module(Mlp, folding.mlp(mlp)),
        )


def _ends(
    raw: Raw, scale: float | None, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor | None]:
    """What stands before the layers and behind them; `scale` of the token embeddings."""

    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(dtype).to(device).contiguous()

    embedding = cast(raw.embedding)
    if scale is not None:  # rounded to the format of the weights, as transformers does
        embedding = embedding * torch.tensor(scale, dtype=dtype, device=device)
    unembedding, bias = folding.fold(raw.final_norm, raw.unembedding.T, None)
    return {
        "embedding": embedding,
        "positions": None if raw.positions is None else cast(raw.positions),
        "unembedding": cast(unembedding),
        "unembedding_bias": cast(bias),
    }


def sights(model: Transformer, batch: Batch) -> dict[str, Sight]:
    """What each site sees of a batch; layers with the same window share theirs."""
    size, hidden_keys = model.size, batch.hidden_keys
    place = torch.arange(batch.ids.shape[1], device=batch.ids.device)
    of_window = {}
    for window in {size.window(layer) for layer in range(size.layers)}:
        hidden = hidden_keys
        if window is not None and window < len(place):
            # a prompt's places follow each other, so its positions differ as its places do
            hidden = hidden_keys | (place[:, None] - place >= window)
        of_window[window] = Sight(rotary(model, batch, window is not None), hidden)
    return {site: of_window[size.window(int(site.split(".")[1]))] for site in model.sites}


def repeated(of_sites: Mapping[str, Sight], count: int) -> dict[str, Sight]:
    """Sights of `count` runs of each prompt, run by run; what is shared stays shared."""
    shared = {id(sight): sight for sight in of_sites.values()}
    found = {key: sight.repeated(count) for key, sight in shared.items()}
    return {site: found[id(sight)] for site, sight in of_sites.items()}


def rotary(model: Transformer, batch: Batch, windowed: bool = False) -> Rotary:
    """Angles of rotary position embedding, half-split convention (Su et al. 2021).

    In float32 whatever the weights are, as the models were trained and as transformers computes.
    `windowed` layers may turn by a base of their own.
    """
    size, dtype = model.size, model.embedding.dtype
    if size.rotary_base is None:
        return Rotary(None, None)
    own = size.window_rotary_base if windowed else None
    base = size.rotary_base if own is None else own
    width = size.rotary_width or size.head_width
    step = torch.arange(0, width, 2, device=batch.ids.device, dtype=torch.float32) / width
    frequency = 1.0 / base**step  # (r / 2,)
    if size.rotary_stretch is not None and own is None:
        frequency = _stretched(frequency, size.rotary_stretch)
    angle = batch.positions[..., None].float() * frequency  # (n, t, r / 2)
    angle = torch.cat([angle, angle], dim=-1)
    return Rotary(angle.cos().to(dtype), angle.sin().to(dtype))


def _stretched(frequency: Tensor, stretch: Stretch) -> Tensor:
    """Frequencies (r / 2,) for longer contexts (position interpolation, Chen et al. 2023; by
    wavelength, Llama 3.1)."""
    if stretch.original is None or stretch.low is None or stretch.high is None:
        return frequency / stretch.factor
    turns = stretch.original * frequency / (2 * math.pi)  # within the context of the first training
    kept = ((turns - stretch.low) / (stretch.high - stretch.low)).clamp(0, 1)
    return (1 - kept) * frequency / stretch.factor + kept * frequency


def embed(model: Transformer, batch: Batch) -> Tensor:
    """What the `input` part writes: token and position embedding (n, t, d), 0 at padding.

    Raises DataError for a prompt longer than the context or an id outside the vocabulary.
    """
    longest, ids = int(batch.lengths.max()), batch.ids * batch.real
    if longest > model.size.context:
        raise DataError(
            f"a prompt has {longest} tokens, more than the model's context of {model.size.context}"
        )
    for token in (int(ids.min()), int(ids.max())):
        if not 0 <= token < model.size.vocabulary:
            raise DataError(
                f"token id {token} is not among the model's 0 to {len(model.embedding) - 1}"
            )
    stream = model.embedding[ids]
    if model.positions is not None:
        stream = stream + model.positions[batch.positions]
    return stream * batch.real[..., None]


def compute(model: Transformer, site: str, x: Tensor, sight: Sight, group: Group = WHOLE) -> Tensor:
    """Features (p, n, t, m) of each part of a site on its normed inputs x (s, p, n, t, d)."""
    module = model.module(site)
    if isinstance(module, Attention):
        return join_heads(attend(module, x, sight, model.size, group).z, group.count)
    return activate(module, x[0], model.size.activation, group).hidden


def behind(model: Transformer, site: str, features: Tensor) -> Normed:
    """The bare norm behind a module, over the sum of what features (..., features) write."""
    return rms_normalise(features @ model.module(site).output.flatten(0, -2), model.size.eps)


def output(model: Transformer, site: str, features: Tensor) -> Tensor:
    """What a module adds to the stream (..., d), given its native features (..., features)."""
    module = model.module(site)
    if module.gain is None:
        return features @ model.writing(site) + module.constant
    return behind(model, site, features).x * module.gain


class Trace(NamedTuple):
    """A forward pass on a batch: the stream after each module and what each module left."""

    batch: Batch
    sights: Mapping[str, Sight]
    streams: list[Tensor]  # (n, t, d) before each module in order, and after the last
    normed: dict[str, Normed]  # per site, over (n, t, d)
    attended: dict[str, Attended]
    activated: dict[str, Activated]
    behind: dict[str, Normed]  # of sites with a norm behind them, over (n, t, d)


def features_of(trace: Trace, site: str) -> Tensor:
    """Native features (n, t, features) of a site in a pass."""
    if site in trace.attended:
        return join_heads(trace.attended[site].z, 1)[0]
    return trace.activated[site].hidden[0]


def shares_of(trace: Trace, site: str) -> Tensor:
    """Features (n, t, features) as they are written: times the scale of a norm behind the module.

    What a feature adds to the stream is linear in its share, in every run; without such a norm they
    are the features.
    """
    features = features_of(trace, site)
    if site not in trace.behind:
        return features
    return (features * trace.behind[site].scale).to(features.dtype)


def forward(
    model: Transformer,
    batch: Batch,
    stream: Tensor | None = None,
    visit: Callable[[str, Trace], Tensor | None] | None = None,
) -> Trace:
    """Run the body. `stream` (n, t, d) replaces the embedding of the batch (integrated paths).

    With `visit`, what a module leaves behind is handed to it after the module and then let go: only
    the streams stay, and the norms behind modules. A stream (n, t, d) that it returns stands for
    the one behind the module from there on.
    """
    batch = batch.to(model.device)
    if stream is None:
        stream = embed(model, batch)
    trace = Trace(batch, sights(model, batch), [stream], {}, {}, {}, {})
    for number, site in enumerate(model.sites):
        module, read = model.module(site), model.reads(site)
        # norms have no gain of their own: of two modules that read one stream they are the same
        if read == number:
            normed = normalise(stream, model.size)
        trace.normed[site] = normed
        if isinstance(module, Attention):
            seen = trace.sights[site]
            trace.attended[site] = attend(module, normed.x[None, None], seen, model.size)
        else:
            trace.activated[site] = activate(module, normed.x[None], model.size.activation)
        features = features_of(trace, site)
        if module.gain is None:
            stream = stream + features @ model.writing(site) + module.constant
        else:
            trace.behind[site] = behind(model, site, features)
            stream = stream + trace.behind[site].x * module.gain
        trace.streams.append(stream)
        if visit is not None:
            changed = visit(site, trace)
            if changed is not None:
                stream = trace.streams[-1] = changed
            for left in (trace.normed, trace.attended, trace.activated):
                left.pop(site, None)
    return trace


def answers(model: Transformer, batch: Batch) -> Tensor:
    """Logits (n, vocabulary) at the last position of each prompt, nothing else kept of the pass."""
    return logits_at_answer(model, forward(model, batch, visit=lambda site, trace: None))


def logits_at_answer(model: Transformer, trace: Trace) -> Tensor:
    """Logits (n, vocabulary) at the last position of each prompt."""
    prompts = torch.arange(len(trace.batch.last), device=trace.batch.last.device)
    return unembed(model, trace.streams[-1][prompts, trace.batch.last])


def unembed(model: Transformer, stream: Tensor) -> Tensor:
    """Logits (..., vocabulary) of a stream (..., d), in float32 where the model is narrower."""
    x = normalise(precision.widen(stream), model.size).x
    logits = precision.product(x, model.unembedding) + model.unembedding_bias
    cap = model.size.logit_cap
    return logits if cap is None else logits.div_(cap).tanh_().mul_(cap)
