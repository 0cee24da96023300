"""Cost of attribution and ablation runs in forward passes (F), CPU time, one thread, one run.

F is one forward pass of the body plus the unembedding at the answers, of 10 prompts of 15 tokens,
float32. Sizes: GPT-2 small with random weights, and the embedded model. Bars of the design at
GPT-2-small size: edge attribution at most 6 F and 2 GB, masked run at most 3 F, while (part, head)
pairs per layer are at most twice the heads; at width 64 the ratios are printed, not held.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from connectome import ablation, attribution, parts, prompts, transformer  # noqa: E402
from connectome.architectures import Dimensions  # noqa: E402
from connectome.blocks import Attention, Mlp  # noqa: E402
from connectome.transformer import Transformer  # noqa: E402

PROMPTS, TOKENS = 10, 15
SIZES = {
    "gpt2-small": {"layers": 12, "width": 768, "heads": 12, "hidden": 3072, "vocabulary": 50257},
    "embedded": {"layers": 3, "width": 64, "heads": 4, "hidden": 256, "vocabulary": 1200},
}


def random_model(size: dict[str, int]) -> Transformer:
    """A GPT-2 of these sizes with random weights."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return (
            torch.randn(*shape, generator=generator) * shape[-2 if len(shape) > 1 else -1] ** -0.5
        )

    d, h, f, v = size["width"], size["heads"], size["hidden"], size["vocabulary"]
    w = d // h
    blocks = tuple(
        (
            Attention(
                *(draw(h, d, w).mT.contiguous(), draw(h, w), draw(h, d, w).mT.contiguous()),
                *(draw(h, w), draw(h, d, w).mT.contiguous(), draw(h, w, d), draw(d)),
            ),
            Mlp(None, None, draw(d, f).T.contiguous(), draw(f), draw(f, d), draw(d)),
        )
        for _ in range(size["layers"])
    )
    dimensions = Dimensions(
        **size,
        kv_heads=h,
        head_width=w,
        context=64,
        activation="gelu_new",
        eps=1e-5,
        centred=True,
        rotary_base=None,
    )
    return Transformer(dimensions, draw(v, d), draw(64, d), blocks, draw(d, v), draw(v))


def mixed_parts(model: Transformer, attention: int, hidden: int) -> parts.PartGraph:
    """Parts that mix heads, each head's directions shared by two of them, and groups of units."""
    size, labels = model.size, {}
    for site in model.sites:
        count = model.features(site)
        if site.startswith("attn"):
            head = np.arange(count) // size.head_width
            second = np.arange(count) % size.head_width >= size.head_width // 2
            labels[site] = (head + second) % attention
        else:
            labels[site] = np.random.default_rng(1).integers(0, hidden, count)
    return parts.labelled(labels, model.sites)


def seconds(action: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds of an action, the first run left out."""
    action()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return float(np.median(found))


def measure(name: str, kind: str, what: str, repeats: int) -> None:
    """Print one row: seconds, ratio to F, peak memory of a process that did nothing else."""
    torch.set_num_threads(1)
    model = random_model(SIZES[name])
    generator = np.random.default_rng(1)
    ids = generator.integers(0, SIZES[name]["vocabulary"], (2, PROMPTS, TOKENS)).tolist()
    pairs = prompts.of_lists(*ids, [[1]] * PROMPTS, [[2]] * PROMPTS)
    counts = {site: model.features(site) for site in model.sites}
    graphs = {
        "heads": lambda: parts.heads(counts, model.sites, model.size.head_width),
        "rois": lambda: mixed_parts(model, *((8, 8) if name == "gpt2-small" else (4, 12))),
    }
    graph = graphs[kind]()
    graph.exists  # noqa: B018 (made once per graph in real use too)
    mask = (np.random.default_rng(1).random(graph.exists.shape) < 0.1) & graph.exists
    with torch.inference_mode():
        ablated = ablation.ablated_values(model, pairs, "counterfactual")

        def forward() -> object:
            return transformer.logits_at_answer(model, transformer.forward(model, pairs.clean))

        def attribute(method: str) -> object:
            return attribution.attribute(model, pairs, {kind: graph}, [method], "logit_difference")

        actions: dict[str, Callable[[], object]] = {
            "eap": lambda: attribute("eap"),
            "eap-ig-inputs": lambda: attribute("eap-ig-inputs"),
            "masked run": lambda: ablation.run_edges(model, pairs, graph, mask[None], ablated),
            "10 masked runs": lambda: ablation.run_edges(
                model, pairs, graph, np.repeat(mask[None], 10, 0), ablated
            ),
        }
        unit = seconds(forward, repeats)
        found = seconds(actions[what], max(1, repeats // 2))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    columns = f"{name:11} {kind:6} {graph.writers:4d} {graph.edge_count:7d}  {what:15}"
    print(f"{columns} {unit:8.4f} {found:8.4f} {found / unit:7.1f} {peak:8.0f}", flush=True)


def main() -> None:
    """Every row in a process of its own, so that its peak memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--repeats", type=int, default=6)
    args = parser.parse_args()
    print("size        parts  nodes  edges  what               F (s)  CPU (s)  in F  peak MB")
    context = multiprocessing.get_context("spawn")
    for name in args.sizes:
        for kind in ("heads", "rois"):
            for what in ("eap", "eap-ig-inputs", "masked run", "10 masked runs"):
                row = context.Process(target=measure, args=(name, kind, what, args.repeats))
                row.start()
                row.join()


if __name__ == "__main__":
    main()
