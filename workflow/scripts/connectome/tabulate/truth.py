"""truth.csv, known_heads.csv, certificates.csv: methods held against models whose heads are known.

Two truths stand side by side. Causal truth is what exact ablation of each node and edge changes,
under the ablation that the methods use: positive above a share `tau` of the gap. Label truth is
what the author of the model meant. They may differ: an edge that carries no difference between
clean and corrupted prompts matters to the author alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectome.errors import DataError
from connectome.recovery import recovery
from connectome.tabulate.identity import Row

IDENTITY = ("model", "dictionary", "task")
COLUMNS = (
    *IDENTITY,
    "partition",
    "method",
    "kind",
    "truth",
    "tau",
    "n",
    "positives",
    "prevalence",
    "auroc",
    "average_precision",
    "found",
    "strongest",
    "missed",
)
HEAD_COLUMNS = (
    *IDENTITY,
    "head",
    "role",
    "attends",
    "method",
    "score",
    "share",
    "rank",
    "heads",
    "known",
    "named",
    "attention",
    "attention_lowest",
    "other_head",
    "attention_other",
)
CERTIFICATE_COLUMNS = (
    *IDENTITY,
    "pairs",
    "gap",
    "accuracy_clean",
    "accuracy_corrupted",
    "weakest_head",
    "weakest_share",
    "other_head",
    "other_share",
    "other_edge",
    "other_edge_share",
    "bound",
    "certified",
    "meant_edges",
    "drawn_edges",
    "drawn_meant",
)
YARDSTICK = "exact"
TAUS = (0.01, 0.1)  # shares of the gap
BOUND = 0.05  # share of the gap that no head without a role may reach


@dataclass(frozen=True)
class Case:
    """What is known and what was found of one task of a built model; rows as in their files."""

    names: Mapping[str, str]  # model, dictionary, task
    known: Mapping[str, Any]  # known.json
    attention: Sequence[Mapping[str, Any]]
    nodes: Sequence[Mapping[str, Any]]
    edges: Sequence[Mapping[str, Any]]
    competence: Mapping[str, Any]
    drawn: Sequence[Mapping[str, str]] = ()  # rows of circuits.csv

    def scores(self, table: str, partition: str) -> dict[str, dict[str, float]]:
        """Score of each node (`input` left out) or edge of a partition, by method.

        Edges into the slots of a part are added up: what is known names parts.
        """
        found: dict[str, dict[str, float]] = {}
        for row in self.nodes if table == "nodes" else self.edges:
            name = row["node"] if table == "nodes" else f"{row['src']}->{row['dst']}"
            if row["partition"] == partition and name != "input":
                of_method = found.setdefault(row["method"], {})
                of_method[name] = of_method.get(name, 0.0) + row["score"]
        return found

    def gap(self, partition: str) -> float:
        """Effect of ablating the input everywhere, by the yardstick.

        Raises DataError where the partition was not scored exactly.
        """
        for row in self.nodes:
            if (row["partition"], row["method"], row["node"]) == (partition, YARDSTICK, "input"):
                return float(row["score"])
        raise DataError(
            f"{self.names['model']}, task {self.names['task']}: partition {partition!r} has no "
            "exact scores to hold methods against; list it in circuits.exact"
        )

    def labels(self, table: str, partition: str) -> set[str]:
        """Nodes or edges that the author meant, in the names of `heads` or `modules`."""
        heads = [row["head"] for row in self.known["heads"]]
        meant = heads if table == "nodes" else self.known["edges"]
        if partition == "heads":
            return set(meant)
        return {"->".join(end.split(".")[0] for end in name.split("->")) for name in meant}


def rows(case: Case, partitions: Sequence[str]) -> Iterator[Row]:
    """truth.csv: agreement of each method with each truth, over heads, nodes and edges.

    `partitions`: those scored exactly; labels exist for `heads` and `modules`.
    """
    for partition in partitions:
        gap = case.gap(partition)
        for kind in ("heads", "nodes", "edges") if partition == "heads" else ("nodes", "edges"):
            table = "nodes" if kind == "heads" else kind
            scored = case.scores(table, partition)
            names = [name for name in scored[YARDSTICK] if kind != "heads" or ".h" in name]
            effect = np.array([scored[YARDSTICK][name] for name in names])
            truths: list[tuple[str, float | None, np.ndarray]] = [
                ("causal", tau, np.abs(effect) > tau * abs(gap)) for tau in TAUS
            ]
            if partition in ("heads", "modules"):
                meant = case.labels(table, partition)
                truths.append(("label", None, np.array([name in meant for name in names])))
            for method, of_method in scored.items():
                for truth, tau, known in truths:
                    found = recovery(np.array([of_method[name] for name in names]), known)
                    missed = set(np.flatnonzero(known)) - set(found.strongest)
                    yield {
                        **case.names,
                        "partition": partition,
                        "method": method,
                        "kind": kind,
                        "truth": truth,
                        "tau": tau,
                        **found._asdict(),
                        "strongest": " ".join(names[i] for i in found.strongest),
                        "missed": " ".join(names[i] for i in sorted(missed)),
                    }


def head_rows(case: Case) -> Iterator[Row]:
    """known_heads.csv: score, rank and attention of each known head, by method.

    `rank` counts attention heads alone, the largest |score| first; a head is `named` where it is
    among as many as are known. `other_head` looks there most, of the heads without a role.
    """
    gap = case.gap("heads")
    roles = {row["head"]: row for row in case.known["heads"]}
    for method, scored in case.scores("nodes", "heads").items():
        heads = {name: score for name, score in scored.items() if ".h" in name}
        for head, facts in roles.items():
            rank = 1 + sum(abs(score) > abs(heads[head]) for score in heads.values())
            there = {row["head"]: row for row in case.attention if row["known"] == head}
            others = [name for name in there if name not in roles]
            other = max(others, key=lambda name: there[name]["attention"])  # noqa: B023
            yield {
                **case.names,
                "head": head,
                "role": facts["role"],
                "attends": facts["attends"],
                "method": method,
                "score": heads[head],
                "share": heads[head] / gap,
                "rank": rank,
                "heads": len(heads),
                "known": len(roles),
                "named": rank <= len(roles),
                "attention": there[head]["attention"],
                "attention_lowest": there[head]["lowest"],
                "other_head": other,
                "attention_other": there[other]["attention"],
            }


def certificate(case: Case) -> Row:
    """certificates.csv: whether the model is what its author says.

    Certified: all held-out prompts answered, clean and corrupted; by exact ablation no head without
    a role reaches BOUND of the gap, and every known head exceeds it. Beside it, how many edges of
    the drawn circuit of heads are meant; None where none is drawn.
    """
    gap, meant = case.gap("heads"), case.labels("edges", "heads")
    heads = {
        name: score / gap
        for name, score in case.scores("nodes", "heads")[YARDSTICK].items()
        if ".h" in name
    }
    edges = case.scores("edges", "heads")[YARDSTICK]
    known = {row["head"] for row in case.known["heads"]}
    weakest = min(known, key=lambda name: (abs(heads[name]), name))
    other = max(heads.keys() - known, key=lambda name: (abs(heads[name]), name))
    edge = max(edges.keys() - meant, key=lambda name: (abs(edges[name]), name))
    heldout = case.competence["splits"]["heldout"]
    accuracies = {
        f"accuracy_{side}": heldout[f"accuracy_{side}"]["value"] for side in ("clean", "corrupted")
    }
    circuit = {
        f"{row['src']}->{row['dst']}"
        for row in case.drawn
        if row["partition"] == "heads" and all(row[key] == case.names[key] for key in IDENTITY)
    }
    pairs = next(row["n"] for row in case.nodes if row["method"] == YARDSTICK)
    return {
        **case.names,
        "pairs": pairs,
        "gap": gap,
        **accuracies,
        "weakest_head": weakest,
        "weakest_share": heads[weakest],
        "other_head": other,
        "other_share": heads[other],
        "other_edge": edge,
        "other_edge_share": edges[edge] / gap,
        "bound": BOUND,
        "certified": min(accuracies.values()) == 1
        and abs(heads[other]) < BOUND < abs(heads[weakest]),
        "meant_edges": len(meant),
        "drawn_edges": len(circuit) or None,
        "drawn_meant": len(circuit & meant) if circuit else None,
    }
