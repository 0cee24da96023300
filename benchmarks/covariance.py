"""Throughput of the streamed covariance against this machine's own matrix product.

Run by the main interpreter: python benchmarks/covariance.py
Prints, for sites of 256, 1,024 and 3,072 features, rows per second of (a) the bare product X'X in
float64, all rows in memory; (b) the streamed moments from float32 batches in memory; (c) the
same read from Parquet, as the rule does it. One thread is fair: OMP_NUM_THREADS=1.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from connectome import moments, tables

ROWS, BATCH = 100_000, 8192
ORIGIN = {"site": "mlp.0", "kind": "activation", "dictionary": "neurons", "skip_start": True}


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of the faster of two calls."""
    taken = []
    for _ in range(2):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def streamed(batches) -> None:
    moments.accumulate(moments.samples(batches, "mlp.0", "activation", True), ORIGIN)


def main() -> None:
    print(f"{'features':>8} {'way':<24} {'rows/s':>12} {'share of the product':>21}")
    for width in (256, 1024, 3072):
        x = np.random.default_rng(0).standard_normal((ROWS, width), dtype=np.float32)
        keys = {
            "document": np.arange(ROWS, dtype=np.int32) // 50,
            "position": np.full(ROWS, 1, dtype=np.int32),
        }
        wide = x.astype(np.float64)
        product = seconds(lambda wide=wide: wide.T @ wide)
        del wide
        cuts = [slice(start, start + BATCH) for start in range(0, ROWS, BATCH)]
        batches = [(x[cut], {key: value[cut] for key, value in keys.items()}) for cut in cuts]
        memory = seconds(lambda batches=batches: streamed(batches))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "part.parquet"
            cells = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), width)
            table = pa.table({**keys, "mlp.0.hidden": cells})
            pq.write_table(table, path, use_dictionary=False, write_statistics=False)
            names = moments.KEYS["activation"]
            read = seconds(
                lambda path=path, names=names: streamed(
                    tables.iter_column([path], "mlp.0.hidden", names, BATCH)
                )
            )
        for way, taken in (
            ("product in memory", product),
            ("streamed from memory", memory),
            ("streamed from Parquet", read),
        ):
            print(f"{width:>8} {way:<24} {ROWS / taken:>12,.0f} {product / taken:>21.2f}")


if __name__ == "__main__":
    main()
