"""Tiny random checkpoints, written by transformers' own classes."""

from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM


def gpt2(folder: Path, **changes) -> Path:
    """Two layers, two heads of width 4, 12 hidden units, 23 tokens; float64, no zero biases."""
    settings = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_inner": 12, "vocab_size": 23}
    config = GPT2Config(**{**settings, "n_positions": 24, "initializer_range": 0.4, **changes})
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
            "vocab_size": 23,
            "max_position_embeddings": 24,
            "initializer_range": 0.4,
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


NORM_GAINS = ("ln_1.weight", "ln_2.weight", "ln_f.weight", "layernorm.weight", "norm.weight")
KINDS = {"gpt2": gpt2, "llama": llama}
