"""growth.csv: competence, ROIs, modularity and circuit sizes of each model, in order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from connectome.matching import modularity, modularity_null
from connectome.tabulate.identity import Row, median, share

ALL = "all"
COLUMNS = (
    *("place", "model", "origin", "step", "parameters", "dictionary", "quantity", "of"),
    *("partition", "value", "lo", "hi", "null", "null_hi", "n"),
)
_PARTITIONS = {"activation": "rois", "attribution": "rois_attribution"}
Text = Mapping[str, str]
Edges = Mapping[tuple[str, str], np.ndarray]  # by (site, kind)
Labels = Mapping[str, Mapping[str, np.ndarray]]  # {partition: {site: (features,)}}


def in_order(models: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]) -> list[Row]:
    """The models with `parameters` and `place`, small ones first, those of a run by their steps.

    models: {"model", "origin", "step"} in the order of the configuration.
    """
    kept = [{**model, "parameters": sizes[model["model"]]} for model in models]
    kept.sort(key=lambda model: model["parameters"])  # stable: a run stays together, in order
    return [model | {"place": place} for place, model in enumerate(kept)]


def rows(
    models: Sequence[Row],
    competence: Sequence[Text],
    sites: Sequence[Text],
    partitions: Sequence[Text],
    sizes: Sequence[Text],
    structure: Sequence[Row],
    method: str,
) -> list[Row]:
    """All quantities of each model, from the rows of competence.csv, sites.csv, partitions.csv and
    sizes.csv as text, and `modularity_rows`. `of` is a task, a site, or "all" of them.
    """
    result = []
    for model in models:
        name = model["model"]
        found = [
            *_competence(_of(name, competence)),
            *_rois(_of(name, sites), _of(name, partitions)),
            *_circuits(_of(name, sizes), method),
            *_of(name, structure),
        ]
        result += [dict.fromkeys(COLUMNS) | {"dictionary": ""} | row | model for row in found]
    return result


def _of(model: str, table: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [row for row in table if row["model"] == model]


def _number(text: str) -> float | None:
    return float(text) if text else None


def _competence(rows: Sequence[Text]) -> Iterator[Row]:
    heldout = [row for row in rows if row["split"] == "heldout"]
    for row in heldout:
        for quantity, measure in (("accuracy", "accuracy_clean"), ("gap", "gap")):
            yield {
                "quantity": quantity,
                "of": row["task"],
                "value": _number(row[measure]),
                "lo": _number(row[f"{measure}_lo"]),
                "hi": _number(row[f"{measure}_hi"]),
                "null": _number(row["chance"]) if quantity == "accuracy" else 0.0,
                "n": int(row["distinct"]),
            }
    able = sum(row["competent"] == "true" for row in heldout)
    yield {"quantity": "tasks_competent", "of": ALL, "value": able, "n": len(heldout)}


def _rois(sites: Sequence[Text], partitions: Sequence[Text]) -> Iterator[Row]:
    """Number, effective number, grouped share and description length saved, per site and all."""
    pairs = dict.fromkeys((row["dictionary"], row["kind"]) for row in sites)
    for dictionary, kind in pairs:
        partition = _PARTITIONS[kind]
        names: Row = {"dictionary": dictionary, "partition": partition}
        fitted = [
            row
            for row in sites
            if (row["dictionary"], row["kind"], row["status"]) == (dictionary, kind, "ok")
        ]
        effective = {
            row["site"]: float(row["effective_blocks"])
            for row in partitions
            if (row["dictionary"], row["partition"]) == (dictionary, partition)
            and row["effective_blocks"]
        }
        blocks = {row["site"]: int(row["blocks"]) for row in fitted}
        for quantity, of_site in (("rois", blocks), ("effective_rois", effective)):
            yield from (
                names | {"quantity": quantity, "of": site, "value": value}
                for site, value in of_site.items()
            )
            total = {"of": ALL, "value": sum(of_site.values()), "n": len(of_site)}
            yield names | {"quantity": quantity} | total
        saved = {
            row["site"]: float(row["description_length_one_block"])
            - float(row["description_length"])
            for row in fitted
            if row["description_length"] and row["description_length_one_block"]
        }
        edges = {row["site"]: int(row["edges"]) for row in fitted if row["site"] in saved}
        grouped = {row["site"]: int(row["grouped"]) for row in fitted}
        live = {row["site"]: int(row["live"]) for row in fitted}
        ratios: tuple[tuple[str, dict[str, Any], dict[str, int]], ...] = (
            ("grouped", grouped, live),
            ("saved", saved, edges),
        )
        for quantity, part, whole in ratios:
            for site in part:
                ratio = share(part[site], whole[site])
                yield names | {"quantity": quantity, "of": site, "value": ratio}
            ratio = share(sum(part.values()), sum(whole.values()))
            yield names | {"quantity": quantity, "of": ALL, "value": ratio, "n": len(part)}


def _circuits(sizes: Sequence[Text], method: str) -> Iterator[Row]:
    """Share of all edges in the smallest faithful circuit of each task that the model can do."""
    groups: dict[tuple[str, str], list[tuple[str, float | None]]] = {}
    for row in sizes:
        if (row["method"], row["intervention"], row["competent"]) == (method, "edge", "true"):
            reached = row["reached"] == "true"
            size = int(row["edges"]) / int(row["edges_all"]) if reached else None
            groups.setdefault((row["dictionary"], row["partition"]), []).append((row["task"], size))
    for (dictionary, partition), found in groups.items():
        names: Row = {"dictionary": dictionary, "partition": partition, "quantity": "circuit"}
        yield from (names | {"of": task, "value": size} for task, size in found)
        known = [size for _, size in found if size is not None]
        yield names | {"of": ALL, "value": median(known), "n": len(known)}


def modularity_rows(
    names: Mapping[str, str], edges: Edges, labels: Labels, draws: int, seed: int
) -> list[Row]:
    """Modularity of the ROIs of a model on their own graphs, beside permuted labels.

    Sites whose ROIs are one part, or whose graph has no edge, are left out; "all" is the mean over
    sites, and so is its null, draw by draw.
    """
    result = []
    for kind, partition in _PARTITIONS.items():
        found, nulls = [], []
        for (site, of_kind), of_site in edges.items():
            of_features = labels[partition].get(site)
            if of_kind != kind or of_features is None or of_features.max(initial=-1) < 1:
                continue
            value = modularity(of_site, of_features)
            if value is None:
                continue
            null = modularity_null(of_site, of_features, draws, seed)
            result.append(_modularity(names, partition, site, value, null))
            found.append(value)
            nulls.append(null)
        if found:
            mean = np.mean(nulls, axis=0)
            row = _modularity(names, partition, ALL, float(np.mean(found)), mean)
            result.append(row | {"n": len(found)})
    return result


def _modularity(
    names: Mapping[str, str], partition: str, of: str, value: float, null: np.ndarray
) -> Row:
    return dict(names) | {
        "quantity": "modularity",
        "partition": partition,
        "of": of,
        "value": value,
        "null": float(null.mean()),
        "null_hi": float(np.quantile(null, 0.95)),
    }
