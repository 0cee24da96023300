"""The engine's forward pass is the model's: against transformers and against plain formulas."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.models.gemma2 import modeling_gemma2
from transformers.models.gemma3 import modeling_gemma3
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3

import slow_engine
import tiny_models
from connectome import prompts, transformer, wiring
from connectome.errors import DataError
from connectome.transformer import Batch
from tiny_models import each_family, every_family, tiny

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
CHANGES = [
    ("gpt2", {}),
    ("gpt2", {"tie_word_embeddings": False, "activation_function": "relu"}),
    ("gpt2", {"activation_function": "gelu", "n_inner": None}),
    ("llama", {}),
    ("llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    ("llama", {"num_key_value_heads": 4, "head_dim": 6, "hidden_act": "gelu"}),
    ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}}),
    ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0}}),
    ("llama", {"head_dim": 12, "rope_parameters": {"rope_theta": 300.0, **LLAMA3}}),
    ("gpt_neox", {}),
    ("gpt_neox", {"use_parallel_residual": False, "rotary_pct": 1.0}),
    ("gpt_neox", {"hidden_act": "gelu_fast", "attention_bias": False}),
    ("gpt_neox", {"hidden_act": "gelu_new", "tie_word_embeddings": True}),
    ("mistral", {}),
    ("mistral", {"sliding_window": None, "head_dim": 6}),
    ("qwen2", {}),
    ("qwen2", {"use_sliding_window": False, "tie_word_embeddings": True}),
    ("qwen3", {}),
    ("qwen3", {"attention_bias": True, "layer_types": ["sliding_attention", "full_attention"]}),
    ("gemma2", {}),
    ("gemma2", {"attn_logit_softcapping": None, "final_logit_softcapping": None}),
    ("gemma2", {"tie_word_embeddings": False, "hidden_activation": "silu"}),
    ("gemma3_text", {}),
    ("gemma3_text", {"layer_types": None, "final_logit_softcapping": 2.0}),
]


NORMS = {
    modeling_llama.LlamaRMSNorm: False,
    modeling_mistral.MistralRMSNorm: False,
    modeling_qwen2.Qwen2RMSNorm: False,
    modeling_qwen3.Qwen3RMSNorm: False,
    modeling_gemma2.Gemma2RMSNorm: True,
    modeling_gemma3.Gemma3RMSNorm: True,
}


@pytest.fixture
def exact(monkeypatch):
    """transformers takes norms and softmax in float32 whatever the weights; 1e-10 needs more."""

    def norm_of(one_more):
        def norm(self, x):
            eps = self.eps if one_more else self.variance_epsilon
            gain = 1 + self.weight if one_more else self.weight
            return gain * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)

        return norm

    for kind, one_more in NORMS.items():
        monkeypatch.setattr(kind, "forward", norm_of(one_more))
    softmax = torch.nn.functional.softmax
    monkeypatch.setattr(
        torch.nn.functional, "softmax", lambda x, dim, dtype=None: softmax(x, dim=dim)
    )


def all_logits(model, batch: Batch) -> torch.Tensor:
    return transformer.unembed(model, transformer.forward(model, batch).streams[-1])


@pytest.mark.parametrize(("kind", "changes"), CHANGES)
@pytest.mark.parametrize("pad_left", [False, True])
def test_logits_equal_those_of_transformers(tmp_path, exact, kind, changes, pad_left):
    folder = tiny_models.KINDS[kind](tmp_path, **changes)
    model = transformer.load(folder, torch.float64)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    rows = tiny_models.prompt_lists(5)[0]
    batch = Batch.of(rows, pad_left)
    ours = all_logits(model, batch)
    for row, ids in enumerate(rows):
        with torch.no_grad():
            expected = theirs(torch.tensor([ids])).logits[0]
        found = ours[row, batch.starts[row] : batch.starts[row] + len(ids)]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    answers = transformer.logits_at_answer(model, transformer.forward(model, batch))
    at_last = ours[torch.arange(len(rows)), batch.last]
    torch.testing.assert_close(answers, at_last, rtol=0, atol=1e-12)


def test_a_gain_of_zero_behind_a_module_leaves_its_scale_alone(tmp_path, exact):
    """1 + weight = 0 in two places: the sum is as long as before, though less of it is written."""
    folder = tiny_models.gemma2(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    for name in ("attention", "feedforward"):
        tensors[f"model.layers.0.post_{name}_layernorm.weight"][2:4] = -1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    model = transformer.load(folder, torch.float64)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    ids = [3, 1, 4, 1, 5]
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits
    torch.testing.assert_close(all_logits(model, Batch.of([ids])), expected, rtol=0, atol=1e-10)


@each_family
def test_float32_logits_are_close_to_float64(family):
    folder, model = tiny(family)
    rows = tiny_models.prompt_lists(5)[0]
    single = transformer.load(folder)
    assert single.embedding.dtype == torch.float32
    found, expected = (all_logits(m, Batch.of(rows)) for m in (single, model))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)


@every_family
def test_slow_engine_equals_transformers(family, exact):
    folder, _ = tiny(family)
    slow = slow_engine.slow_model(family)
    graph = tiny_models.part_graphs(transformer.load(folder))["modules"]
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    ids = tiny_models.prompt_lists(1)[0][0]
    found, _ = slow_engine.run(slow, graph, graph.exists, ids, [torch.zeros(1)] * graph.writers)
    with torch.no_grad():
        torch.testing.assert_close(found, theirs(torch.tensor([ids])).logits[0, -1])


@each_family
def test_masks_come_from_places_never_from_ids(family):
    """Token 0 starts, ends and pads; alone, batched, padded on either side: the same."""
    _, model = tiny(family)
    rows = [[0, *ids, 0] for ids in tiny_models.prompt_lists(4, longest=15, shortest=6)[0]]
    alone = [transformer.forward(model, Batch.of([ids])) for ids in rows]
    for pad_left in (False, True):
        batch = Batch.of(rows, pad_left)
        noise = torch.randint(tiny_models.VOCABULARY, batch.ids.shape)
        for ids in (batch.ids, torch.where(batch.real, batch.ids, noise)):
            trace = transformer.forward(model, Batch(ids, batch.starts, batch.lengths))
            for row, one in enumerate(alone):
                real = slice(batch.starts[row], batch.starts[row] + batch.lengths[row])
                for site in model.sites:
                    torch.testing.assert_close(
                        transformer.features_of(trace, site)[row, real],
                        transformer.features_of(one, site)[0],
                        rtol=0,
                        atol=1e-12,
                    )
                torch.testing.assert_close(
                    transformer.logits_at_answer(model, trace)[row],
                    transformer.logits_at_answer(model, one)[0],
                    rtol=0,
                    atol=1e-12,
                )


@each_family
@pytest.mark.parametrize("kind", ["modules", "heads", "rois"])
def test_parts_and_constant_sum_to_the_module_output(family, kind):
    """And each part against its formula on the checkpoint's own tensors."""
    folder, model = tiny(family)
    slow = slow_engine.slow_model(family)
    graph = tiny_models.part_graphs(model)[kind]
    rows = tiny_models.prompt_lists(3)[0]
    trace = transformer.forward(model, Batch.of(rows))
    wired = wiring.wiring(model, graph)
    for number, site in enumerate(model.sites):
        features = transformer.shares_of(trace, site)
        written = wiring.write(model, site, wired[site], features)  # (p, n, t, d)
        output = trace.streams[number + 1] - trace.streams[number]
        whole = written.sum(0) + model.module(site).constant
        torch.testing.assert_close(whole, output, rtol=0, atol=1e-10)
        for row, ids in enumerate(rows):
            x = trace.streams[model.reads(site)][row, : len(ids)]
            nodes = slow_engine.nodes_of(graph, site)
            added = [slow.part(site, slow_engine.members(graph, node)[1], x) for node in nodes]
            found = written[:, row, : len(ids)]
            expected = torch.stack(slow.shares(site, added))
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@each_family
def test_value_directions_are_singular_directions(family):
    """Descending singular values, orthonormal writing rows with their largest entry positive."""
    folder, model = tiny(family)
    slow = slow_engine.slow_model(family)
    for layer in range(model.size.layers):
        block = model.module(f"attn.{layer}")
        for head in range(model.size.heads):
            rows, reading = block.output[head], block.value[head].T
            strength = reading.norm(dim=0)
            assert (strength[:-1] >= strength[1:]).all()
            scaled = reading / strength
            torch.testing.assert_close(scaled.T @ scaled, torch.eye(len(strength)).double())
            assert (rows.gather(1, rows.abs().argmax(1, keepdim=True)) > 0).all()
            expected = slow.directions(layer, head)
            cosine = (rows * expected).sum(1).abs()
            torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_pretrained_model_agrees_with_transformers(shared_data, exact):
    folder = shared_data / "stories260k"
    model = transformer.load(folder, torch.float64)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    rng = np.random.default_rng(0)
    rows = [[1, *rng.integers(3, 512, length).tolist()] for length in (3, 40, 17)]
    batch = Batch.of(rows, pad_left=True)
    ours = transformer.logits_at_answer(model, transformer.forward(model, batch))
    for row, ids in enumerate(rows):
        with torch.no_grad():
            expected = theirs(torch.tensor([ids])).logits[0, -1]
        torch.testing.assert_close(ours[row], expected, rtol=0, atol=1e-10)


@each_family
def test_prompts_that_do_not_fit_the_model_are_refused(family):
    _, model = tiny(family)
    with pytest.raises(DataError, match="25 tokens.*context of 24"):
        transformer.forward(model, Batch.of([[1] * 25]))
    for token in (-1, tiny_models.VOCABULARY):
        with pytest.raises(DataError, match=f"token id {token} .* 0 to 22"):
            transformer.forward(model, Batch.of([[1, token]]))


@each_family
def test_padding_is_not_held_to_the_vocabulary(family):
    _, model = tiny(family)
    batch = Batch.of([[1, 2, 3], [4]])
    ids = torch.where(batch.real, batch.ids, 10**6)
    found = transformer.forward(model, Batch(ids, batch.starts, batch.lengths))
    expected = transformer.forward(model, batch)
    assert torch.equal(found.streams[-1][batch.real], expected.streams[-1][batch.real])


def test_pairs_are_checked():
    with pytest.raises(DataError, match="pair 1: .* 2 and 3 tokens"):
        prompts.of_lists([[1], [1, 2]], [[1], [1, 2, 3]], [[1], [1]], [[2], [2]])
    with pytest.raises(DataError, match="pair 0: there is no right"):
        prompts.of_lists([[1]], [[1]], [[]], [[2]])
