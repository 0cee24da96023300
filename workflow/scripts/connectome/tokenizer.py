"""Tokenizers: the word-level one of the micro-language, and any `tokenizer.json`, read.

Reading uses the `tokenizers` library alone. Roles of tokens come from place, never from ids: one
token may be start, end and padding at once, and only the first place of a document makes it the
start.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from connectome.command import atomic
from connectome.errors import DataError, ModelError

START = "<|endoftext|>"  # start, end and padding of the micro-language
START_ID = 0


@dataclass(frozen=True)
class Tokenizer:
    """A loaded tokenizer and the token that opens every document (None where a model has none)."""

    backend: tokenizers.Tokenizer
    start: int | None

    @property
    def size(self) -> int:
        """Number of tokens, added ones included."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    @property
    def reach(self) -> int:
        """Number of ids that a model must embed: up to the largest of a token of ordinary text.

        Special tokens may lie beyond it (marks of images in the tokenizers of text models).
        """
        added = self.backend.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special} - {self.start}
        every = self.backend.get_vocab(with_added_tokens=True).values()
        return 1 + max((number for number in every if number not in special), default=-1)

    @functools.cached_property
    def unknown(self) -> int | None:
        """The token that stands for what has none; None where everything has one."""
        if isinstance(self.backend.model, models.Unigram):  # it has a number and keeps it to itself
            return json.loads(self.backend.to_str())["model"]["unk_id"]
        token = getattr(self.backend.model, "unk_token", None)
        return None if token is None else self.backend.token_to_id(token)


def build(words: Sequence[str], pattern: str) -> tokenizers.Tokenizer:
    """Word-level tokenizer whose tokens are the start token and then `words`, in this order.

    `pattern` is the regular expression of one token; it covers every character of a text.
    A blank is put before the text, so that its first word is the same token as anywhere else;
    decoding takes it away again. There is no unknown token: an unknown word is an error.
    """
    vocabulary = {token: number for number, token in enumerate((START, *words))}
    result = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<|unknown|>"))
    result.normalizer = normalizers.Prepend(" ")
    result.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated")
    result.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", pair=f"{START} $A $B", special_tokens=[(START, START_ID)]
    )
    result.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    result.add_special_tokens([START])
    return result


def save(backend: tokenizers.Tokenizer, directory: Path, context: int) -> None:
    """Write tokenizer.json and tokenizer_config.json as transformers reads them."""
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": START,
        "eos_token": START,
        "pad_token": START,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
    }
    with atomic(directory / "tokenizer.json") as temporary:
        temporary.write_text(backend.to_str(pretty=True) + "\n", encoding="utf-8")
    with atomic(directory / "tokenizer_config.json") as temporary:
        temporary.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def load(directory: Path) -> Tokenizer:
    """The tokenizer of a model directory, with its start token.

    The start token is `bos_token` of tokenizer_config.json where that key stands (null: none),
    else `bos_token_id` of generation_config.json or config.json.
    Raises ModelError where tokenizer.json is missing or damaged, or the start token is unknown.
    """
    path = Path(directory) / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{path} is missing; save the tokenizer with transformers to get it")
    try:
        backend = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"{path}: not a readable tokenizer ({error})") from error
    backend.no_truncation()
    backend.no_padding()
    return Tokenizer(backend, _start(Path(directory), backend))


def _start(directory: Path, backend: tokenizers.Tokenizer) -> int | None:
    settings = _settings(directory / "tokenizer_config.json")
    if "bos_token" in settings:
        token = settings["bos_token"]
        if isinstance(token, dict):  # an AddedToken written out
            token = token.get("content")
        if token is None:
            return None
        number = backend.token_to_id(token)
        if number is None:
            raise ModelError(
                f"{directory / 'tokenizer_config.json'}: bos_token {token!r} is no token of "
                "tokenizer.json"
            )
        return number
    for name in ("generation_config.json", "config.json"):
        number = _settings(directory / name).get("bos_token_id")
        if number is not None:
            return int(number)
    return None


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: not a readable JSON file ({error})") from error


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text, without start token.

    Raises DataError naming the first word that has no token.
    """
    try:
        encoding = tokenizer.backend.encode(text, add_special_tokens=False)
    except Exception as error:  # a word-level model without unknown token raises bare Exception
        raise DataError(_unknown(_missing_word(tokenizer.backend, text), text)) from error
    unknown = tokenizer.unknown
    if unknown is not None and unknown in encoding.ids:
        begin, end = encoding.offsets[encoding.ids.index(unknown)]
        if text[begin:end] != tokenizer.backend.id_to_token(unknown):
            raise DataError(_unknown(text[begin:end], text))
    return encoding.ids


def _unknown(word: str, text: str) -> str:
    return f"{word!r} is outside the vocabulary of the model (in {text!r})"


def _missing_word(backend: tokenizers.Tokenizer, text: str) -> str:
    pieces = backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
    missing = next((name for name, _ in pieces if backend.token_to_id(name) is None), text)
    return missing.strip() or missing


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a prompt, the start token first where the model has one."""
    start = [] if tokenizer.start is None else [tokenizer.start]
    return start + encode(tokenizer, text)


def answer_ids(tokenizer: Tokenizer, prompt: str, answer: str) -> list[int]:
    """The one token that `answer` adds behind `prompt`: ids(prompt + answer) minus ids(prompt).

    Raises DataError where that is not exactly one token, saying why and what would be right.
    """
    if not answer:
        raise DataError(f"the answer after {prompt!r} is empty; an answer is one token of text")
    before = encode(tokenizer, prompt)
    try:
        both = encode(tokenizer, prompt + answer)
    except DataError as error:
        raise DataError(
            f"answer {answer!r}: {error}{_blank_hint(tokenizer, prompt, answer)}"
        ) from error
    if both[: len(before)] != before:
        raise DataError(
            f"answer {answer!r} changes the tokens of the prompt {prompt!r} that it is glued to"
            + _blank_hint(tokenizer, prompt, answer)
        )
    added = both[len(before) :]
    if len(added) != 1:
        pieces = [str(tokenizer.backend.id_to_token(number)) for number in added]
        raise DataError(
            f"answer {answer!r} after {prompt!r} is {len(added)} tokens ({' '.join(pieces)}); "
            f"an answer is exactly one token{_blank_hint(tokenizer, prompt, answer)}"
        )
    return added


def word_fault(tokenizer: Tokenizer, prompt: str, word: str) -> str | None:
    """In a few words why `word` (its blank included) is not one token behind `prompt`."""
    try:
        before, both = encode(tokenizer, prompt), encode(tokenizer, prompt + word)
    except DataError:
        return "outside the vocabulary"
    if both[: len(before)] != before:
        return "merged with the text before"
    return None if len(both) == len(before) + 1 else "more than one token"


def _blank_hint(tokenizer: Tokenizer, prompt: str, answer: str) -> str:
    """What would be right, where a leading blank makes the answer one token."""
    if answer[:1].isspace():
        return ""
    try:
        answer_ids(tokenizer, prompt, f" {answer}")
    except DataError:
        return ""
    return f"; {' ' + answer!r} with a leading blank is one"


def piece(tokenizer: Tokenizer, number: int) -> str:
    """Text of one token as it reads within a text, its leading blank included."""
    # decoders drop the blank at the start of a text, so the token is read behind itself
    alone = tokenizer.backend.decode([number], skip_special_tokens=False)
    both = tokenizer.backend.decode([number, number], skip_special_tokens=False)
    return both[len(alone) :]
