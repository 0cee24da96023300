"""Scores of every partition of a task, prompt by prompt, for the prompts of one shard.

Which features of a model are single nodes of the partition `top_features` depends on the task:
those of largest |node score| by the LAST of the methods (with the default list the integrated one,
which a saturated unit does not hide from).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from connectome import attribution, shards
from connectome.part_graphs import FEATURES, TOP_FEATURES, top_features
from connectome.parts import PartGraph, with_slots
from connectome.prompts import Prompts
from connectome.scores import Scores
from connectome.transformer import Transformer


class Scored(NamedTuple):
    """Graphs by partition, scores of the shard's prompts by (partition, method)."""

    graphs: dict[str, PartGraph]
    scores: dict[tuple[str, str], Scores]
    top_features: list[str] | None  # names of its nodes, where it is asked for


def score(
    model: Transformer,
    prompts: Prompts,
    graphs: Mapping[str, PartGraph],
    settings: Mapping[str, Any],
    metric: str,
    shard: int = 0,
    of: int = 1,
) -> Scored:
    """Scores of every partition by every method, and by exact patching where it is asked for.

    prompts: all discovery prompts, of which shard `shard` of `of` takes whole batches. graphs:
    those of all partitions but `top_features`, which is chosen here by the scores of `features` on
    all prompts (no edges are scored for that, so every shard does it by itself). settings: the
    configuration's section `circuits`. Exact patching runs on the first `exact_pairs` of all
    prompts. A shard without prompts has no scores, nor has a refused task, which has none at all.
    """
    if not len(prompts):
        return Scored(dict(graphs), {}, None)
    ablation, batch_pairs = settings["ablation"], settings["batch_pairs"]
    rows = shards.rows(len(prompts), batch_pairs, shard, of)

    def attribute(
        on: Prompts, some: Mapping[str, PartGraph], methods: list[str]
    ) -> dict[tuple[str, str], Scores]:
        return attribution.attribute(
            model,
            on,
            some,
            methods,
            metric,
            ablation,
            settings["steps"],
            batch_pairs,
            nodes_only=[FEATURES],
            discovery=prompts,
        )

    known, chosen = dict(graphs), None
    if TOP_FEATURES in settings["partitions"]:
        last, features = settings["methods"][-1], graphs[FEATURES]
        of_features = attribute(prompts, {FEATURES: features}, [last])[FEATURES, last]
        top = top_features(features, of_features, settings["top_features"])
        chosen = list(top.names)
        known[TOP_FEATURES] = with_slots(top) if TOP_FEATURES in settings["slots"] else top
    scores = attribute(prompts.rows(rows), known, settings["methods"])
    few = prompts.rows(slice(rows.start, min(rows.stop, settings["exact_pairs"])))
    for name in settings["exact"] if len(few) else ():
        scores[name, "exact"] = attribution.exact(
            model, few, known[name], metric, ablation, batch_pairs=batch_pairs, discovery=prompts
        )
    return Scored(known, scores, chosen)
