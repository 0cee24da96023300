"""Tiny random checkpoints, written by transformers' own classes; prompts and graphs for them."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from connectome import parts, transformer
from connectome.parts import PartGraph
from connectome.transformer import Transformer


def gpt2(folder: Path, **changes) -> Path:
    """Two layers, two heads of width 4, 12 hidden units, 23 tokens; float64, no zero biases."""
    settings = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_inner": 12, "vocab_size": VOCABULARY}
    settings |= {"n_positions": 24, "bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(**{**settings, **changes})
    return _save(GPT2LMHeadModel(config), folder)


def llama(folder: Path, **changes) -> Path:
    """Two layers, four heads over two key-value heads of width 4, gated MLP of 12 units."""
    config = LlamaConfig(
        **{
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "hidden_size": 16,
            "intermediate_size": 12,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 24,
            **changes,
        }
    )
    return _save(LlamaForCausalLM(config), folder)


def _save(model: torch.nn.Module, folder: Path) -> Path:
    generator = torch.Generator().manual_seed(3)
    model = model.double()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            scale = 0.3 if weight.ndim == 1 else 0.4
            weight.copy_(scale * noise + (1 if name.endswith(NORM_GAINS) else 0))
    model.save_pretrained(folder)
    return folder


torch.set_num_threads(1)  # threads that wait for each other cost these sizes a factor of ten
NORM_GAINS = ("ln_1.weight", "ln_2.weight", "ln_f.weight", "layernorm.weight", "norm.weight")
KINDS = {"gpt2": gpt2, "llama": llama}
VOCABULARY = 23

each_family = pytest.mark.parametrize("family", sorted(KINDS))
_folders = []  # removed when the interpreter ends


@functools.cache
def tiny(family: str) -> tuple[Path, Transformer]:
    """A checkpoint of a family and the engine's float64 model of it, made once; read only."""
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
    counts = {site: model.features(site) for site in model.sites}
    rng = np.random.default_rng(seed)
    labels = {site: rng.integers(-2, 3, count) for site, count in counts.items()}
    features = parts.singletons(counts, model.sites)
    later = [name for name in features.names if not name.startswith("a0")]
    rois = parts.labelled(labels, model.sites)
    return {
        "modules": parts.modules(counts, model.sites),
        "heads": parts.heads(counts, model.sites, model.size.head_width),
        "rois": rois,
        "rois_qkv": parts.with_slots(rois),
        "features": features,
        "top_features": parts.chosen_features(counts, model.sites, later[::3]),
    }
