"""Scores of every partition of a task: first those that stand beforehand, then the top features.

Which features of a model are single nodes of the partition `top_features` depends on the task:
those of largest |node score| by the LAST of the methods (with the default list the integrated one,
which a saturated unit does not hide from).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from connectome import attribution
from connectome.attribution import Scores
from connectome.part_graphs import FEATURES, TOP_FEATURES, top_features
from connectome.parts import PartGraph, with_slots
from connectome.prompts import Prompts
from connectome.transformer import Transformer


class Scored(NamedTuple):
    """Graphs by partition, and their scores by (partition, method)."""

    graphs: dict[str, PartGraph]
    scores: dict[tuple[str, str], Scores]


def score(
    model: Transformer,
    prompts: Prompts,
    graphs: Mapping[str, PartGraph],
    settings: Mapping[str, Any],
    metric: str,
) -> Scored:
    """Scores of every partition by every method, and by exact patching where it is asked for.

    graphs: those of all partitions but `top_features`, which is chosen here by the scores of
    `features`. settings: the configuration's section `circuits`. Exact patching runs on its first
    `exact_pairs` prompts. Without prompts (a refused task) nothing is scored.
    """
    if not len(prompts):
        return Scored(dict(graphs), {})
    ablation = settings["ablation"]

    def attribute(some: Mapping[str, PartGraph]) -> dict[tuple[str, str], Scores]:
        return attribution.attribute(
            model,
            prompts,
            some,
            settings["methods"],
            metric,
            ablation,
            settings["steps"],
            settings["batch_pairs"],
            nodes_only=[FEATURES],
        )

    known, scores = dict(graphs), attribute(graphs)
    if TOP_FEATURES in settings["partitions"]:
        of_features = scores[FEATURES, settings["methods"][-1]]
        chosen = top_features(graphs[FEATURES], of_features, settings["top_features"])
        known[TOP_FEATURES] = with_slots(chosen) if TOP_FEATURES in settings["slots"] else chosen
        scores |= attribute({TOP_FEATURES: known[TOP_FEATURES]})
    few = prompts.rows(slice(settings["exact_pairs"]))
    for name in settings["exact"]:
        scores[name, "exact"] = attribution.exact(model, few, known[name], metric, ablation)
    return Scored(known, scores)
