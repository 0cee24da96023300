"""Cost of a training step of each kind of dictionary, CPU time, one thread, interleaved rounds.

Run by the main interpreter: python benchmarks/dictionaries.py
d 256, 2,048 features, k 32, 4,096 tokens a step, Adam, clipping, counts of what fired; reading is
left out. The yardstick is a plain TopK loop written here (1.00): dense features scattered into a
matrix of zeros, autograd, nothing folded. Ratios are those of medians. Of relu and jumprelu, which
start with every second feature firing and end near k, both ends are measured.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from connectome import dictionary_training as training  # noqa: E402
from connectome import resumption  # noqa: E402
from connectome.dictionary_settings import DictionarySettings  # noqa: E402
from connectome.dictionary_weights import Run, initial, parameters  # noqa: E402

WIDTH, FEATURES, K, TOKENS = 256, 2048, 32, 4096
SETTINGS = {
    "transcoder": False,
    "skip": False,
    "features": FEATURES,
    "k": K,
    "sparsity": 1e-6,  # how many fire stays as it is
    "widths": None,
    "tokens": 10**9,
    "batch_tokens": TOKENS,
    "learning_rate": 1e-4,
    "checkpoint_every_s": 60,
}
OURS = {
    "topk": ("topk", False),
    "batchtopk": ("batchtopk", False),
    "matryoshka 256/1024/2048": ("matryoshka", False),
    "jumprelu, k fire": ("jumprelu", True),
    "relu, k fire": ("relu", True),
    "jumprelu, half fire": ("jumprelu", False),
    "relu, half fire": ("relu", False),
}


def plain(x: torch.Tensor, flat: bool) -> Callable[[], None]:
    """A step of a TopK loop as one would write it down; BatchTopK where it is flat."""
    values = initial(x.numpy(), x.numpy(), settings_of("topk"), False)
    weights = {n: torch.from_numpy(v.copy()).requires_grad_() for n, v in values.items()}
    decoder, bias = weights["decoder"], weights["decoder_bias"]
    optimizer = torch.optim.Adam(weights.values(), lr=1e-4, fused=True)
    since = torch.zeros(FEATURES, dtype=torch.int64)

    def step() -> None:
        h = (x - bias) @ weights["encoder"].T + weights["encoder_bias"]  # (N, F)
        if flat:
            top, places = h.relu().flatten().topk(K * TOKENS, sorted=False)
            f = torch.zeros(TOKENS * FEATURES).scatter(0, places, top).view(TOKENS, FEATURES)
        else:
            top, places = h.topk(K, dim=1, sorted=False)
            f = torch.zeros_like(h).scatter(1, places, top.relu())
        loss = (x - f @ decoder - bias).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            decoder.grad -= (decoder.grad * decoder).sum(1, keepdim=True) * decoder
            torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
            optimizer.step()
            decoder.div_(decoder.norm(dim=1, keepdim=True))
            since.add_(TOKENS)[(f > 0).any(0)] = 0

    return step


def settings_of(architecture: str) -> DictionarySettings:
    return DictionarySettings.from_dict({**SETTINGS, "architecture": architecture}, seed=1)


def ours(x: torch.Tensor, architecture: str, sparse: bool) -> Callable[[], None]:
    """A step of the loop of the library; `sparse` starts with k features per token firing."""
    settings = settings_of(architecture)
    kind = training.kind_of(architecture)
    values = initial(x.numpy(), x.numpy(), settings, kind.THRESHOLD == "learnt")
    if sparse:
        h = (x - torch.from_numpy(values["decoder_bias"])) @ torch.from_numpy(values["encoder"]).T
        level = float(h.flatten().kthvalue(h.numel() - K * TOKENS).values)
        if kind.THRESHOLD == "learnt":
            values["threshold"][:] = level
        else:
            values["encoder_bias"] -= np.float32(level)
    weights = parameters(values, torch.device("cpu"))
    optimizer = training.optimizer_of(weights, kind.FIRST_BETA)
    run = Run(torch.zeros(FEATURES, dtype=torch.int64), TOKENS, step=2000)

    def step() -> None:
        run.step += 1
        loss = training.batch_loss(weights, x, x, run, settings)
        training.advance(optimizer, weights, loss, 1e-4)
        training.follow(run, loss, settings, kind.THRESHOLD == "tracked")

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(TOKENS, WIDTH, generator=generator) * WIDTH**-0.5
    loops = {"plain TopK": plain(x, False), "plain BatchTopK": plain(x, True)}
    loops |= {name: ours(x, *which) for name, which in OURS.items()}
    taken: dict[str, list[float]] = {name: [] for name in loops}
    with resumption.reproducible():
        for _ in range(rounds + 1):
            for name, step in loops.items():
                start = time.process_time()
                step()
                taken[name].append(time.process_time() - start)
    middle = {name: float(np.median(times[1:])) for name, times in taken.items()}
    print(f"{'loop':<26} {'tokens/s':>10} {'ratio':>6} {'to plain BatchTopK':>19}")
    for name, seconds in middle.items():
        one, flat = (seconds / middle[plain] for plain in ("plain TopK", "plain BatchTopK"))
        print(f"{name:<26} {TOKENS / seconds:>10,.0f} {one:>6.2f} {flat:>19.2f}")


if __name__ == "__main__":
    main()
