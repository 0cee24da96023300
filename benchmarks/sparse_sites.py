"""Cost and recovery of a site of sparse features: covariance, graph and block model.

Run by the main interpreter: python benchmarks/sparse_sites.py --graph-tool /usr/bin/python3
Writes firing of planted groups as encoded features and runs the scripts of the workflow on it, one
after the other, with the settings of config/config.yaml but three seeds and `--draws` draws of each
null. About 32 features fire on a token, each at a rate of its own (over two orders of
magnitude) and in bursts; three in ten are noise. Prints wall and CPU seconds and the peak memory of
each script, then what became of the planted groups. Bar: 10 minutes and 8 GiB on 2 cores for 16,384
features and 100,000 tokens.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from sklearn.metrics import adjusted_rand_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from connectome import arrays, encoded, graphs, planted, tables
from connectome.labelling import UNGROUPED

HOME = Path(__file__).resolve().parents[1]
SCRIPTS = HOME / "workflow" / "scripts"
SITE, DOCUMENT, ACTIVE, BURST = "mlp.0", 50, 32, 4
RATES = (0.02, 4.0)  # of the mean rate: the rarest and the most frequent features
FEWER = {"seeds": 3, "control_seeds": 1}


def write(path: Path, features: int, tokens: int) -> np.ndarray:
    """Encoded features of planted groups; their labels (features,)."""
    rng = np.random.default_rng(0)
    sizes = np.linspace(12, 48, 7 * features // 300).astype(int)
    labels = planted.groups(sizes, noise=features - sizes.sum(), dead=0, seed=1)
    rates = np.exp(rng.uniform(*np.log(RATES), features))
    rates *= ACTIVE / rates.sum()
    token, feature = planted.firing(labels, rates, tokens, share=0.5, burst=BURST, seed=2)
    place = np.arange(tokens)
    keys = {"document": place // DOCUMENT, "position": place % DOCUMENT + 1, "token": place * 0}
    lengths = np.bincount(token, minlength=tokens)
    about = {"site": SITE, "features": features}
    with tables.batch_writer(path, encoded.SCHEMA, {}, about, "zstd") as writer:
        writer.write_batch(
            encoded.record_batch(
                keys, lengths, feature.astype(np.int32), np.ones(len(feature), np.float32)
            )
        )
    return labels


def run(python: str, script: str, cfg: dict, **files: Path | str) -> tuple[float, float, float]:
    """Wall and CPU seconds and peak GiB of a script."""
    words = [python, str(SCRIPTS / f"{script}.py"), "--cfg", json.dumps(cfg)]
    for name, path in files.items():
        words += [f"--{name}", str(path)]
    start = time.perf_counter()
    child = os.spawnvpe(os.P_NOWAIT, python, words, {**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(child, 0)
    assert status == 0, script
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=16_384)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--graph-tool", default="/usr/bin/python3", metavar="PYTHON")
    args = parser.parse_args()
    settings = yaml.safe_load((HOME / "config/config.yaml").read_text())
    graph = settings["graph"] | {"draws": args.draws}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        part, covariance = root / "part-0-of-1.parquet", root / "covariance.npz"
        edges, record = root / "graph.npz", root / "sbm.json"
        labels = write(part, args.features, args.tokens)
        site = {"site": SITE, "kind": "activation", "dictionary": "sae", "samples": part}
        steps = {
            "compute_covariance": lambda: run(
                sys.executable,
                "compute_covariance",
                settings["covariance"],
                **site,
                output=covariance,
            ),
            "build_graph": lambda: run(
                sys.executable,
                "build_graph",
                {"graph": graph, "seed": 1},
                covariance=covariance,
                samples=part,
                output=edges,
            ),
            "fit_sbm": lambda: run(
                args.graph_tool,
                "fit_sbm",
                {"sbm": settings["sbm"] | FEWER, "seed": 1},
                graph=edges,
                covariance=covariance,
                output=record,
            ),
        }
        print(f"{'':<20} {'wall s':>8} {'CPU s':>8} {'peak GiB':>9}")
        spent = []
        for name, step in steps.items():
            spent.append(step())
            print(
                f"{name:<20} {spent[-1][0]:>8.1f} {spent[-1][1]:>8.1f} {spent[-1][2]:>9.2f}",
                flush=True,
            )
        walls, cpus, peaks = zip(*spent, strict=True)
        print(f"{'all':<20} {sum(walls):>8.1f} {sum(cpus):>8.1f} {max(peaks):>9.2f}")
        size = covariance.stat().st_size / 2**20
        report(arrays.read_json(record), arrays.read_npz(edges), labels, size)


def report(fit: dict, graph: tuple, labels: np.ndarray, size: float) -> None:
    found = np.array(fit["levels"][0])
    content, meta = graph
    often = content["dead_reason"] == graphs.LIVE
    live, noise = (labels >= 0) & often, (labels == UNGROUPED) & often
    print(f"covariance {size:.0f} MiB; dead {meta['dead']}, {meta['seldom']} fire too seldom")
    print(f"{fit['live']} features, {fit['edges']} edges")
    print(f"threshold {content['threshold'][0]:.4f}; members in the graph", end=" ")
    print(f"{np.mean(found[live] >= 0):.2f}, noise left out {np.mean(found[noise] < 0):.2f}")
    print(f"blocks {fit['blocks'][0]}, planted {labels.max() + 1}; nulls {fit['null']}")
    for name, chosen in (("in the graph", live & (found >= 0)), ("often enough", live)):
        score = adjusted_rand_score(labels[chosen], found[chosen])
        print(f"adjusted Rand index of members {name}: {score:.2f}")


if __name__ == "__main__":
    main()
