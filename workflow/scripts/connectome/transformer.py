"""The engine's own forward pass: folded weights, prompts, and what a pass leaves behind.

Weights are folded on loading (folding.py), so that norms only centre and scale and single value
dimensions mean something; what each module computes stands in blocks.py.

Axes in names and comments: n prompts, t or q, k positions, d width, h heads, w head width, f hidden
units, p parts, m features of a part.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from connectome import architectures, checkpoint, coding, devices, folding, models, precision
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
    Writer,
    activate,
    attend,
    join_heads,
    normalise,
    rms_normalise,
)
from connectome.coding import Coded, Coding
from connectome.dictionaries import Dictionary
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
    dictionaries: Mapping[str, Coding] = field(default_factory=dict)  # of what some modules write

    @property
    def native(self) -> "Transformer":
        """The same model without dictionaries: its modules write the same."""
        return replace(self, dictionaries={})

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

    def writer(self, site: str) -> Writer:
        """What the features of a site write by: its module, or a dictionary of it."""
        found = self.dictionaries.get(site)
        return self.module(site) if found is None else found

    def features(self, site: str) -> int:
        """Features of a site: value directions or hidden units, or those of its dictionary with
        what stands beside them."""
        if site in self.dictionaries:
            return len(self.dictionaries[site].output)
        if site.startswith("attn"):
            return self.size.heads * self.size.head_width
        return self.size.hidden

    def reads(self, site: str) -> int:
        """Number of the stream that a site reads, among those before each module in order."""
        number = self.sites.index(site)
        return number - 1 if self.size.parallel and site.startswith("mlp") else number

    @property
    def layout(self) -> dict[str, Any]:
        """What a graph of its parts needs: features of each site in order, what stands beside
        those of a dictionary, and how blocks go."""
        beside = {site: found.beside for site, found in self.dictionaries.items()}
        return {
            "features": {
                site: self.features(site) - sum(beside.get(site, {}).values())
                for site in self.sites
            },
            "beside": beside,
            "head_width": self.size.head_width,
            "parallel": self.size.parallel,
        }

    def writing(self, site: str) -> Tensor:
        """Writing directions (features, d) of a site; behind a norm, but for the run's scale."""
        writer = self.writer(site)
        directions = writer.output.flatten(0, -2)
        return directions if writer.gain is None else directions * writer.gain


def load(
    directory: Path,
    dtype: str | torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    dictionaries: Mapping[str, Dictionary] | None = None,
) -> Transformer:
    """Read and fold the checkpoint in `directory`, layer by layer.

    dtype is one of devices.FORMATS. Several cards are shared by a model that one cannot hold. Takes
    the memory of the model in its own numbers and of one layer in float64 (of the embeddings, where
    they are larger). Raises ModelError where the checkpoint is not complete, DeviceError where the
    device is not there or too small, DataError where a dictionary does not fit; these all lie on
    the first card.
    """
    places, numbers = devices.resolve(device), devices.number_format(dtype)
    config = checkpoint.config_of(directory)
    adapter = architectures.adapter(config, directory)
    size = adapter.dimensions(config)
    raw = adapter.raw(config, checkpoint.Tensors(directory))
    layers, ends = raw.blocks, _ends(raw, size.embedding_scale, numbers, places[0])
    del raw  # the embeddings in float64
    held = {} if dictionaries is None else dictionaries
    weights = sum(found.encoder.numel() + found.decoder.numel() for found in held.values())
    blocks = devices.lay_out(
        _folded(layers, size, numbers),
        size.layers,
        sum(x.nbytes for x in ends.values() if x is not None) + weights * numbers.itemsize,
        places,
    )
    model = Transformer(size, blocks=blocks, **ends)  # type: ignore[arg-type]
    return with_dictionaries(model, held)


def open_model(
    handle: Path,
    dtype: str | torch.dtype,
    device: str | torch.device = "cpu",
    dictionaries: Mapping[str, Dictionary] | None = None,
) -> Transformer:
    """The model that a model.json describes; see `load`."""
    return load(models.open_handle(handle).directory, dtype, device, dictionaries)


def with_dictionaries(model: Transformer, found: Mapping[str, Dictionary]) -> Transformer:
    """The model with what these sites write as features of dictionaries, other sites native.

    Raises DataError where a dictionary is at no module, or of another width.
    """
    codings = {}
    for site, dictionary in found.items():
        if site not in model.sites:
            raise DataError(
                f"the dictionary of {site} cannot be traced: circuits have nodes at what modules "
                f"write, {model.sites[0]} to {model.sites[-1]}; the stream holds what all before "
                "it wrote"
            )
        module, width = model.module(site), model.size.width
        if dictionary.widths != (width, width):
            reads, gives = dictionary.widths
            raise DataError(
                f"the dictionary of {site} reads {reads} and gives {gives} numbers a token, but "
                f"the model has {width}; it is of another model"
            )
        norm: tuple[Tensor | None, Tensor | None] = (None, None)
        if dictionary.transcoder:
            if not isinstance(module, Mlp):
                raise DataError(
                    f"the dictionary of {site} is a transcoder, which stands for an MLP; give one "
                    "at a site such as mlp.0"
                )
            norm = (module.norm_gain, module.norm_bias)
        folded = coding.fold(
            dictionary.to("cpu", torch.float64), *(None if x is None else x.cpu() for x in norm)
        )
        codings[site] = coding.coding(folded, model.device, model.embedding.dtype)
    return replace(model, dictionaries=codings)


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
    found = model.dictionaries.get(site)
    if found is not None:
        cell = x.shape[2:4].numel() * widest(model, site, x.shape[3])
        first = group.parts.start
        return torch.cat(
            [
                _coded(model, site, found, x[:, some.parts.start - first :], sight, some)
                for some in coding.pieces(found, group, cell)
            ]
        )
    module = model.module(site)
    if isinstance(module, Attention):
        return join_heads(attend(module, x, sight, model.size, group).z, group.count)
    return activate(module, x[0], model.size.activation, group).hidden


def _coded(
    model: Transformer, site: str, found: Coding, x: Tensor, sight: Sight, group: Group
) -> Tensor:
    """Features (p, n, t, m) of a dictionary's parts: each runs the whole module on its input."""
    count, y = group.count, None
    x = x[:, :count]
    if coding.reads_output(found, group):
        wide = x.flatten(1, 2)[:, None]  # each part a run of all prompts
        features = compute(model.native, site, wide, sight.repeated(count))[0]
        y = output(model, site, features).unflatten(0, (count, -1))
    return coding.code_parts(found, x[0], y, group)


def widest(model: Transformer, site: str, t: int) -> int:
    """Most numbers of one kind that a token of a prompt of t leaves behind in a site, about."""
    own = model.size.heads * (model.size.head_width + t)
    return max(model.features(site), own if site.startswith("attn") else model.size.hidden)


def behind(model: Transformer, site: str, features: Tensor) -> Normed:
    """The bare norm behind a module, over the sum of what features (..., features) write."""
    return rms_normalise(features @ model.module(site).output.flatten(0, -2), model.size.eps)


def output(model: Transformer, site: str, features: Tensor) -> Tensor:
    """What a module adds to the stream (..., d), given its native features (..., features)."""
    module = model.module(site)
    if module.gain is None:
        return features @ module.output.flatten(0, -2) + module.constant
    return behind(model, site, features).x * module.gain


class Trace(NamedTuple):
    """A forward pass on a batch: the stream after each module and what each module left."""

    batch: Batch
    sights: Mapping[str, Sight]
    streams: list[Tensor]  # (n, t, d) before each module in order, and after the last
    normed: dict[str, Normed]  # per site, over (n, t, d)
    attended: dict[str, Attended]
    activated: dict[str, Activated]
    behind: dict[str, Normed]  # of sites with a norm behind what they write, over (n, t, d)
    coded: dict[str, Coded]  # of sites with a dictionary, over (n, t)
    within: dict[str, Normed]  # of those among them with a norm behind their modules


def features_of(trace: Trace, site: str) -> Tensor:
    """Features (n, t, features) of a site in a pass."""
    if site in trace.coded:
        return trace.coded[site].features
    return native_features_of(trace, site)


def native_features_of(trace: Trace, site: str) -> Tensor:
    """Native features (n, t, features) of a site in a pass."""
    if site in trace.attended:
        return join_heads(trace.attended[site].z, 1)[0]
    return trace.activated[site].hidden[0]


def read_by(model: Transformer, trace: Trace, site: str) -> Tensor:
    """What an MLP reads (n, t, d) in a pass, with the gain and bias of the norm before it."""
    module, x = model.module(site), trace.normed[site].x
    assert isinstance(module, Mlp)
    if module.norm_gain is not None:
        x = x * module.norm_gain
    return x if module.norm_bias is None else x + module.norm_bias


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
    trace = Trace(batch, sights(model, batch), [stream], {}, {}, {}, {}, {}, {})
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
        features, found = native_features_of(trace, site), model.dictionaries.get(site)
        directions = module.output.flatten(0, -2)
        if found is not None:
            y = features @ directions + module.constant
            if module.gain is not None:
                trace.within[site] = rms_normalise(y, model.size.eps)
                y = trace.within[site].x * module.gain
            trace.coded[site] = coding.code(found, normed.x, y)
            stream = stream + y
        elif module.gain is None:
            stream = stream + features @ directions + module.constant
        else:
            trace.behind[site] = rms_normalise(features @ directions, model.size.eps)
            stream = stream + trace.behind[site].x * module.gain
        trace.streams.append(stream)
        if visit is not None:
            changed = visit(site, trace)
            if changed is not None:
                stream = trace.streams[-1] = changed
            for left in (trace.normed, trace.attended, trace.activated, trace.coded, trace.within):
                left.pop(site, None)
    return trace


def answers(model: Transformer, batch: Batch) -> Tensor:
    """Logits (n, vocabulary) at the last position of each prompt, nothing else kept of the pass."""
    trace = forward(model.native, batch, visit=lambda site, trace: None)
    return logits_at_answer(model, trace)


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
