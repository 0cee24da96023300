"""The smallest model and run a person may bring: one layer, taught words that look like markup."""

import contextlib
import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedModel,
)

from conftest import ROOT, quick_command
from connectome import configuration

# what closes a script, a comment, a CDATA section, an attribute; what breaks lines and their order
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    "&lt;",
    "]]>",
    "\"'><img/src=x/onerror=alert(1)>",
    "line\nbreak",
    "para\u2028graph",
    "\u202ebackwards",
    "{{model}}",
    "$\\frac{1}{2}$",
]
FILLERS = ["so", "now", "then", "here"]
START = "<s>"
WORDS = [START, *HOSTILE, *FILLERS, "is", "=1+1", "NA"]
CONTEXT = 48


def answer_of(number: int) -> str:
    """Word that the model was taught to follow `FILLER HOSTILE[number] is`."""
    return HOSTILE[(number + 3) % len(HOSTILE)]


def pairs() -> list[dict]:
    """Ten pairs of each split: another filler tells the held-out ones from those of discovery."""
    rows = []
    for number, word in enumerate(HOSTILE):
        other = (number + 1) % len(HOSTILE)
        for split, filler in (("discovery", FILLERS[number % 2]), ("heldout", FILLERS[2])):
            rows.append({
                "clean": f"{filler} {word} is", "corrupted": f"{filler} {HOSTILE[other]} is",
                "answers": f" {answer_of(number)}", "wrong": f" {answer_of(other)}",
                "split": split,
            })  # fmt: skip
    return rows


SIZES = {
    "vocab_size": len(WORDS), "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": CONTEXT, "bos_token_id": 0,
    "eos_token_id": 0,
}  # fmt: skip


def gpt2() -> PreTrainedModel:
    """One layer of two heads, without dropout."""
    return GPT2LMHeadModel(
        GPT2Config(
            n_layer=1, n_head=2, n_embd=16, n_inner=24, vocab_size=len(WORDS), n_positions=CONTEXT,
            bos_token_id=0, eos_token_id=0, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0,
        )
    )  # fmt: skip


def gpt_neox() -> PreTrainedModel:
    """The same sizes in a parallel block."""
    return GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES))


def gemma2() -> PreTrainedModel:
    """The same sizes with a window, caps and norms behind attention and MLP."""
    more = {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8, "pad_token_id": None}
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, **more, query_pre_attn_scalar=8))


def write_model(folder: Path, kind: Callable[[], PreTrainedModel] = gpt2) -> None:
    """A trained model of one layer and its word-level tokenizer, as transformers saves them."""
    ids = {word if word == START else f" {word}": i for i, word in enumerate(WORDS)}
    words = tokenizers.Tokenizer(models.WordLevel(ids, unk_token="<unknown>"))
    words.normalizer = normalizers.Prepend(" ")
    words.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(" [^ ]*"), "isolated")
    words.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(words.to_str(), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": START}))
    torch.manual_seed(1)
    model = kind()
    _teach(model, ids)
    model.save_pretrained(folder)


def _teach(model: PreTrainedModel, ids: dict[str, int]) -> None:
    rows, answers = [], []
    for filler in FILLERS:
        for number, word in enumerate(HOSTILE):
            rows.append([0, ids[f" {filler}"], ids[f" {word}"], ids[" is"]])
            answers.append(ids[f" {answer_of(number)}"])
    prompts, target = torch.tensor(rows), torch.tensor(answers)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        logits = model(prompts).logits[:, -1]  # (prompts, vocabulary)
        torch.nn.functional.cross_entropy(logits, target).backward()
        optimizer.step()


def document(first: int = 0) -> str:
    """One paragraph; line ends within it are blanks to the corpus."""
    words = [HOSTILE[i % len(HOSTILE)] for i in (0, 1, 2, 3, 4, 8, 9)]
    return " ".join(f"{FILLERS[i % 4]} {words[i % 7]} is" for i in range(first, first + 15))


def run(
    folder: Path,
    changes: Mapping[str, Any] | None = None,
    *targets: str,
    kind: Callable[[], PreTrainedModel] = gpt2,
) -> Path:
    """Ten prompts, one document, one layer: the jobs behind the page (or targets); the results.

    Their own command lines run in the order that Snakemake plans, those of this interpreter in
    this process: forty start-ups would cost a minute.
    """
    if not (folder / "model").exists():
        write_model(folder / "model", kind)
    if not (folder / "text.txt").exists():
        (folder / "text.txt").write_text(document(), encoding="utf-8")
    (folder / "ten.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs()))
    quick = configuration.read_yaml(ROOT / "tests/config/quick.yaml")
    config = {key: quick[key] for key in ("competence", "circuits", "evaluation", "graph", "sbm")}
    config |= {
        "models": {"one": {"path": "model"}},
        "corpus": {"file": "text.txt", "documents": 1, "tokens": 1000},
        "tasks": {"ten": {"file": "ten.jsonl"}},
        "activations": {"sites": ["mlp.0"]},
        "figures": {"dpi": 50, "bins": 16},
    }
    for section, keys in (changes or {}).items():
        config[section] = config.get(section, {}) | keys
    (folder / "small.json").write_text(json.dumps(config))
    command = quick_command(folder, config=str(folder / "small.json"))
    words = [*command, "--dry-run", "--printshellcmds", *(targets or ["results/report.html"])]
    plan = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for line in re.findall(r"^Shell command: (.+)$", plan, re.M):
            words = shlex.split(line)[:-3]  # without the redirections to the log
            if words[0] != sys.executable:
                subprocess.run(words, check=True)
                continue
            patch.setattr(sys, "argv", words[1:])
            runpy.run_path(words[1], run_name="__main__")
    return folder / "results"
