"""What circuits of a task are measured on: prompts, and the model that is run on them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from connectome import metrics, parts
from connectome.ablation import Ablated, run_edges, run_nodes
from connectome.devices import within_memory
from connectome.faithfulness import Reference
from connectome.parts import PartGraph
from connectome.prompts import Prompts
from connectome.transformer import Transformer, answers

Array = np.ndarray


@dataclass(frozen=True)
class Bench:
    """What all circuits of a task are measured on."""

    model: Transformer
    prompts: Prompts
    ablated: Ablated
    metric: str
    intact: torch.Tensor  # logits (n, vocabulary) of the intact model
    reference: Reference
    weights: Array  # (draws, n) bootstrap
    memory: int

    def part(self, count: int) -> "Bench":
        """The same on the first `count` prompts."""
        return self.rows(slice(count))

    def rows(self, rows: slice) -> "Bench":
        """The same on some of the prompts."""
        return Bench(
            self.model,
            self.prompts.rows(rows),
            self.ablated.rows(rows),
            self.metric,
            self.intact[rows],
            Reference(self.reference.model[rows], self.reference.empty[rows]),
            self.weights[:, rows],
            self.memory,
        )

    def with_values(self, ablated: Ablated) -> "Bench":
        """The same with other ablated values, and so with another empty circuit."""
        return prepare(
            self.model, self.prompts, ablated, self.metric, self.weights, self.memory, self.intact
        )

    def measure(self, logits: torch.Tensor) -> dict[str, Array]:
        """Metric, KL divergence from the intact model and choice accuracy, each (c, n)."""
        right, wrong = self.prompts.right, self.prompts.wrong
        values = {
            "metric": metrics.metric(self.metric)(logits, right, wrong),
            "kl": metrics.kl_divergence(logits, self.intact),
            "accuracy": metrics.choice_accuracy(logits, right, wrong),
        }
        return {name: value.double().cpu().numpy() for name, value in values.items()}

    def edges(self, graph: PartGraph, masks: Array) -> dict[str, Array]:
        """Measures (c, n) of edge masks (c, readers, writers)."""
        return self._in_blocks(run_edges, graph, masks)

    def nodes(self, graph: PartGraph, keep: Array) -> dict[str, Array]:
        """Measures (c, n) of kept writers (c, U)."""
        return self._in_blocks(run_nodes, graph, keep)

    def _in_blocks(
        self, run: Callable[..., torch.Tensor], graph: PartGraph, given: Array
    ) -> dict[str, Array]:
        """Measures of runs, so many at once that logits over the vocabulary fit the memory."""
        step = max(1, self.memory // (self.intact.numel() * self.intact.element_size()))
        found = [
            self._measured(run, graph, given[i : i + step]) for i in range(0, len(given), step)
        ]
        return {name: np.concatenate([some[name] for some in found]) for name in found[0]}

    def _measured(
        self, run: Callable[..., torch.Tensor], graph: PartGraph, given: Array
    ) -> dict[str, Array]:
        """Measures (c, n) of runs on all prompts at once, or on as many as fit the memory."""

        def on(rows: range) -> dict[str, Array]:
            some = self.rows(slice(rows.start, rows.stop))
            return some.measure(
                run(some.model, some.prompts, graph, given, some.ablated, some.memory)
            )

        found = list(within_memory(on, [range(len(self.prompts))]))
        return {name: np.concatenate([some[name] for some in found], axis=1) for name in found[0]}


@torch.inference_mode()
def prepare(
    model: Transformer,
    prompts: Prompts,
    ablated: Ablated,
    metric: str,
    weights: Array,
    memory: int,
    intact: torch.Tensor | None = None,
) -> Bench:
    """Run the intact model, unless its logits are given, and the empty circuit once for all."""
    prompts = prompts.to(model.device)
    graph = parts.modules({site: model.features(site) for site in model.sites}, model.sites)
    keep = np.zeros((1, graph.writers), bool)

    def run(rows: range) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = slice(rows.start, rows.stop)
        some = prompts.rows(chosen)
        empty = run_nodes(model, some, graph, keep, ablated.rows(chosen))
        whole = answers(model, some.clean) if intact is None else intact[chosen]
        return whole, empty[0]

    found = within_memory(run, [range(len(prompts))])
    intact, nothing = (torch.cat(some) for some in zip(*found, strict=True))
    measure = metrics.metric(metric)
    reference = Reference(
        measure(intact, prompts.right, prompts.wrong).double().cpu().numpy(),
        measure(nothing, prompts.right, prompts.wrong).double().cpu().numpy(),
    )
    return Bench(model, prompts, ablated, metric, intact, reference, weights, memory)
