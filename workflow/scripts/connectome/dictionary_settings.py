"""Settings of a dictionary's training, checked before anything runs; standard library alone."""

import math
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from connectome.errors import ConfigError, did_you_mean

WARMUP_SHARE, WARMUP_STEPS = 0.05, 1000  # of the rate, whichever is less
DECAY_SHARE = 0.2  # last part of the steps, in which the rate falls to 0
DEAD_TOKENS = 10_000_000  # without firing, or a tenth of all tokens where that is less


def architectures() -> list[str]:
    """Kinds of dictionaries that can be trained."""
    # by their files: to know the names is not to depend on what they compute
    folder = str(Path(__file__).with_name("dictionary_kinds"))
    return sorted(module.name for module in pkgutil.iter_modules([folder]))


@dataclass(frozen=True)
class DictionarySettings:
    """Settings of one training; see config/config.yaml for what each means."""

    architecture: str
    transcoder: bool
    skip: bool
    features: int
    k: int
    sparsity: float
    widths: tuple[int, ...]  # of the nested prefixes of matryoshka, the last one all features
    tokens: int
    batch_tokens: int
    learning_rate: float | None
    checkpoint_every_s: float
    seed: int

    @classmethod
    def from_dict(cls, train: Mapping[str, Any], seed: int) -> "DictionarySettings":
        """Settings of the section `train`. Raises ConfigError naming the key that cannot be."""
        known = {field.name for field in fields(cls)} - {"seed"}
        for title, names in (("lacks", known - set(train)), ("has unknown", set(train) - known)):
            if names:
                raise ConfigError(f"dictionary training {title} {', '.join(sorted(names))}")
        widths = tuple(train["widths"] or ())
        if train["architecture"] == "matryoshka" and not widths:
            widths = default_widths(train["features"])
        settings = cls(**{**train, "widths": widths}, seed=seed)
        settings._check()
        return settings

    def _check(self) -> None:
        known = architectures()
        if self.architecture not in known:
            raise ConfigError(
                f"dictionary architecture {self.architecture!r} is not known; "
                f"{did_you_mean(self.architecture, known)}"
            )
        if self.architecture == "topk" and self.transcoder:
            raise ConfigError(
                "a dictionary of architecture topk cannot be a transcoder: the layout of the files "
                "(SAELens) has none; batchtopk can, and is written as jumprelu_transcoder"
            )
        if self.skip and not self.transcoder:
            raise ConfigError("skip is true, but only a transcoder can have a skip path")
        if self.k > self.features:
            raise ConfigError(f"k is {self.k}, but a dictionary has {self.features} features")
        if self.widths and self.architecture != "matryoshka":
            raise ConfigError(f"widths are of matryoshka; a {self.architecture} has none")
        rising = all(a < b for a, b in zip((0, *self.widths), self.widths, strict=False))
        if self.widths and not (rising and self.widths[-1] == self.features):
            raise ConfigError(
                f"widths {list(self.widths)} must rise and end with the number of features "
                f"({self.features})"
            )

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return max(1, self.tokens // self.batch_tokens)

    @property
    def warmup(self) -> int:
        """Steps in which the rate rises."""
        return int(min(WARMUP_STEPS, WARMUP_SHARE * self.steps))

    @property
    def patience(self) -> int:
        """Tokens without firing after which a feature counts as dead."""
        return min(DEAD_TOKENS, self.steps * self.batch_tokens // 10)

    def rate(self, step: int, peak: float) -> float:
        """Learning rate of a step (counted from 1): a linear rise, a plateau, a linear fall."""
        fall = math.ceil(DECAY_SHARE * self.steps)
        rise = step / self.warmup if self.warmup else 1.0
        return peak * min(1.0, rise, (self.steps - step + 1) / fall)


def default_widths(features: int) -> tuple[int, ...]:
    """Prefixes of an eighth, a half and all of the features."""
    return tuple(sorted({max(1, features // 8), max(1, features // 2), features}))
