"""A results folder made of random numbers: for tests of tables, figures and page alone.

Nothing here was measured on a model. The folder has the formats of the stages above the tables,
and what makes their readers stumble: tokens that look like markup, a task the model cannot do,
sites without ROIs, metrics that are not defined, a model that was not trained here.
Run it to look at a page: `python tests/synthetic_results.py FOLDER`.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

import synthetic_cards
import synthetic_features
from connectome import arrays, directions, moments, specificity, tables
from connectome.labelling import size_statistics

NASTY = [
    "</script><!--<script>",
    '"><img src=x onerror=1>',
    "=1+1",
    "\u202eabc",
    "\x00",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "&lt;b&gt; &amp; ' $x_1$ \\frac",
    "a" * 5000,
]
STAMP = {"cfg": "{}", "code": "synthetic"}
DICTIONARY = "neurons"
SPARSE, SPARSE_MODEL = "sae", "demo"  # features at two sites of this model, not exact
SPARSE_SITES = {"mlp.1": 24, "attn.2": 20}
ERRORS = ("in-graph", "kept", "ablated")
LAYERS, HEADS, HEAD_WIDTH, HIDDEN = 3, 4, 4, 40
SITES = [f"{kind}.{layer}" for layer in range(LAYERS) for kind in ("attn", "mlp")]
TASKS = ["induction", "ioi", "sva_pp", "pronoun", "binding"]
CANNOT = "binding"
SPARSE_TASKS = ["ioi", CANNOT]
REFUSED = ("attn.0", "attribution")
ONE_BLOCK = ("attn.1", "activation")
PARTITIONS = ["heads", "modules", "rois", "rois_attribution", "kmeans"]
LABELLED = ["modules", "heads", "rois", "rois_attribution"]
CONTROLS = ["kmeans", "spectral", "leiden", "infomap"]
NODES_ONLY = ["random", "features"]
METHODS = ["eap", "eap-ig-inputs"]
STEPS = (0, 200, 400, 800, 1600, 2800)


def plan(models: tuple[str, ...] = ("demo", "other"), **report: Any) -> dict[str, Any]:
    """What the rules hand to the page about this folder: models, tasks, sites, settings."""
    return {
        "models": {
            name: {
                "trained": name == "demo",
                "tasks": TASKS,
                "dictionaries": {DICTIONARY: {"tasks": TASKS, "sites": SITES}}
                | (
                    {SPARSE: {"tasks": SPARSE_TASKS, "sites": list(SPARSE_SITES)}}
                    if name == SPARSE_MODEL
                    else {}
                ),
                "judged": [SPARSE] if name == SPARSE_MODEL else [],
            }
            for name in models
        },
        "native": DICTIONARY,
        "report": {
            "name": "synthetic test data, no model behind it",
            "circuits": ["heads", "rois_attribution"],
            "method": "eap-ig-inputs",
            "faithfulness": 0.85,
            "examples": 2,
            **report,
        },
    }


def write(root: Path, seed: int = 1, models: tuple[str, ...] = ("demo", "other")) -> None:
    """Write the folder; the same seed gives the same bytes."""
    for index, model in enumerate(models):
        rng = np.random.default_rng([seed, index])
        _write_model(root / model, model, rng)
        own = root / model / DICTIONARY
        labels = _write_groups(own, {site: width(site) for site in SITES}, {}, rng)
        _write_directions(own, labels)
        for task in TASKS:
            _write_circuit(own, task, labels, ("",), rng)
        _write_specificity(own, rng)
        synthetic_cards.write(own, labels, TASKS, NASTY, STAMP, rng)
        if model == SPARSE_MODEL:
            _write_sparse(root / model / SPARSE, labels, np.random.default_rng([seed, 7]))


def _write_sparse(
    folder: Path, native: dict[str, dict[str, np.ndarray]], rng: np.random.Generator
) -> None:
    """A dictionary of features; the sites that it does not cover are native."""
    labels = _write_groups(folder, SPARSE_SITES, native, rng)
    for task in SPARSE_TASKS:
        _write_circuit(folder, task, labels, ERRORS, rng)
    own = {site: labels[site] for site in SPARSE_SITES}
    _write_directions(folder, own)
    synthetic_cards.write(folder, own, SPARSE_TASKS, NASTY, STAMP, rng)
    able = [task for task in SPARSE_TASKS if task != CANNOT]
    synthetic_features.write(folder, SPARSE_SITES, able, NASTY, STAMP, rng)


def width(site: str) -> int:
    """Number of native features of a site."""
    return HEADS * HEAD_WIDTH if site.startswith("attn") else HIDDEN


def _write_model(folder: Path, model: str, rng: np.random.Generator) -> None:
    trained = model == "demo"
    record = {
        "name": model, "source": "trained" if trained else "path", "directory": "model",
        "hub": None, "revision": None, "files": {"model.safetensors": "0" * 64},
        "architecture": "gpt2",
        "layers": LAYERS, "heads": HEADS, "head_width": HEAD_WIDTH, "width": HEADS * HEAD_WIDTH,
        "hidden": HIDDEN, "vocabulary": 1200, "context": 64, "parameters": 231424, "start_token": 0,
    }  # fmt: skip
    arrays.write_json(folder / "model.json", record, STAMP)
    if trained:
        rows = [(step, "loss", "", 7.0 * np.exp(-step / 500) + 1.1) for step in STEPS]
        for task in TASKS:
            top = 0.5 if task == CANNOT else 0.99
            rows += [
                (step, "accuracy", task, 0.5 + (top - 0.5) * (1 - np.exp(-step / 600)))
                for step in STEPS
            ]
        rows.append((400, "accuracy", "ioi", float("nan")))
        names = ("step", "quantity", "task", "value")
        tables.write_table(
            folder / "training.parquet",
            dict(zip(names, zip(*rows, strict=True), strict=True)),
            STAMP,
        )
    for task in TASKS:
        _write_task(folder / "tasks", task, rng)


def _interval(value: float, half: float, top: float = np.inf) -> dict[str, float]:
    return {"value": value, "lo": value - half, "hi": min(value + half, top)}


def _write_task(folder: Path, task: str, rng: np.random.Generator) -> None:
    able = task != CANNOT
    splits = {}
    for split, pairs in (("discovery", 100), ("heldout", 200)):
        accuracy = float(rng.uniform(0.96, 0.995)) if able else 0.51
        gap = float(rng.uniform(4, 12)) if able else 0.02
        splits[split] = {
            "pairs": pairs,
            "distinct": pairs - 20,
            "accuracy_clean": _interval(accuracy, 0.02 if able else 0.07, 1.0),
            "accuracy_corrupted": _interval(accuracy - 0.01, 0.02 if able else 0.07, 1.0),
            "metric_clean": _interval(gap / 2, 0.5),
            "metric_corrupted": _interval(-gap / 2, 0.5),
            "gap": _interval(gap, 0.6),
        }
    reason = None if able else "accuracy .51 [.44, .58] is not above chance .50 on clean prompts"
    record = {
        "task": task, "chance": 0.5, "competent": able, "reason": reason, "splits": splits,
    }  # fmt: skip
    arrays.write_json(folder / f"{task}.competence.json", record, STAMP)
    count = 12
    rows: dict[str, list[Any]] = {
        "pair": list(range(count)),
        "split": ["heldout" if i % 2 else "discovery" for i in range(count)],
        "clean": [f"When Mary and {NASTY[i % len(NASTY)]} went" for i in range(count)],
        "corrupted": [f"When Anna and {NASTY[i % len(NASTY)]} went" for i in range(count)],
        "clean_ids": [[0, 1, 2]] * count,
        "corrupted_ids": [[0, 3, 2]] * count,
        "answers": [[5]] * count,
        "wrong": [[6]] * count,
        "answer_text": [json.dumps([NASTY[i % len(NASTY)]]) for i in range(count)],
        "wrong_text": [json.dumps([" Anna"]) for _ in range(count)],
        "template": ["0"] * count,
    }
    tables.write_table(folder / f"{task}.parquet", rows, STAMP)


def _write_groups(
    folder: Path,
    widths: dict[str, int],
    base: dict[str, dict[str, np.ndarray]],
    rng: np.random.Generator,
) -> dict[str, dict[str, np.ndarray]]:
    """Covariance, block models and partitions; returns {site: {partition: labels}}."""
    groups = {
        (site, kind): _write_site(folder, site, d, kind, rng)
        for site, d in widths.items()
        for kind in ("activation", "attribution")
    }
    return _write_partitions(folder, widths, groups, base, rng)


def _write_site(folder: Path, site: str, d: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Covariance and block model of a site; returns its labels (features,)."""
    refused = (site, kind) == REFUSED
    blocks = 1 if (site, kind) == ONE_BLOCK else (3 if d < 30 else 6)
    labels = np.sort(rng.integers(0, blocks, d))
    labels = np.unique(labels, return_inverse=True)[1]
    labels = rng.permutation(labels).astype(np.int32)
    samples = 400
    hidden = rng.standard_normal((samples, blocks))
    values = 0.8 * hidden[:, labels] * rng.choice([-1, 1], d) + rng.standard_normal((samples, d))
    values[np.arange(samples)[:, None] < np.arange(d) % 7] = 0.0  # some are active less often
    values[:, -1] = 0.0
    labels[-1] = -2
    labels[-2] = -1
    ids = np.arange(samples) // 4
    parts = [moments.of_rows(values[ids % 2 == half]) for half in (0, 1)]
    content = {
        key: np.stack([np.asarray(getattr(part, key)) for part in parts])
        for key in ("count", "mean", "m2", "active")
    }
    meta: dict[str, Any] = {
        "site": site, "kind": kind, "dictionary": folder.name, "unit": moments.UNITS[kind],
        "samples": samples, "documents": 100, "halves": moments.HALVES[kind], "features": d,
        "status": "ok", "reason": None,
    }  # fmt: skip
    arrays.write_npz(folder / "covariance" / f"{site}.{kind}.npz", content, STAMP, meta)
    reason = "no pair of features correlates above the threshold |r| = 0.9100" if refused else None
    graph_meta = {**meta, "status": "refused" if refused else "ok", "reason": reason}
    graph_meta |= {"live": d - 1, "dead": {"constant": 1}, "k": 5, "draws": 3, "isolated": 1}
    graph = {"threshold": np.array([0.05, 0.07, 0.07]), "dead": labels == -2}
    i, j = np.triu_indices(d, 1)
    edges = np.stack([i, j], axis=1)[(labels[i] >= 0) & (labels[i] == labels[j])].astype(np.int32)
    graph |= {"data": edges[:0] if refused else edges}
    arrays.write_npz(folder / "graph" / f"{site}.{kind}.npz", graph, STAMP, graph_meta)
    record = _block_model(graph_meta, labels, blocks, rng)
    arrays.write_json(folder / "sbm" / f"{site}.{kind}.json", record, STAMP)
    return np.where(labels >= 0, -1, labels) if refused else labels


def _block_model(
    meta: dict[str, Any], labels: np.ndarray, blocks: int, rng: np.random.Generator
) -> dict[str, Any]:
    kept = ("site", "kind", "features", "live", "dead", "status", "reason")
    record = {key: meta[key] for key in kept}
    record |= {"settings": {"seeds": 5, "seed": 1}, "grouped": 0, "edges": 0, "levels": []}
    record |= {"blocks": [], "classical": _classical(meta, labels)}
    if meta["status"] == "refused":
        return record
    levels = [labels] if blocks == 1 else [labels, np.where(labels > 0, labels % 2, labels)]
    if blocks > 1:
        levels.append(np.minimum(labels, 0))
    several = blocks > 1
    length = 900.0 + 40 * blocks
    return record | {
        "grouped": int((labels >= 0).sum()),
        "edges": 160,
        "levels": [level.tolist() for level in levels],
        "blocks": [int(level.max()) + 1 for level in levels],
        "description_length": length,
        "description_length_one_block": length + (300.0 if several else 0.0),
        "description_length_uncorrected": length + 25.0,
        "restarts": [{"seed": seed} for seed in range(1, 6)],
        "seed_ami": float(rng.uniform(0.85, 0.98)) if several else None,
        "stability": [
            float(x) if y >= 0 else None
            for x, y in zip(rng.random(len(labels)), labels, strict=True)
        ],
        "half_ami": float(rng.uniform(0.6, 0.8)) if several else None,
        "half_ami_null": 0.01 if several else None,
        "half_blocks": [blocks, blocks],
        "half_shared": int((labels >= 0).sum()),
        "null": {"permuted": [1, 1, 1], "entries": [1, 1, 1], "rolled": [1, 1, 2]},
        "null_pass": meta["site"] != "mlp.2",
    }


def _classical(meta: dict[str, Any], labels: np.ndarray) -> dict[str, Any]:
    """The complete weighted model: at attention sites alone, every feature its own block at one."""
    reason = meta["reason"] or (
        f"{meta['live']} live features; sbm.classical_features allows 20"
        if meta["live"] > 20
        else None
    )
    empty = dict.fromkeys(
        ("description_length", "description_length_default", "description_length_one_block",
         "ami_default", "seed_ami", "own_blocks")
    )  # fmt: skip
    record = {"status": "refused" if reason else "ok", "reason": reason, **empty}
    if reason:
        return record | {"levels": [], "blocks": [], "restarts": []}
    own = meta["site"] == "attn.2"
    found = np.where(labels == -2, -2, np.arange(len(labels)) if own else labels % 2)
    return record | {
        "levels": [found.tolist()],
        "blocks": [int(found.max()) + 1],
        "description_length": 400.0,
        "description_length_default": 430.0,
        "description_length_one_block": 480.0,
        "ami_default": 0.4,
        "seed_ami": 0.7,
        "own_blocks": own,
        "restarts": [{"description_length": 400.0}, {"description_length": 412.5}],
    }


def _write_partitions(
    folder: Path,
    widths: dict[str, int],
    groups: dict[tuple[str, str], np.ndarray],
    base: dict[str, dict[str, np.ndarray]],
    rng: np.random.Generator,
) -> dict[str, dict[str, np.ndarray]]:
    """One file; returns {site: {partition: labels}}, with those of the base for other sites."""
    labels = {}
    for site, d in widths.items():
        rois = groups[site, "activation"]
        labels[site] = {
            "modules": np.zeros(d, np.int32),
            "heads": np.arange(d) // HEAD_WIDTH if site.startswith("attn") else np.zeros(d, int),
            "rois": rois,
            "rois_attribution": groups[site, "attribution"],
        } | {
            name: np.where(rois >= 0, rng.integers(0, max(rois.max() + 1, 1), d), rois)
            for name in CONTROLS
        }
    columns: dict[str, Any] = {
        "site": [site for site, d in widths.items() for _ in range(d)],
        "feature": pa.array([i for d in widths.values() for i in range(d)], pa.int32()),
    }
    for name in (*LABELLED, *CONTROLS):
        joined = np.concatenate([labels[site][name] for site in widths])
        columns[name] = pa.array(joined.astype(np.int32))
    for name in ("stability", "stability_attribution"):
        values = rng.random(len(columns["site"])).astype(np.float32)
        columns[name] = pa.array(
            [None if i % 7 == 0 else v for i, v in enumerate(values)], pa.float32()
        )
    tables.write_table(folder / "partitions.parquet", columns, STAMP, _about(labels))
    return {**base, **labels}


def _write_directions(folder: Path, labels: dict[str, dict[str, np.ndarray]]) -> None:
    """Random directions, but for the first part of each site, whose members write nearly alike."""
    rng, rows = np.random.default_rng(5), []
    for partition in ("rois", "rois_attribution"):
        for end in directions.ENDS:
            measured = {}
            for site, of_site in labels.items():
                found = rng.standard_normal((len(of_site["rois"]), HEADS * HEAD_WIDTH))
                if end == "writing":
                    found[of_site["rois"] == 0, 0] += 20
                measured[site] = directions.compare(found, of_site[partition], 39, 1, site)
            rows += directions.rows(partition, end, measured)
    table = pa.Table.from_pylist(rows, schema=directions.SCHEMA)
    tables.write_table(folder / "directions.parquet", table, STAMP)


def _about(labels: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Metadata of the partitions file."""
    partitions: dict[str, dict[str, Any]] = {}
    for site, of_site in labels.items():
        for name, found in of_site.items():
            about: dict[str, Any] = {"status": "ok", "reason": None, **size_statistics(found)}
            if name in ("rois", *CONTROLS):
                about |= {"kind": "activation"}
            if name == "rois_attribution":
                about |= {"kind": "attribution"}
                if site == REFUSED[0]:
                    about |= {"status": "refused", "reason": "no pair of features correlates"}
            if name in CONTROLS:
                wanted = None if name == "infomap" else int(of_site["rois"].max()) + 1
                about |= {"matched": "rois", "wanted": wanted}
            if name == "leiden":
                about |= {"resolution": 1.25}
            partitions.setdefault(name, {})[site] = about
    draws = {"data": [6], "permuted": [7, 9, 8], "entries": [8, 8, 8], "rolled": [5, 6, 7]}
    counts = {"leiden": draws, "infomap": draws | {"permuted": [1, 2, 1]}}
    kinds = ("activation", "attribution")
    communities = {
        site: {kind: counts for kind in kinds if (site, kind) != REFUSED} for site in SITES
    }
    return {"partitions": partitions, "communities": communities}


def nodes_of(
    partition: str, labels: dict[str, dict[str, np.ndarray]]
) -> list[tuple[str, str, int]]:
    """(name, site, features) of the nodes of a part graph, in the order of the forward pass."""
    nodes = [("input", "embed", 1)]
    for site in SITES:
        letter, layer = site[0], site.split(".")[1]
        of_site = labels[site][partition]
        for part in sorted({int(x) for x in of_site}, key=lambda x: (x < 0, abs(x))):
            whole = partition == "modules" or (partition == "heads" and letter == "m")
            name = f"{letter}{layer}"
            if part < 0:
                name += {-1: ".ungrouped", -2: ".dead"}[part]
            elif not whole:
                name += f".h{part}" if partition == "heads" else f".r{part}"
            nodes.append((name, site, int((of_site == part).sum())))
    return [*nodes, ("logits", "logits", 0)]


def edges_of(nodes: list[tuple[str, str, int]]) -> Iterator[tuple[int, int]]:
    """Index pairs (source, target) of all edges: earlier sites to later ones."""
    order = ["embed", *SITES, "logits"]
    for i, j in itertools.combinations(range(len(nodes)), 2):
        if order.index(nodes[i][1]) < order.index(nodes[j][1]):
            yield i, j


def _write_circuit(
    folder: Path,
    task: str,
    labels: dict[str, dict[str, np.ndarray]],
    errors: tuple[str, ...],
    rng: np.random.Generator,
) -> None:
    node_rows, edge_rows, evaluation = [], [], []
    for partition in PARTITIONS:
        nodes = nodes_of(partition, labels)
        edges = list(edges_of(nodes))
        truth = rng.standard_normal(len(edges)) * np.exp(1.3 * rng.standard_normal(len(edges))) / 50
        methods = METHODS + (["exact"] if partition in ("heads", "modules") else [])
        for method in methods:
            score = truth * (1 + 0.1 * rng.standard_normal(len(edges)))
            of_node = np.zeros(len(nodes))
            np.add.at(of_node, [i for i, _ in edges], score)
            node_rows += [
                {
                    "partition": partition, "method": method, "ablation": "counterfactual",
                    "node": name, "site": site, "kind": _kind(name), "features": features,
                    "score": float(of_node[k]), "se": abs(float(of_node[k])) / 10,
                    "mean_abs": abs(float(of_node[k])), "sign_share": 0.9, "n": 100,
                }
                for k, (name, site, features) in enumerate(nodes[:-1])
            ]  # fmt: skip
            edge_rows += [
                {
                    "partition": partition, "method": method, "ablation": "counterfactual",
                    "src": nodes[i][0], "dst": nodes[j][0], "slot": "",
                    "src_site": nodes[i][1], "dst_site": nodes[j][1],
                    "n_src": nodes[i][2], "n_dst": nodes[j][2],
                    "score": float(s), "se": abs(float(s)) / 10, "mean_abs": abs(float(s)),
                    "sign_share": 0.9, "n": 100,
                }
                for (i, j), s in zip(edges, score, strict=True)
            ]  # fmt: skip
            for error in errors:
                found = _evaluate(task, partition, method, nodes, score)
                evaluation += [row | {"error": error} for row in found]
    evaluation += _evaluate_nodes(task, labels, errors)
    for name, rows in (("nodes", node_rows), ("edges", edge_rows)):
        path = folder / "circuits" / f"{task}.{name}.parquet"
        tables.write_table(path, pa.Table.from_pylist(rows), STAMP)
    path = folder / "evaluation" / f"{task}.parquet"
    tables.write_table(path, pa.Table.from_pylist(evaluation), STAMP)
    curves = dict.fromkeys(
        (row["partition"], row["method"], row["intervention"])
        for row in evaluation
        if row["mode"] == "circuit"
    )
    summaries = [_summary_of(key, rng) for key in curves]
    path = folder / "evaluation" / f"{task}.summaries.parquet"
    tables.write_table(path, pa.Table.from_pylist(summaries), STAMP)
    path = folder / "circuits" / f"{task}.stability.parquet"
    tables.write_table(path, pa.Table.from_pylist(list(_stability(rng))), STAMP)


def _summary_of(key: tuple[str, ...], rng: np.random.Generator) -> dict[str, Any]:
    value = float(rng.uniform(0.5, 0.9))
    record = dict(zip(("partition", "method", "intervention"), key, strict=True)) | {
        "ablation": "counterfactual", "ranking": "absolute", "points": 8, "k_min": 0.01,
        "k_max": 1.0, "cpr_empty": 0.125, "f_at_1": 0.1, "f_at_2": None, "f_at_5": 0.4,
        "pairs": 200, "distinct": 180, "seed": 1,
    }  # fmt: skip
    for name in ("cpr", "cmd", "log_area", "leak"):
        record |= {name: value, f"{name}_lo": value - 0.02, f"{name}_hi": value + 0.02}
    return record


def _stability(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for partition, of, share in itertools.product(PARTITIONS, ("edges", "nodes"), (0.02, 0.1)):
        total = 200 if of == "edges" else 20
        size = round(share * total)
        for method, compared, other in (
            ("eap-ig-inputs", "resamples", None),
            ("eap-ig-inputs", "halves", None),
            ("eap-ig-inputs", "methods", "eap"),
        ):
            value = float(rng.uniform(0.6, 0.9))
            yield {
                "partition": partition, "method": method, "compared": compared, "other": other,
                "of": of, "share": share, "selected": size, "total": total, "jaccard": value,
                "lo": value - 0.1, "hi": value + 0.1, "chance": size / (2 * total - size),
                "all_prompts": value if other else None, "draws": 100, "pairs": 100,
                "distinct": 90,
            }  # fmt: skip


def _kind(name: str) -> str:
    return "input" if name == "input" else ("head" if ".h" in name else "part")


def pruned(kept: list[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    """Edges on some path from node 0 to node `last`, by plain search."""
    down, up = {0}, {last}
    for i, j in sorted(kept):
        if i in down:
            down.add(j)
    for i, j in sorted(kept, key=lambda edge: -edge[1]):
        if j in up:
            up.add(i)
    return [(i, j) for i, j in kept if i in down and j in up]


def _evaluate(
    task: str,
    partition: str,
    method: str,
    nodes: list[tuple[str, str, int]],
    score: np.ndarray,
) -> Iterator[dict[str, Any]]:
    """Rows of the evaluation of one partition and method; faithfulness is made up."""
    edges = list(edges_of(nodes))
    order = sorted(range(len(edges)), key=lambda e: -abs(score[e]))
    total = float(np.abs(score).sum())
    able = task != CANNOT
    sizes = [n for n in (2, 5, 10, 20, 50, 100, 200, 500) if n < len(edges)] + [len(edges)]
    for intervention, size in itertools.product(("edge", "node"), sizes):
        kept = pruned([edges[e] for e in order[:size]], len(nodes) - 1)
        members = {i for edge in kept for i in edge}
        features = sum(nodes[i][2] for i in members)
        share = float(np.abs(score[order[:size]]).sum()) / total
        f = share if size < len(edges) else 1.0
        f = f * (1.0 if kept else 0.0) if able else f * 40 - 11
        base = {
            "partition": partition, "method": method, "ablation": "counterfactual",
            "intervention": intervention, "ranking": "absolute", "requested": size,
            "selected": size, "edges": len(kept), "nodes": len(members), "features": features,
            "weighted": len(kept) / len(edges), "k": size / len(edges), "m_model": 8.0,
            "m_empty": -4.0, "pairs": 200, "distinct": 180, "excluded": 3, "seed": 1,
        }  # fmt: skip
        for mode, value in (("circuit", f), ("complement", 1 - f)):
            row = base | _spread_of(value)
            if size in (20, 100):
                row |= {"null_lo": 0.0, "null_hi": 0.3, "null_median": 0.1, "p": 1 / 21}
                row |= {"draws": 20, "wins": 20, "p_fraction": 0.9**20, "null_pairs": 100}
            if mode == "circuit":
                row |= {"above": 90.0, "p_equivalent": 0.01, "p_different": 0.9}
            if size == 50 and partition == "kmeans":
                row |= {key: None for key in ("f_ratio", "f_lo", "f_hi", "f_median")}
            yield row | {"mode": mode, "m_circuit": 12 * value - 4}
        if size in (20, 100) and method == "eap-ig-inputs" and intervention == "edge":
            yield base | _spread_of(0.1) | {"mode": "random", "m_circuit": -3.0, "draws": 20} | {
                "null_lo": 0.0, "null_hi": 0.3, "null_median": 0.1, "method": "random",
            }  # fmt: skip


def _evaluate_nodes(
    task: str, labels: dict[str, dict[str, np.ndarray]], errors: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Curves of partitions that are run as whole nodes alone; made up like the others."""
    width_all = sum(len(of_site["rois"]) for of_site in labels.values())
    for partition, (i, error) in itertools.product(NODES_ONLY, enumerate(errors)):
        nodes = width_all if partition == "features" else 30
        power = (0.3 if partition == "features" else 0.8) + 0.15 * i
        for share in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
            kept = max(1, round(share * nodes))
            f = (kept / nodes) ** power if task != CANNOT else 7.0
            for mode, value in (("circuit", f), ("complement", 1 - f)):
                yield _spread_of(value) | {
                    "partition": partition, "method": "eap-ig-inputs", "mode": mode,
                    "ablation": "counterfactual", "intervention": "node", "error": error,
                    "ranking": "absolute", "requested": kept, "selected": kept, "edges": 0,
                    "nodes": kept + 1, "features": round(kept / nodes * width_all) + 1,
                    "weighted": share, "k": share, "m_model": 8.0, "m_empty": -4.0,
                    "m_circuit": 12 * value - 4, "pairs": 200, "distinct": 180, "excluded": 3,
                    "seed": 1,
                }  # fmt: skip


def _spread_of(value: float) -> dict[str, Any]:
    return {
        "f_ratio": value, "f_lo": value - 0.04, "f_hi": value + 0.03, "f_median": value,
        "f_q25": value - 0.1, "f_q75": value + 0.1, "null_lo": None, "null_hi": None,
        "null_median": None, "p": None, "kl": 0.1, "accuracy": 0.9, "draws": 0, "wins": None,
        "p_fraction": None, "above": None, "p_equivalent": None, "p_different": None,
        "null_pairs": None,
    }  # fmt: skip


def _write_specificity(folder: Path, rng: np.random.Generator) -> None:
    """Matrices of four tasks; to one of them no part is assigned, one task is left out."""
    able = [task for task in TASKS if task != CANNOT]
    run = {"pairs": 60, "draws": 20, "null_pairs": 10, "seed": 1}
    left_out = {"task": CANNOT, "measured": CANNOT, "status": "refused", "reason": "chance"}
    cells: list[dict[str, Any]] = [left_out]
    summaries: list[dict[str, Any]] = []
    kinds = itertools.product(
        ("heads", "rois_attribution"), ("circuit", "assigned"), ("ablate", "keep")
    )
    for partition, sets, intervention in kinds:
        about = {"partition": partition, "sets": sets, "intervention": intervention, **run}
        kept = able if sets == "circuit" else able[1:]
        on = 0.1 if intervention == "ablate" else 0.9
        for task, measured in itertools.product(able, able):
            if task not in kept:
                refused = {"status": "refused", "reason": f"no part is assigned to {task}"}
                cells += [about | {"task": task, "measured": task} | refused]
                continue
            value = float((on if task == measured else 1 - on) + rng.uniform(-0.05, 0.05))
            cells.append(
                about | {
                    "task": task, "measured": measured, "status": "ok", "nodes": 2,
                    "features": 20, "parts": "a0.h1 a1.h2", "distinct": 55, "f": value,
                    "f_lo": value - 0.02, "f_hi": value + 0.02, "null_f": 0.5, "accuracy": value,
                    "accuracy_lo": value - 0.1, "accuracy_hi": value + 0.1, "null_accuracy": 0.7,
                }
            )  # fmt: skip
        summaries += [
            about | {
                "measure": measure, "tasks": len(kept), "status": "ok", "diagonal": on,
                "beside": 1 - on, "worst": on, "worst_task": "ioi", "separation": 0.8,
                "separation_lo": 0.7, "separation_hi": 0.9, "separation_first": 0.75,
                "null_lo": -0.1, "null_median": 0.0, "null_hi": 0.2, "p": 1 / 21,
                "p_labels": 0.002, "nodes": 2.0, "features": 20.0, "null_features": 21.5,
                "unassigned": 3, "nodes_all": 15, "features_all": 168,
            }
            for measure in ("f", "accuracy")
        ]  # fmt: skip
    for name, columns, rows in (
        ("specificity", specificity.CELLS, cells),
        ("specificity.summary", specificity.SUMMARIES, summaries),
    ):
        filled = [dict.fromkeys(columns) | row for row in rows]
        tables.write_table(folder / f"{name}.parquet", pa.Table.from_pylist(filled), STAMP)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
