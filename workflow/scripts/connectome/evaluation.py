"""Evaluation of circuits on held-out prompts, over sizes, by edge and by node ablation.

Circuits are selected by scores from discovery prompts; every number here comes from held-out
ones. Rows state the requested, the selected and the pruned size, the complement beside the
circuit, and random circuits of equal size; each curve has a summary. All statistics are made here,
without the model, from what `circuit_runs` measured prompt by prompt.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from connectome import curves, faithfulness
from connectome.faithfulness import Reference

Array = np.ndarray
Row = dict[str, Any]
_ARROW = {str: pa.string(), int: pa.int32(), float: pa.float64()}


def schema_of(columns: Mapping[str, type]) -> pa.Schema:
    """Schema of columns of text, whole numbers and floats."""
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


SCHEMA, SUMMARY_SCHEMA = schema_of(faithfulness.MEASURES), schema_of(curves.SUMMARIES)


class Curve(NamedTuple):
    """Circuits of every size of one partition and method under one intervention."""

    rows: list[Row]  # circuits, then complements
    summary: Row


def curve_name(curve: Mapping[str, Any], mode: str) -> str:
    """Name of the runs of a curve: of its circuits, or of their complements."""
    keys = ("partition", "method", "intervention", "error")
    return "/".join([*filter(None, (curve[key] for key in keys)), mode])


def null_name(partition: str, size: int, mode: str) -> str:
    """Name of the runs of random circuits of one requested size."""
    return f"{partition}/random/{size}/{mode}"


@dataclass(frozen=True)
class Measured:
    """What all held-out prompts say of all circuits of a task."""

    values: Mapping[str, Array]  # per run and measure (c, n); of random circuits on fewer prompts
    groups: Array  # (n,) number of the distinct clean prompt
    curves: Sequence[Mapping[str, Any]]  # as circuit_runs.Plan has them
    nulls: Sequence[Mapping[str, Any]]

    @property
    def reference(self) -> Reference:
        """The intact model and the empty circuit."""
        return Reference(self.values["model"], self.values["empty"])

    def reference_of(self, error: str) -> Reference:
        """The same where errors of dictionaries are what a policy says."""
        if error != "kept":
            return self.reference
        return Reference(self.values["model"], self.values["empty/kept"])

    def run(self, name: str) -> dict[str, Array]:
        """Measures (c, n) of one run."""
        return {
            measure: self.values[f"{name}/{measure}"] for measure in ("metric", "kl", "accuracy")
        }


def gather(parts: Sequence[Mapping[str, Array]], about: Mapping[str, Any]) -> Measured:
    """What the part files of all shards, in order, say together.

    `about` and the groups of all prompts are the same in each; a part without a run ran none of
    its prompts.
    """
    names = [name for name in parts[0] if name != "groups"]
    values = {
        name: np.concatenate([part[name] for part in parts if name in part], axis=-1)
        for name in names
    }
    return Measured(values, parts[0]["groups"], about["curves"], about["nulls"])


def all_curves(found: Measured, weights: Array) -> list[Curve]:
    """Rows and summary of every curve; weights (draws, n) resample the prompts."""
    sizes: dict[tuple[str, str], list[int]] = {}
    for null in found.nulls:
        sizes.setdefault((null["partition"], null["error"]), []).append(null["size"])
    return [_curve(found, about, sizes, weights) for about in found.curves]


def _curve(
    found: Measured,
    about: Mapping[str, Any],
    null_sizes: Mapping[tuple[str, str], list[int]],
    weights: Array,
) -> Curve:
    identity = {key: about[key] for key in ("partition", "method", "intervention", "error")}
    of_edges, circuits = about["intervention"] == "edge", about["circuits"]
    tested = null_sizes.get((about["partition"], about["error"]), []) if of_edges else []
    reference = found.reference_of(about["error"])
    measured = {mode: found.run(curve_name(about, mode)) for mode in about["modes"]}
    rows = []
    for mode, values in measured.items():
        for i, circuit in enumerate(circuits):
            metric = values["metric"][i]
            row = {
                **identity,
                "mode": mode,
                **circuit,
                **faithfulness.measure(metric, reference, weights),
                "kl": float(values["kl"][i].mean()),
                "accuracy": float(values["accuracy"][i].mean()),
            }
            if mode == "circuit":
                row |= faithfulness.against_model(metric, reference, found.groups)
            if circuit["requested"] in tested:
                name = null_name(about["partition"], circuit["requested"], mode)
                row |= _beside_random(metric, found.values[f"{name}/metric"], reference, mode)
            rows.append(row)
    summary = curves.summarise(
        np.array([circuit["edges" if of_edges else "requested"] for circuit in circuits]),
        about["total"],
        measured["circuit"]["metric"],
        measured["complement"]["metric"] if "complement" in measured else None,
        reference,
        weights,
    )
    return Curve(rows, identity | summary)


def _beside_random(metric: Array, random: Array, reference: Reference, mode: str) -> Row:
    """Test of the metric (n,) of a circuit, or of a complement, against random (draws, fewer)."""
    count = random.shape[1]
    found = faithfulness.against_random(
        metric[:count], random, reference.part(count), mode == "complement"
    )
    return {**found, "draws": len(random), "null_pairs": count}


def table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, **constants: Any) -> pa.Table:
    """Rows as a table; what a row leaves out, or has as NaN, is null."""
    found = ({**constants, **row} for row in rows)
    known = ({name: x for name, x in row.items() if x == x} for row in found)  # NaN != NaN
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in known], schema=schema
    )


def tables(curves: Sequence[Curve], **constants: Any) -> tuple[pa.Table, pa.Table]:
    """Rows of all curves (SCHEMA) and their summaries (SUMMARY_SCHEMA)."""
    rows = [row for curve in curves for row in curve.rows]
    return (
        table(rows, SCHEMA, **constants),
        table([curve.summary for curve in curves], SUMMARY_SCHEMA, **constants),
    )


def counts(found: Measured) -> Row:
    """Numbers of prompt pairs and of distinct clean prompts behind every row."""
    return {"pairs": len(found.groups), "distinct": len(np.unique(found.groups))}
