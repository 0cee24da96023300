"""Tables of one made-up circuit of 2,000 nodes and 20,000 edges: for the speed of the page."""

import shutil
from pathlib import Path

import numpy as np

import report_chain
from connectome import tables
from connectome.tabulate.circuits import SCORE_COLUMNS
from connectome.tabulate.rois import SCORE_COLUMNS as NODE_COLUMNS
from synthetic_results import DICTIONARY

NODES, EDGES, LAYERS = 2_000, 20_000, 6
NAMES = {
    "model": report_chain.MODEL, "dictionary": DICTIONARY, "task": "ioi", "partition": "heads",
    "method": "eap-ig-inputs",
}  # fmt: skip


def write(root: Path) -> None:
    """The synthetic results and their page, with the scores of this one circuit."""
    shutil.copytree(report_chain.results(), root)
    rng = np.random.default_rng(11)
    sites = [f"{kind}.{layer}" for layer in range(LAYERS) for kind in ("attn", "mlp")]
    place = np.sort(rng.integers(0, len(sites), NODES - 2))
    names = [f"{sites[s][0]}{sites[s][5:].strip('.')}.r{i}" for i, s in enumerate(place)]
    nodes = ["input", *names, "logits"]
    site = ["embed", *(sites[s] for s in place), "logits"]
    row = np.concatenate([[-1], place, [len(sites)]])
    ends = rng.integers(0, NODES, (4 * EDGES, 2))
    ends = np.unique(ends[row[ends[:, 0]] < row[ends[:, 1]]], axis=0)
    ends = rng.permutation(ends)[:EDGES]
    score = rng.standard_normal(EDGES) * np.exp(1.5 * rng.standard_normal(EDGES)) / 100
    order = np.argsort(-np.abs(score))
    ends, score = ends[order], score[order]
    size, total = np.abs(score), float(np.abs(score).sum())
    into = np.bincount(ends[:, 1], size, NODES)
    out = np.bincount(ends[:, 0], size, NODES)
    rows = [
        NAMES | {
            "rank": i + 1, "edges_all": EDGES, "src": nodes[a], "dst": nodes[b], "slot": "",
            "src_site": site[a], "dst_site": site[b], "score": float(score[i]),
            "cumulative": float(size[: i + 1].sum()) / total,
            "of_inputs": float(size[i] / into[b]), "of_outputs": float(size[i] / out[a]),
        }
        for i, (a, b) in enumerate(ends.tolist())
    ]  # fmt: skip
    tables.write_csv(root / "tables" / "edge_scores.csv", rows, SCORE_COLUMNS)
    shares = [
        dict.fromkeys(NODE_COLUMNS, "") | NAMES | {
            "node": node, "site": site[i], "features": 3, "score": float(out[i]), "se": 0.0,
            "share": float(out[i]) / total,
            **dict.fromkeys(("active", "mean", "mean_active")),
        }
        for i, node in enumerate(nodes[:-1])
    ]  # fmt: skip
    tables.write_csv(root / "tables" / "roi_scores.csv", shares, NODE_COLUMNS)
    report_chain.call_page(root)
