"""overlap.csv: how much of the circuits of two models on one task is the same, beside chance."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connectome.circuit_overlap import overlap, renamed
from connectome.significance import adjusted
from connectome.tabulate.identity import Row

COLUMNS = (
    *("dictionary", "left", "right", "same_run", "next", "task", "partition", "method", "of"),
    *("share", "status", "reason", "competent", "selected", "total", "shared", "jaccard"),
    *("chance", "p", "p_adj", "spearman"),
)
ROIS = ("rois", "rois_attribution")
OWN_HEADS = (
    "the heads of two models trained apart are in no common order; modules of as many layers and "
    "matched ROIs can be compared"
)
FEWEST = 3  # matched ROIs below which an overlap says nothing

Scores = Mapping[
    tuple[str, str], Mapping[str, float]
]  # {(partition, nodes | edges): {name: score}}


class Pair(NamedTuple):
    """Scores of two models on one task, by one method."""

    names: Mapping[str, Any]  # dictionary, left, right, same_run, next, task
    competent: bool  # both models can do the task
    left: Scores
    right: Scores


def scores(
    nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], method: str
) -> dict[tuple[str, str], dict[str, float]]:
    """Scores by partition of a nodes and an edges file; the input is no candidate.

    Edges into the slots of a part are added up: another model need not have slots.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    for kind, rows in (("nodes", nodes), ("edges", edges)):
        for row in rows:
            name = row["node"] if kind == "nodes" else f"{row['src']}->{row['dst']}"
            if row["method"] == method and name != "input":
                of_partition = found.setdefault((row["partition"], kind), {})
                of_partition[name] = of_partition.get(name, 0.0) + row["score"]
    return found


def rows(
    pairs: Sequence[Pair],
    partners: Mapping[tuple[Any, ...], Mapping[str, str]],
    method: str,
    shares: Sequence[float],
) -> list[Row]:
    """One row per pair of models, task, partition, nodes or edges, and size.

    partners: {(dictionary, left, right, partition): {left ROI: right ROI}}. p values are one family
    per dictionary: those of tasks that both models can do.
    """
    result = [row for pair in pairs for row in _of_pair(pair, partners, method, shares)]
    for dictionary in {row["dictionary"] for row in result}:
        family = [
            row
            for row in result
            if row["dictionary"] == dictionary and row["competent"] and row["p"] is not None
        ]
        for row, value in zip(family, adjusted([row["p"] for row in family]), strict=True):
            row["p_adj"] = value
    return result


def _of_pair(
    pair: Pair,
    partners: Mapping[tuple[Any, ...], Mapping[str, str]],
    method: str,
    shares: Sequence[float],
) -> Iterator[Row]:
    for partition, of in pair.left:
        if partition not in ("modules", "heads", *ROIS) or (partition, of) not in pair.right:
            continue
        key = (*(pair.names[name] for name in ("dictionary", "left", "right")), partition)
        found, reason = _candidates(pair, partition, of, partners.get(key, {}))
        about = dict.fromkeys(COLUMNS) | dict(pair.names) | {"competent": pair.competent}
        about |= {"partition": partition, "of": of, "method": method, "reason": reason}
        for share in shares:
            row = about | {"share": share, "status": "refused" if reason else "ok"}
            if reason is None:
                row |= overlap(found, pair.right[partition, of], share)._asdict()
            yield row


def _candidates(
    pair: Pair, partition: str, of: str, partner: Mapping[str, str]
) -> tuple[Mapping[str, float], str | None]:
    """Left scores under the names of the right model, or why there are none."""
    left, right = pair.left[partition, of], pair.right[partition, of]
    if partition in ROIS:
        found = renamed(left, partner)
        if len(partner) < FEWEST or not found.keys() & right.keys():
            return {}, f"{len(partner)} ROIs have a partner beyond chance; {FEWEST} are needed"
        return found, None
    if partition == "heads" and not pair.names["same_run"]:
        return {}, OWN_HEADS
    if left.keys() != right.keys():
        return {}, f"the two models have other {partition}: {len(left)} {of} and {len(right)}"
    return left, None
