"""Tokenizers of every style, trained here on a small text: byte-level, NeoX, sentencepiece."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from connectome.starter import words

# each word often enough to become one token; each year once, its century and its end often
_LISTED = (*words.NAMES, *words.REPEATED, *(form for pair in words.NOUNS for form in pair))
_VERBS = tuple(form for pair in words.VERBS for form in pair)
_OTHERS = ("the", "When", "and", "The", "Now", "she", "he", "It", "was", "late", "Words:", "dog")
_ENDS = (*(f"({year})" for year in words.YEARS), *(words.CENTURIES * 5))
TEXT = [
    " ".join([*_LISTED, *_VERBS, *_OTHERS, *_ENDS, *(f"{c}{year}" for c in words.CENTURIES)])
    for year in words.YEARS
]


def gpt2(vocabulary: int = 4000) -> Tokenizer:
    """Byte-level BPE as GPT-2's: no start token, no blank before the text, digits free."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained(
        made, trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, min_frequency=2)
    )


def neox() -> Tokenizer:
    """Byte-level BPE as GPT-NeoX's: NFC before it, special tokens behind it, blanks as tokens."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        initial_alphabet=alphabet,
        min_frequency=2,
        special_tokens=["<|endoftext|>", "<|padding|>"],
    )
    made = _trained(made, trainer)
    made.add_tokens(["  ", "    "])
    return made


def llama() -> Tokenizer:
    """Sentencepiece-style BPE: a mark for blanks, one before the text, each digit by itself."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Metaspace()]
    )
    made.decoder = decoders.Sequence([decoders.Metaspace(), decoders.ByteFallback()])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    return _trained(made, trainers.BpeTrainer(vocab_size=4000, special_tokens=special))


def unigram() -> Tokenizer:
    """Sentencepiece-style unigram model, whose pieces are chosen by likelihood."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=1600, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    return _trained(made, trainer)


STYLES = {"gpt2": (gpt2, None), "neox": (neox, "<|endoftext|>"), "llama": (llama, "<s>"),
          "unigram": (unigram, None)}  # fmt: skip


def _trained(made: Tokenizer, trainer: trainers.Trainer) -> Tokenizer:
    trainer.show_progress = False
    made.train_from_iterator(TEXT, trainer)
    return made


def save(made: Tokenizer, start: str | None, folder: Path) -> Path:
    """tokenizer.json and the setting that names the start token."""
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": start}))
    return folder
