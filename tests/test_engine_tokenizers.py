"""A tokenizer that is missing, knows no start or padding token, or is no match for the model."""

import json
from pathlib import Path

import pytest
import tokenizers
import torch
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from connectome import models, tokenizer, transformer
from connectome.errors import ModelError
from connectome.transformer import Batch
from test_engine_checkpoint import copied
from tiny_models import tiny


def write_tokenizer(folder: Path, words: int, special: int = 0, **settings) -> None:
    """A word-level tokenizer of `words` tokens and `special` ones with ids behind them."""
    backend = tokenizers.Tokenizer(WordLevel({f"w{i}": i for i in range(words)}, "w0"))
    backend.pre_tokenizer = Whitespace()
    backend.add_special_tokens([f"<{i}>" for i in range(special)])
    (folder / "tokenizer.json").write_text(backend.to_str())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def described(folder: Path) -> dict:
    return models.describe("m", {"path": str(folder)}, folder, folder / "model.json")


def test_a_missing_tokenizer_is_one_error(tmp_path):
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing; save the tokenizer with"):
        described(copied("gpt2", tmp_path))


def test_a_tokenizer_without_start_or_padding_token_opens_documents_with_their_first_word(tmp_path):
    """Prompts of two lengths still run as each alone: padding needs no token."""
    write_tokenizer(copied("qwen2", tmp_path), 23, bos_token=None, pad_token=None)
    record, words = described(tmp_path), tokenizer.load(tmp_path)
    assert record["start_token"] is None
    rows = [tokenizer.encode_prompt(words, text) for text in ("w3 w5 w7 w9", "w4 w6")]
    assert rows == [[3, 5, 7, 9], [4, 6]]
    model = tiny("qwen2")[1]
    together = transformer.logits_at_answer(model, transformer.forward(model, Batch.of(rows)))
    for row, ids in enumerate(rows):
        alone = transformer.logits_at_answer(model, transformer.forward(model, Batch.of([ids])))
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-12)


def test_a_vocabulary_larger_than_the_tokenizer_is_padding(tmp_path):
    write_tokenizer(copied("gpt_neox", tmp_path), 20, bos_token=None)
    record, words = described(tmp_path), tokenizer.load(tmp_path)
    assert (record["vocabulary"], words.size) == (23, 20)
    assert tokenizer.answer_ids(words, "w3", " w19") == [19]


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(tmp_path):
    write_tokenizer(copied("llama", tmp_path), 24, bos_token=None)
    with pytest.raises(ModelError, match="tokenizer has 24 tokens, but the model embeds only 23"):
        described(tmp_path)


def test_special_tokens_beyond_the_vocabulary_are_harmless_unless_they_open_documents(tmp_path):
    write_tokenizer(copied("llama", tmp_path), 23, special=2, bos_token=None)
    assert described(tmp_path)["start_token"] is None
    write_tokenizer(tmp_path, 23, special=2, bos_token="<0>")
    with pytest.raises(ModelError, match="tokenizer has 24 tokens, but the model embeds only 23"):
        described(tmp_path)
