"""Cost and recovery of the block model on planted groups of 1,000, 4,000 and 16,000 features.

Run by the interpreter that has graph-tool: /usr/bin/python3 benchmarks/sbm.py
Features load on groups of unequal sizes; three in ten are noise. Prints edges, CPU seconds per fit
(mean over restarts), blocks found and planted, the adjusted Rand index against the planted groups
over their features, the share of noise that is left out, and the peak memory so far. Rows are
independent here, so the threshold is that of independent normal samples: the rolled series of the
workflow would hold four more matrices of 2 GB at the largest size.
"""

import resource
import sys
import time
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from connectome import agreement, graphs, moments, sbm

SAMPLES, NEIGHBOURS, FALSE_PAIRS, SEEDS = 4000, 10, 0.1, (1, 2)
SIZES = {1000: (0.05, 0.07, 0.1), 4000: (0.05, 0.07, 0.1), 16000: (0.1,)}
SETTINGS = {"sweeps": 10, "patience": 2, "min_gain": 0.1}


def adjusted_rand(left: np.ndarray, right: np.ndarray) -> float:
    """Adjusted Rand index (Hubert & Arabie 1985)."""
    counts = agreement.contingency(left, right)

    def pairs(sizes):
        return float(np.sum(sizes * (sizes - 1) / 2))

    rows, columns = pairs(counts.sum(axis=1)), pairs(counts.sum(axis=0))
    expected = rows * columns / pairs(counts.sum())
    return (pairs(counts) - expected) / ((rows + columns) / 2 - expected)


def planted(features: int, strength: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, d) and groups (d,) with -1 for noise; group sizes spread from 1 to 4."""
    generator = np.random.default_rng(seed)
    members = int(0.7 * features)
    weight = np.linspace(1, 4, features // 30)
    group = np.full(features, -1)
    group[:members] = np.sort(generator.choice(len(weight), members, p=weight / weight.sum()))
    x = generator.standard_normal((SAMPLES, features))
    factors = generator.standard_normal((SAMPLES, len(weight)))
    x[:, :members] *= np.sqrt(1 - strength)
    x[:, :members] += np.sqrt(strength) * factors[:, group[:members]]
    return x, group


def main() -> None:
    print("features strength  edges  CPU s/fit  blocks planted   ARI  noise left out  peak GB")
    for features, strengths in SIZES.items():
        for strength in strengths:
            x, group = planted(features, strength, seed=0)
            chance = FALSE_PAIRS / (features - 1)
            threshold = NormalDist().inv_cdf(1 - chance / 2) * SAMPLES**-0.5
            r = moments.correlation(moments.of_rows(x).m2)
            edges = graphs.nearest_neighbours(graphs.Correlations(r), NEIGHBOURS, threshold)
            del x, r
            start = time.process_time()
            fits = sbm.fit_edges(edges, SEEDS, SETTINGS, degree_corrected=True)
            taken = (time.process_time() - start) / len(SEEDS)
            found = np.full(features, -1)
            found[fits.nodes] = fits.best.levels[0]
            member = group >= 0
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(
                f"{features:>8} {strength:>8} {len(edges):>6} {taken:>10.1f} {fits.best.blocks:>7}"
                f" {group.max() + 1:>7} {adjusted_rand(group[member], found[member]):>5.2f}"
                f" {np.mean(found[~member] < 0):>15.2f} {peak:>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
