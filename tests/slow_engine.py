"""A second engine for the tests: one prompt, one part at a time, from the checkpoint's own tensors.

Nothing is folded, batched, padded or shared with the library but the graph's names and members.
Gradients come from autograd. Value directions are right singular vectors v of diag(gain) W_V W_O:
what a head writes along them is (y . v) v, whatever basis its weights are in.
"""

import functools
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nn
from safetensors.torch import load_file
from torch import Tensor

from connectome.parts import PartGraph
from tiny_models import tiny

_ACT = {
    "gelu_new": lambda x: nn.gelu(x, approximate="tanh"),
    "gelu": nn.gelu,
    "relu": nn.relu,
    "silu": nn.silu,
}


class SlowModel:
    """GPT-2 or Llama in plain formulas, float64."""

    def __init__(self, folder: Path):
        self.config = json.loads((folder / "config.json").read_text())
        raw = {name: x.double() for name, x in load_file(folder / "model.safetensors").items()}
        self.gpt2 = self.config["model_type"] == "gpt2"
        self.tensors = {
            n.removeprefix("transformer.").removeprefix("model."): x for n, x in raw.items()
        }
        c = self.config
        self.layers = c["n_layer"] if self.gpt2 else c["num_hidden_layers"]
        self.heads = c["n_head"] if self.gpt2 else c["num_attention_heads"]
        self.eps = c["layer_norm_epsilon"] if self.gpt2 else c["rms_norm_eps"]
        self.act = _ACT[c["activation_function"] if self.gpt2 else c["hidden_act"]]

    def _get(self, name: str) -> Tensor | float:
        return self.tensors.get(name, 0.0)

    def norm(self, x: Tensor, name: str) -> Tensor:
        """The norm with its gain and bias."""
        if self.gpt2:
            x = x - x.mean(-1, keepdim=True)
        x = x / (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        return x * self.tensors[f"{name}.weight"] + self._get(f"{name}.bias")

    def embed(self, ids: list[int]) -> Tensor:
        """(t, d)"""
        if self.gpt2:
            return self.tensors["wte.weight"][ids] + self.tensors["wpe.weight"][: len(ids)]
        return self.tensors["embed_tokens.weight"][ids]

    def _attention(self, layer: int) -> tuple[list, Tensor, Tensor | float, str]:
        """[(W (d, m), b)] of queries, keys, values; W_O (m, d), b_O; name of the norm."""
        if self.gpt2:
            weight = self.tensors[f"h.{layer}.attn.c_attn.weight"].chunk(3, 1)
            bias = self.tensors[f"h.{layer}.attn.c_attn.bias"].chunk(3)
            out = f"h.{layer}.attn.c_proj"
            read = list(zip(weight, bias, strict=True))
            return read, self.tensors[f"{out}.weight"], self._get(f"{out}.bias"), f"h.{layer}.ln_1"
        place = f"layers.{layer}.self_attn"
        read = [
            (self.tensors[f"{place}.{k}_proj.weight"].T, self._get(f"{place}.{k}_proj.bias"))
            for k in "qkv"
        ]
        out, bias = self.tensors[f"{place}.o_proj.weight"].T, self._get(f"{place}.o_proj.bias")
        return read, out, bias, f"layers.{layer}.input_layernorm"

    def _columns(self, layer: int, head: int) -> tuple[list, Tensor]:
        """(W, b) of one head's query, key and value, its group's where heads share; and its W_O."""
        read, out, _, _ = self._attention(layer)
        w = len(out) // self.heads
        found = []
        for matrix, bias in read:
            number = head // (self.heads // (matrix.shape[1] // w))
            own = slice(number * w, (number + 1) * w)
            found.append((matrix[:, own], bias[own] if isinstance(bias, Tensor) else 0.0))
        return found, out[head * w : (head + 1) * w]

    def _turn(self, x: Tensor) -> Tensor:
        if self.gpt2:
            return x
        half = x.shape[1] // 2
        base = self.config["rope_parameters"]["rope_theta"]
        inverse = 1.0 / base ** (torch.arange(half, dtype=torch.float32) / half)
        angle = torch.outer(torch.arange(len(x), dtype=torch.float32), inverse)
        turned = torch.complex(x[:, :half], x[:, half:]) * torch.complex(
            angle.cos().double(), angle.sin().double()
        )
        return torch.cat([turned.real, turned.imag], 1)

    def head(self, layer: int, head: int, of_query: Tensor, of_key: Tensor, of_value: Tensor):
        """What a head writes (t, d), value biases and all, without the output bias."""
        ((wq, bq), (wk, bk), (wv, bv)), out = self._columns(layer, head)
        norm = self._attention(layer)[3]
        query = self._turn(self.norm(of_query, norm) @ wq + bq)
        key = self._turn(self.norm(of_key, norm) @ wk + bk)
        score = query @ key.T / wq.shape[1] ** 0.5
        score = score + torch.full_like(score, -torch.inf).triu(1)
        return score.softmax(-1) @ (self.norm(of_value, norm) @ wv + bv) @ out

    @functools.cache  # noqa: B019 (models live as long as the tests)
    def head_constant(self, layer: int, head: int) -> Tensor:
        """What a head writes for the biases of its norm and values, whatever it reads (d,)."""
        (_, _, (wv, bv)), out = self._columns(layer, head)
        shift = self._get(f"{self._attention(layer)[3]}.bias")
        return (
            bv + (shift @ wv if isinstance(shift, Tensor) else torch.zeros(len(out)).double())
        ) @ out

    @functools.cache  # noqa: B019 (models live as long as the tests)
    def directions(self, layer: int, head: int) -> Tensor:
        """Right singular vectors (w, d) of diag(gain) W_V W_O."""
        (_, _, (wv, _)), out = self._columns(layer, head)
        gain = self.tensors[f"{self._attention(layer)[3]}.weight"]
        product = (gain[:, None] * wv @ out).numpy()
        return torch.from_numpy(np.linalg.svd(product)[2][: wv.shape[1]])

    def hidden(self, layer: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """Hidden units (t, f), W_down (f, d), its bias."""
        if self.gpt2:
            place = f"h.{layer}.mlp"
            normed = self.norm(x, f"h.{layer}.ln_2")
            pre = normed @ self.tensors[f"{place}.c_fc.weight"] + self.tensors[f"{place}.c_fc.bias"]
            down = self.tensors[f"{place}.c_proj.weight"]
            return self.act(pre), down, self.tensors[f"{place}.c_proj.bias"]
        place = f"layers.{layer}.mlp"
        normed = self.norm(x, f"layers.{layer}.post_attention_layernorm")
        gate, up = (
            normed @ self.tensors[f"{place}.{k}_proj.weight"].T
            + self._get(f"{place}.{k}_proj.bias")
            for k in ("gate", "up")
        )
        down = self.tensors[f"{place}.down_proj.weight"].T
        return self.act(gate) * up, down, self._get(f"{place}.down_proj.bias")

    @functools.cache  # noqa: B019 (models live as long as the tests)
    def constant(self, site: str) -> Tensor | float:
        """What a module writes whatever it reads (d,)."""
        kind, layer = site.split(".")
        if kind == "mlp":
            x = self.embed([0])
            return self.hidden(int(layer), x)[2]
        bias = self._attention(int(layer))[2]
        return bias + sum(self.head_constant(int(layer), h) for h in range(self.heads))

    def part(self, site: str, features: np.ndarray, *xs: Tensor) -> Tensor:
        """What a group of a site's features writes (t, d) when it reads the streams xs.

        One stream, or three for queries, keys and values.
        """
        kind, number = site.split(".")
        layer = int(number)
        if kind == "mlp":
            hidden, down, _ = self.hidden(layer, *xs)
            return hidden[:, features] @ down[features]
        xs = xs if len(xs) == 3 else xs * 3
        total = torch.zeros_like(xs[0])
        width = len(self._attention(layer)[1]) // self.heads
        for head in sorted(set((features // width).tolist())):
            v = self.directions(layer, head)[features[features // width == head] % width]
            y = self.head(layer, head, *xs) - self.head_constant(layer, head)
            total = total + (y @ v.T) @ v
        return total

    def logits(self, x: Tensor) -> Tensor:
        """(t, vocabulary) of the last stream."""
        last, token = ("ln_f", "wte.weight") if self.gpt2 else ("norm", "embed_tokens.weight")
        return self.norm(x, last) @ self.tensors.get("lm_head.weight", self.tensors[token]).T


@functools.cache
def slow_model(family: str) -> SlowModel:
    """The slow model of the tiny checkpoint of a family, made once."""
    return SlowModel(tiny(family)[0])


def members(graph: PartGraph, node: int) -> tuple[str, np.ndarray]:
    """Site of a node and the numbers of its features there."""
    site = graph.site_of[node]
    return site, np.flatnonzero(graph.members[site] == node)


def order(graph: PartGraph) -> dict[str, int]:
    """Place of each module, `input` and `logits` included."""
    return {site: i for i, site in enumerate(("input", *graph.sites, "logits"))}


def run(
    model: SlowModel,
    graph: PartGraph,
    mask: np.ndarray,
    ids: list[int],
    ablated: list[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """Answer logits and contributions of an ablation run, reader by reader, by its definition.

    mask bool (readers, writers); ablated: what each writer writes (t, d) when it is cut off.
    """
    place = order(graph)
    written = [model.embed(ids)]
    for node in range(1, len(graph.names)):
        site, xs = graph.site_of[node], []
        for reader in readers(graph, node):
            x = torch.zeros_like(written[0])
            for before in graph.sites:
                if place[before] < place[site]:
                    x = x + model.constant(before)
            for u in range(node):
                if place[graph.site_of[u]] < place[site]:
                    x = x + (written[u] if mask[reader, u] else ablated[u])
            xs.append(x)
        if site == "logits":
            return model.logits(*xs)[-1], written
        written.append(model.part(site, members(graph, node)[1], *xs))
    raise AssertionError("a graph ends with logits")


def readers(graph: PartGraph, node: int) -> list[int]:
    """Numbers of a node's inputs: one, or those of its queries, keys and values."""
    found = [v for v, reader in enumerate(graph.readers) if reader.node == node]
    assert [graph.readers[v].slot for v in found] in ([""], ["q", "k", "v"])
    return found


def contributions(model: SlowModel, graph: PartGraph, ids: list[int]) -> list[Tensor]:
    """What every writer writes in the intact run."""
    return run(model, graph, graph.exists, ids, [torch.zeros(1)] * graph.writers)[1]


def logit_difference(logits: Tensor, right: list[int], wrong: list[int]) -> Tensor:
    """Mean over one list minus mean over the other."""
    return logits[right].mean() - logits[wrong].mean()
