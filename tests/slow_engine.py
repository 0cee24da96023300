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

import tiny_models
from connectome.dictionaries import Dictionary
from connectome.parts import PartGraph
from tiny_models import tiny

_ACT = {
    "gelu_new": lambda x: nn.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: nn.gelu(x, approximate="tanh"),
    "gelu": nn.gelu,
    "relu": nn.relu,
    "silu": nn.silu,
}


class SlowModel:
    """A model of any family in plain formulas, float64."""

    def __init__(self, folder: Path):
        self.config = c = json.loads((folder / "config.json").read_text())
        self.tensors = {
            n.removeprefix("transformer.")
            .removeprefix("model.")
            .removeprefix("gpt_neox."): x.double()
            for n, x in load_file(folder / "model.safetensors").items()
        }
        self.kind = c["model_type"]
        self.gpt2, self.neox = self.kind == "gpt2", self.kind == "gpt_neox"
        self.gemma = self.kind.startswith("gemma")
        self.layers = c.get("n_layer") or c["num_hidden_layers"]
        self.heads = c.get("n_head") or c["num_attention_heads"]
        self.eps = c.get("layer_norm_epsilon") or c.get("layer_norm_eps") or c["rms_norm_eps"]
        self.parallel = self.neox and c["use_parallel_residual"]
        self.act = _ACT[
            c.get("activation_function") or c.get("hidden_activation") or c["hidden_act"]
        ]

    def _get(self, name: str) -> Tensor | float:
        return self.tensors.get(name, 0.0)

    def gain(self, name: str) -> Tensor:
        return self.tensors[f"{name}.weight"] + (1 if self.gemma else 0)

    def norm(self, x: Tensor, name: str) -> Tensor:
        """The norm with its gain and bias."""
        if self.gpt2 or self.neox:
            x = x - x.mean(-1, keepdim=True)
        x = x / (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        return x * self.gain(name) + self._get(f"{name}.bias")

    def embed(self, ids: list[int]) -> Tensor:
        """(t, d)"""
        if self.gpt2:
            return self.tensors["wte.weight"][ids] + self.tensors["wpe.weight"][: len(ids)]
        if self.neox:
            return self.tensors["embed_in.weight"][ids]
        found = self.tensors["embed_tokens.weight"][ids]
        return found * found.shape[1] ** 0.5 if self.gemma else found

    def norm_before(self, site: str) -> str:
        """Name of the norm through which a module reads."""
        kind, layer = site.split(".")
        if self.gpt2:
            return f"h.{layer}.{'ln_1' if kind == 'attn' else 'ln_2'}"
        if kind == "attn":
            return f"layers.{layer}.input_layernorm"
        return f"layers.{layer}.{'pre_feedforward' if self.gemma else 'post_attention'}_layernorm"

    def _attention(self, layer: int) -> tuple[list, Tensor, Tensor | float]:
        """[(W (d, m), b)] of queries, keys, values; W_O (m, d), b_O."""
        if self.gpt2:
            weight = self.tensors[f"h.{layer}.attn.c_attn.weight"].chunk(3, 1)
            bias = self.tensors[f"h.{layer}.attn.c_attn.bias"].chunk(3)
            out = f"h.{layer}.attn.c_proj"
            read = list(zip(weight, bias, strict=True))
            return read, self.tensors[f"{out}.weight"], self._get(f"{out}.bias")
        if self.neox:
            place = f"layers.{layer}.attention"
            weight = self.tensors[f"{place}.query_key_value.weight"]
            bias = self.tensors[f"{place}.query_key_value.bias"]
            w = len(weight) // 3 // self.heads
            own = [  # rows of queries, keys, values: head by head, each head's three together
                [h * 3 * w + kind * w + i for h in range(self.heads) for i in range(w)]
                for kind in range(3)
            ]
            out = f"{place}.dense"
            read = [(weight[rows].T, bias[rows]) for rows in own]
            return read, self.tensors[f"{out}.weight"].T, self._get(f"{out}.bias")
        place = f"layers.{layer}.self_attn"
        read = [
            (self.tensors[f"{place}.{k}_proj.weight"].T, self._get(f"{place}.{k}_proj.bias"))
            for k in "qkv"
        ]
        return read, self.tensors[f"{place}.o_proj.weight"].T, self._get(f"{place}.o_proj.bias")

    def _columns(self, layer: int, head: int) -> tuple[list, Tensor]:
        """(W, b) of one head's query, key and value, its group's where heads share; and its W_O."""
        read, out, _ = self._attention(layer)
        w = len(out) // self.heads
        found = []
        for matrix, bias in read:
            number = head // (self.heads // (matrix.shape[1] // w))
            own = slice(number * w, (number + 1) * w)
            found.append((matrix[:, own], bias[own] if isinstance(bias, Tensor) else 0.0))
        return found, out[head * w : (head + 1) * w]

    def window(self, layer: int) -> int | None:
        if self.kind == "mistral":
            return self.config["sliding_window"]
        kinds = self.config.get("layer_types")
        if kinds is None or kinds[layer] == "full_attention":
            return None
        return self.config["sliding_window"]

    def _turn(self, x: Tensor, layer: int) -> Tensor:
        if self.gpt2:
            return x
        rope = self.config["rope_parameters"]
        if self.kind == "gemma3_text":
            rope = rope["full_attention" if self.window(layer) is None else "sliding_attention"]
        width = int(x.shape[1] * rope.get("partial_rotary_factor", 1.0))
        half = width // 2
        inverse = 1.0 / rope["rope_theta"] ** (torch.arange(half, dtype=torch.float32) / half)
        angle = torch.outer(torch.arange(len(x), dtype=torch.float32), inverse)
        turned = torch.complex(x[:, :half], x[:, half:width]) * torch.complex(
            angle.cos().double(), angle.sin().double()
        )
        return torch.cat([turned.real, turned.imag, x[:, width:]], 1)

    def _normed(self, x: Tensor, layer: int, kind: str) -> Tensor:
        """A head's query or key through its norm, where the family has one."""
        name = f"layers.{layer}.self_attn.{kind}_norm"
        return self.norm(x, name) if f"{name}.weight" in self.tensors else x

    def head(self, layer: int, head: int, of_query: Tensor, of_key: Tensor, of_value: Tensor):
        """What a head adds to its module's sum (t, d), value biases too, no output bias."""
        ((wq, bq), (wk, bk), (wv, bv)), out = self._columns(layer, head)
        norm = self.norm_before(f"attn.{layer}")
        query = self._turn(self._normed(self.norm(of_query, norm) @ wq + bq, layer, "q"), layer)
        key = self._turn(self._normed(self.norm(of_key, norm) @ wk + bk, layer, "k"), layer)
        score = query @ key.T / (self.config.get("query_pre_attn_scalar") or wq.shape[1]) ** 0.5
        cap = self.config.get("attn_logit_softcapping")
        if cap:
            score = cap * (score / cap).tanh()
        outside = torch.full_like(score, -torch.inf)
        score = score + outside.triu(1)
        if self.window(layer):
            score = score + outside.tril(-self.window(layer))
        return score.softmax(-1) @ (self.norm(of_value, norm) @ wv + bv) @ out

    @functools.cache  # noqa: B019 (models live as long as the tests)
    def head_constant(self, layer: int, head: int) -> Tensor:
        """What a head writes for the biases of its norm and values, whatever it reads (d,)."""
        (_, _, (wv, bv)), out = self._columns(layer, head)
        shift = self._get(f"{self.norm_before(f'attn.{layer}')}.bias")
        return (
            bv + (shift @ wv if isinstance(shift, Tensor) else torch.zeros(len(out)).double())
        ) @ out

    @functools.cache  # noqa: B019 (models live as long as the tests)
    def directions(self, layer: int, head: int) -> Tensor:
        """Right singular vectors (w, d) of diag(gain) W_V W_O."""
        (_, _, (wv, _)), out = self._columns(layer, head)
        gain = self.gain(self.norm_before(f"attn.{layer}"))
        product = (gain[:, None] * wv @ out).numpy()
        return torch.from_numpy(np.linalg.svd(product)[2][: wv.shape[1]])

    def hidden(self, layer: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """Hidden units (t, f), W_down (f, d), its bias."""
        normed = self.norm(x, self.norm_before(f"mlp.{layer}"))
        if self.gpt2:
            place = f"h.{layer}.mlp"
            pre = normed @ self.tensors[f"{place}.c_fc.weight"] + self.tensors[f"{place}.c_fc.bias"]
            down = self.tensors[f"{place}.c_proj.weight"]
            return self.act(pre), down, self.tensors[f"{place}.c_proj.bias"]
        place = f"layers.{layer}.mlp"

        def project(name: str) -> Tensor:
            weight = self.tensors[f"{place}.{name}.weight"].T
            return normed @ weight + self._get(f"{place}.{name}.bias")

        if self.neox:
            down = f"{place}.dense_4h_to_h"
            hidden = self.act(project("dense_h_to_4h"))
            return hidden, self.tensors[f"{down}.weight"].T, self.tensors[f"{down}.bias"]
        down = self.tensors[f"{place}.down_proj.weight"].T
        hidden = self.act(project("gate_proj")) * project("up_proj")
        return hidden, down, self._get(f"{place}.down_proj.bias")

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
        """What a group of a site's features adds to its sum (t, d) when it reads the streams xs.

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

    def shares(self, site: str, added: list[Tensor]) -> list[Tensor]:
        """What all parts of a site write, given what each adds to the sum: through its norm."""
        if not self.gemma:
            return added
        kind, layer = site.split(".")
        place = "attention" if kind == "attn" else "feedforward"
        gain = self.gain(f"layers.{layer}.post_{place}_layernorm")
        size = (sum(added).pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        return [one * gain / size for one in added]

    def before(self, source: str, site: str) -> bool:
        """Whether a site reads what another one, `input` among them, has written."""
        place = {
            f"{kind}.{i}": i + half for i in range(self.layers) for kind, half in _HALF.items()
        }
        place |= {"input": -1, "logits": self.layers}
        if self.parallel:
            place = {name: int(number) for name, number in place.items()}
        return place[source] < place[site]

    def logits(self, x: Tensor) -> Tensor:
        """(t, vocabulary) of the last stream."""
        last, token = ("ln_f", "wte.weight") if self.gpt2 else ("norm", "embed_tokens.weight")
        if self.neox:
            last, token = "final_layer_norm", "embed_in.weight"
        matrix = self.tensors.get("embed_out.weight")
        if matrix is None:
            matrix = self.tensors.get("lm_head.weight", self.tensors[token])
        found = self.norm(x, last) @ matrix.T
        cap = self.config.get("final_logit_softcapping")
        return cap * (found / cap).tanh() if cap else found


_HALF = {"attn": 0.0, "mlp": 0.5}


class SlowCoded(SlowModel):
    """The same, with what some modules write as features, skip path and error of dictionaries."""

    def __init__(self, folder: Path, dictionaries: dict[str, Dictionary]):
        super().__init__(folder)
        self.dictionaries = dictionaries

    def written(self, site: str, *xs: Tensor) -> Tensor:
        """What the whole module adds to the stream (t, d), its constant too."""
        kind, layer = site.split(".")
        if kind == "mlp":
            hidden, down, _ = self.hidden(int(layer), *xs)
            whole = hidden @ down
        else:
            xs = xs if len(xs) == 3 else xs * 3
            whole = sum(self.head(int(layer), head, *xs) for head in range(self.heads))
            whole = whole - sum(self.head_constant(int(layer), head) for head in range(self.heads))
        return super().shares(site, [whole])[0] + super().constant(site)

    def codes(self, site: str, *xs: Tensor) -> Tensor:
        """Features, numbers of the skip path if there is one, and of the error (t, F + ... + d)."""
        found, y = self.dictionaries[site], self.written(site, *xs)
        read = self.norm(xs[0], self.norm_before(site)) if found.transcoder else y
        features = [code(found, token) for token in read]
        rest = y - torch.stack(features) @ found.decoder - found.decoder_bias
        if found.skip is None:
            return torch.cat([torch.stack(features), rest], 1)
        skip = torch.stack([found.skip @ token for token in read])
        fixed = found.skip @ self._bias_before(site)
        return torch.cat([torch.stack(features), skip - fixed, rest - skip], 1)

    def _bias_before(self, site: str) -> Tensor:
        bias = self._get(f"{self.norm_before(site)}.bias")
        return bias if isinstance(bias, Tensor) else torch.zeros(len(self.embed([0])[0])).double()

    def part(self, site: str, features: np.ndarray, *xs: Tensor) -> Tensor:
        if site not in self.dictionaries:
            return super().part(site, features, *xs)
        found = self.dictionaries[site]
        one = torch.eye(found.decoder.shape[1]).double()
        rows = [found.decoder, one] if found.skip is None else [found.decoder, one, one]
        return self.codes(site, *xs)[:, features] @ torch.cat(rows)[features]

    def shares(self, site: str, added: list[Tensor]) -> list[Tensor]:
        return added if site in self.dictionaries else super().shares(site, added)

    def constant(self, site: str) -> Tensor | float:
        if site not in self.dictionaries:
            return super().constant(site)
        found = self.dictionaries[site]
        if found.skip is None:
            return found.decoder_bias
        return found.decoder_bias + found.skip @ self._bias_before(site)


def code(found: Dictionary, x: Tensor) -> Tensor:
    """Features (F,) of one input (d,), one after the other, by the formulas of the papers."""
    x = x - found.decoder_bias if found.centred else x
    at = [x @ found.encoder[:, j] for j in range(found.features)]
    if found.gate is not None:
        opens, magnitude = found.gate
        return torch.stack(
            [
                (p * magnitude[j] + found.encoder_bias[j]).relu() * bool(p + opens[j] > 0)
                for j, p in enumerate(at)
            ]
        )
    h = [p + found.encoder_bias[j] for j, p in enumerate(at)]
    if found.k is not None:
        ranked = sorted(range(len(h)), key=lambda j: h[j].item(), reverse=True)
        return torch.stack([h[j].relu() * (j in ranked[: found.k]) for j in range(len(h))])
    cut = torch.zeros(len(h)) if found.threshold is None else found.threshold
    return torch.stack([h[j].relu() * bool(h[j] > cut[j]) for j in range(len(h))])


@functools.cache
def slow_model(family: str) -> SlowModel:
    """The slow model of the tiny checkpoint of a family, made once."""
    if family in tiny_models.CODED:
        return SlowCoded(tiny(family)[0], tiny_models.dictionaries(family))
    return SlowModel(tiny(family)[0])


def members(graph: PartGraph, node: int) -> tuple[str, np.ndarray]:
    """Site of a node and the numbers of its features there."""
    site = graph.site_of[node]
    return site, np.flatnonzero(graph.members[site] == node)


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
    written = [model.embed(ids)]
    for site in (*graph.sites, "logits"):
        added = []
        for node in nodes_of(graph, site):
            xs = []
            for reader in readers(graph, node):
                x = torch.zeros_like(written[0])
                for source in graph.sites:
                    if model.before(source, site):
                        x = x + model.constant(source)
                for u in range(node):
                    if model.before(graph.site_of[u], site):
                        x = x + (written[u] if mask[reader, u] else ablated[u])
                xs.append(x)
            if site == "logits":
                return model.logits(*xs)[-1], written
            added.append(model.part(site, members(graph, node)[1], *xs))
        written += model.shares(site, added)
    raise AssertionError("a graph ends with logits")


def nodes_of(graph: PartGraph, site: str) -> list[int]:
    """Numbers of the nodes of a site."""
    return [node for node, place in enumerate(graph.site_of) if place == site]


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
