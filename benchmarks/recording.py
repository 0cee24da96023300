"""Throughput of recording against the bare forward pass of the body, CPU time, one thread, one run.

Run by the main interpreter: python benchmarks/recording.py
Random weights of GPT-2-small size and of the embedded default; documents of 40 to 60 tokens. Prints
tokens per second of (a) the forward pass alone, on the same batches; (b) record batches of the
native features of every site, nothing written; (c) the same written as Parquet, as the rule does.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from engine import SIZES, random_model, seconds  # sets the path to the library

from connectome import activations, tables, transformer
from connectome.prompts import Batch

DOCUMENTS = {"gpt2-small": 60, "embedded": 2000}
BATCH_TOKENS = 1024


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'size':<12} {'way':<16} {'tokens/s':>10} {'of the forward pass':>20}")
    for name, documents in DOCUMENTS.items():
        model = random_model(SIZES[name])
        generator = np.random.default_rng(0)
        lengths = generator.integers(40, 61, documents)
        ids = [generator.integers(0, model.size.vocabulary, n).tolist() for n in lengths]
        corpus = pa.table({"document": pa.array(np.arange(documents), pa.int32()), "tokens": ids})
        columns = activations.columns_of(model, "all", [])
        layout = activations.schema(columns, "float32")
        batches = [
            Batch.of([ids[row] for row in rows]) for rows in activations.groups(ids, BATCH_TOKENS)
        ]

        def bare(model=model, batches=batches) -> None:
            with torch.inference_mode():
                for batch in batches:
                    transformer.forward(model, batch)

        def record(model=model, corpus=corpus, columns=columns, layout=layout):
            return activations.record(model, corpus, columns, BATCH_TOKENS, layout)

        def read(record=record) -> None:
            for _ in record():
                pass

        def write(record=record, layout=layout) -> None:
            with (
                tempfile.TemporaryDirectory() as folder,
                tables.batch_writer(Path(folder) / "part.parquet", layout, {}) as writer,
            ):
                for batch in record():
                    writer.write_batch(batch)

        ways: dict[str, Callable[[], None]] = {"forward": bare, "recorded": read, "written": write}
        taken = {way: seconds(call, 3) for way, call in ways.items()}
        for way, spent in taken.items():
            share = taken["forward"] / spent
            print(f"{name:<12} {way:<16} {lengths.sum() / spent:>10,.0f} {share:>20.2f}")


if __name__ == "__main__":
    main()
