"""Tiny random checkpoints, written by transformers' own classes; prompts and graphs for them."""

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from connectome import parts, transformer
from connectome.dictionaries import Dictionary
from connectome.parts import PartGraph
from connectome.transformer import Transformer


def gpt2(folder: Path, **changes) -> Path:
    """Two layers, two heads of width 4, 12 hidden units, 23 tokens; float64, no zero biases."""
    settings = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_inner": 12, "vocab_size": VOCABULARY}
    settings |= {"n_positions": 24, "bos_token_id": 0, "eos_token_id": 0}
    return _save(GPT2LMHeadModel(GPT2Config(**{**settings, **changes})), folder)


def gpt_neox(folder: Path, **changes) -> Path:
    """As GPT-2, parallel, with half of each head turning and an unembedding of its own."""
    settings = {"num_attention_heads": 2, "hidden_size": 8, "rotary_pct": 0.5, **_SIZES}
    return _save(GPTNeoXForCausalLM(GPTNeoXConfig(**{**settings, **changes})), folder)


def llama(folder: Path, **changes) -> Path:
    """Two layers, four heads over two key-value heads of width 4, gated MLP of 12 units."""
    return _save(LlamaForCausalLM(LlamaConfig(**{**_GROUPED, **changes})), folder)


def mistral(folder: Path, **changes) -> Path:
    """As Llama, both layers with a window of 3."""
    settings = {**_GROUPED, "sliding_window": 3}
    return _save(MistralForCausalLM(MistralConfig(**{**settings, **changes})), folder)


def qwen2(folder: Path, **changes) -> Path:
    """As Llama with biases, the second layer with a window of 3."""
    settings = {**_GROUPED, **_SECOND_WINDOWED}
    return _save(Qwen2ForCausalLM(Qwen2Config(**{**settings, **changes})), folder)


def qwen3(folder: Path, **changes) -> Path:
    """As Llama with norms of queries and keys, the second layer with a window of 3."""
    settings = {**_GROUPED, **_SECOND_WINDOWED, "head_dim": 4}
    return _save(Qwen3ForCausalLM(Qwen3Config(**{**settings, **changes})), folder)


def gemma2(folder: Path, **changes) -> Path:
    """Post-norms, low caps, another score scale; the first layer with a window of 3."""
    settings = {
        **_GROUPED,
        "hidden_size": 12,
        "head_dim": 4,
        "sliding_window": 3,
        "query_pre_attn_scalar": 7,
    }
    settings |= {"attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.5}
    return _save(Gemma2ForCausalLM(Gemma2Config(**{**settings, **changes})), folder)


def gemma3_text(folder: Path, **changes) -> Path:
    """Post-norms, norms of queries and keys; a window of 3 and another base in the first layer."""
    settings = {
        **_GROUPED,
        "hidden_size": 12,
        "head_dim": 4,
        "sliding_window": 3,
        "query_pre_attn_scalar": 7,
    }
    settings |= {"layer_types": ["sliding_attention", "full_attention"]}
    return _save(Gemma3ForCausalLM(Gemma3TextConfig(**{**settings, **changes})), folder)


def _save(model: torch.nn.Module, folder: Path) -> Path:
    generator = torch.Generator().manual_seed(3)
    model = model.double()
    one = 0 if model.config.model_type.startswith("gemma") else 1  # Gemma's gains are 1 + weight
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            scale = 0.3 if weight.ndim == 1 else 0.4
            weight.copy_(scale * noise + (one if name.endswith(NORM_GAINS) else 0))
    model.save_pretrained(folder)
    return folder


torch.set_num_threads(1)  # threads that wait for each other cost these sizes a factor of ten
NORM_GAINS = ("ln_1.weight", "ln_2.weight", "ln_f.weight", "layernorm.weight", "norm.weight")
VOCABULARY = 23
_SIZES = {
    "num_hidden_layers": 2,
    "intermediate_size": 12,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 24,
}
_GROUPED = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 16, **_SIZES}
_SECOND_WINDOWED = {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
KINDS = {
    make.__name__: make
    for make in (gpt2, gpt_neox, llama, mistral, qwen2, qwen3, gemma2, gemma3_text)
}
# what the others add to these is tested once each in test_engine_families.py
LEADING = ("gpt2", "gpt_neox", "llama", "gemma2")
OTHERS = tuple(sorted(set(KINDS) - set(LEADING)))


# a model and what some of its modules write as features: kind of dictionary, and of what by site
CODED = {
    "gpt2_coded": ("gpt2", {"mlp.0": "relu", "attn.1": "topk", "mlp.1": "transcoder_skip"}),
    "llama_coded": ("llama", {"attn.0": "jumprelu", "mlp.0": "transcoder", "mlp.1": "gated"}),
    "gemma2_coded": ("gemma2", {"mlp.0": "gated", "attn.1": "relu", "mlp.1": "transcoder_skip"}),
    "gpt_neox_coded": ("gpt_neox", {"mlp.0": "topk", "attn.1": "gated", "mlp.1": "jumprelu"}),
    "gemma3_coded": ("gemma3_text", {"attn.0": "topk", "mlp.0": "jumprelu"}),
}


def dictionaries(family: str) -> dict[str, Dictionary]:
    """Dictionaries of a family in CODED, 7 features each, random weights in float64."""
    base, kinds = CODED[family]
    width = tiny(base)[1].size.width
    return {site: dictionary(kind, width, seed) for seed, (site, kind) in enumerate(kinds.items())}


def dictionary(kind: str, width: int, seed: int, features: int = 7) -> Dictionary:
    """A random dictionary: a name of an activation (centred), `transcoder` or `transcoder_skip`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return 0.5 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    read = "jumprelu" if kind.startswith("transcoder") else kind
    return Dictionary(
        read,
        *(draw(width, features), draw(features), draw(features, width), draw(width)),
        centred=read == kind,
        transcoder=read != kind,
        threshold=draw(features).abs() if read == "jumprelu" else None,
        k=3 if read == "topk" else None,
        skip=draw(width, width) if kind.endswith("skip") else None,
        gate=(draw(features), 1 + draw(features)) if read == "gated" else None,
    )


def _families(kinds: Iterable[str]) -> pytest.MarkDecorator:
    slow = pytest.mark.slow
    marked = [kind if kind in LEADING else pytest.param(kind, marks=slow) for kind in kinds]
    return pytest.mark.parametrize("family", marked)


each_family = _families((*LEADING, *OTHERS))
each_family_without_post_norms = _families(k for k in KINDS if not k.startswith("gemma"))
every_family = pytest.mark.parametrize("family", sorted(KINDS))
_folders = []  # removed when the interpreter ends


@functools.cache
def tiny(family: str) -> tuple[Path, Transformer]:
    """A checkpoint of a family and the engine's float64 model of it, made once; read only."""
    if family in CODED:
        folder, model = tiny(CODED[family][0])
        return folder, transformer.with_dictionaries(model, dictionaries(family))
    _folders.append(tempfile.TemporaryDirectory())
    folder = KINDS[family](Path(_folders[-1].name))
    return folder, transformer.load(folder, torch.float64)


def prompt_lists(n: int, seed: int = 0, shortest: int = 4, longest: int = 7) -> tuple[list, ...]:
    """Random pairs of ids: clean, corrupted (equal lengths in a pair), right, wrong (uneven)."""
    rng = np.random.default_rng(seed)
    clean, corrupted, right, wrong = [], [], [], []
    for _ in range(n):
        length = int(rng.integers(shortest, longest + 1))
        clean.append(rng.integers(0, VOCABULARY, length).tolist())
        corrupted.append(rng.integers(0, VOCABULARY, length).tolist())
        answers = rng.permutation(VOCABULARY)[: int(rng.integers(2, 6))].tolist()
        right.append(answers[:1])
        wrong.append(answers[1:])
    return clean, corrupted, right, wrong


def part_graphs(model, seed: int = 0) -> dict[str, PartGraph]:
    """A graph of every kind; `rois` mixes heads at random and has ungrouped and dead features.

    `rois_qkv` are the same parts, those of attention with three inputs.
    `top_features` are a third of the features of each site but the first, which is one `.rest`.
    """
    counts, beside = model.layout["features"], model.layout["beside"]
    rng = np.random.default_rng(seed)
    labels = {site: rng.integers(-2, 3, count) for site, count in counts.items()}
    features = parts.singletons(counts, model.sites, beside)
    later = [name for name in features.names if not name.startswith("a0")]
    rois = parts.labelled(labels, model.sites, beside)
    graphs = {
        "modules": parts.modules(counts, model.sites, beside),
        "heads": parts.heads(counts, model.sites, model.size.head_width, beside),
        "rois": rois,
        "rois_qkv": parts.with_slots(rois),
        "features": features,
        "top_features": parts.chosen_features(counts, model.sites, later[::3], beside),
    }
    return {kind: parts.with_parallel(graph, model.size.parallel) for kind, graph in graphs.items()}
