"""Recording: every wanted column of every token of the corpus, in one streamed forward pass.

Columns are native features of sites (`mlp.0.hidden`, `attn.0.values`), outputs of modules
(`embed`, `attn.0`, `mlp.0`, `resid.0`) and what MLPs read (`mlp.0.in`). Memory depends on the
batch, not on the corpus.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from connectome import shards
from connectome.devices import within_memory
from connectome.errors import ConfigError
from connectome.transformer import (
    Batch,
    Trace,
    Transformer,
    forward,
    native_features_of,
    read_by,
)

KEYS = ("document", "position", "token")


def columns_of(
    model: Transformer, sites: str | Sequence[str], outputs: Sequence[str]
) -> dict[str, int]:
    """Names and widths of the recorded columns, in the order of the forward pass."""
    wanted = list(model.sites) if sites == "all" else [s for s in model.sites if s in sites]
    names = {"attn": "values", "mlp": "hidden"}
    columns = {f"{site}.{names[site.split('.')[0]]}": model.features(site) for site in wanted}
    return columns | {name: model.size.width for name in outputs}


def schema(columns: Mapping[str, int], dtype: str) -> pa.Schema:
    """Arrow schema of a part file: keys, then one FixedSizeList column each."""
    value = pa.field("item", {"float32": pa.float32(), "float16": pa.float16()}[dtype], False)
    return pa.schema(
        [pa.field(key, pa.int32(), False) for key in KEYS]
        + [pa.field(name, pa.list_(value, width), False) for name, width in columns.items()]
    )


def shard(corpus: pa.Table, number: int, of: int, batch_tokens: int) -> pa.Table:
    """Documents of one shard: whole batches of the corpus, consecutive, about equally many.

    Each document runs in the same batch for any number of shards, so its values are the same too.
    """
    batches = list(groups(corpus["tokens"].to_pylist(), batch_tokens))
    mine = batches[shards.span(len(batches), number, of)]
    return corpus.slice(mine[0][0], sum(map(len, mine))) if mine else corpus.slice(0, 0)


def check_space(path: Path, corpus: pa.Table, layout: pa.Schema) -> None:
    """Refuse what cannot fit on the disk, before anything runs. Raises ConfigError."""
    tokens = sum(map(len, corpus["tokens"].to_pylist()))
    row = sum(
        field.type.list_size * field.type.value_type.bit_width // 8
        for field in layout
        if pa.types.is_fixed_size_list(field.type)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if tokens * row > free:
        raise ConfigError(
            f"activations: {tokens} tokens need {tokens * row / 1e9:.1f} GB, but only "
            f"{free / 1e9:.1f} GB are free at {path.parent}; record fewer sites or tokens, or "
            "use dtype float16"
        )


def record(
    model: Transformer,
    corpus: pa.Table,
    columns: Mapping[str, int],
    batch_tokens: int,
    layout: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """Record batches of the documents of `corpus`, rows in the corpus's order.

    Documents are padded to the longest of their batch, which holds at most `batch_tokens` places
    (one document always fits); padding is never written.
    """
    documents = corpus["document"].to_pylist()
    tokens = corpus["tokens"].to_pylist()

    def run(group: Sequence[int]) -> pa.RecordBatch:
        batch = Batch.of([tokens[row] for row in group])
        found = _columns(model, batch, columns, layout)
        keys = (
            np.repeat([documents[row] for row in group], batch.lengths),
            batch.positions[batch.real].numpy(),
            batch.ids[batch.real].numpy(),
        )
        arrays = [*(pa.array(key, pa.int32()) for key in keys), *(found[name] for name in columns)]
        return pa.RecordBatch.from_arrays(arrays, schema=layout)

    with tqdm(total=len(tokens), unit="document", disable=not sys.stderr.isatty()) as progress:
        for rows in within_memory(run, groups(tokens, batch_tokens), "documents"):
            progress.update(len(rows["document"].unique()))
            yield rows


@torch.inference_mode()
def _columns(
    model: Transformer, batch: Batch, columns: Mapping[str, int], layout: pa.Schema
) -> dict[str, pa.Array]:
    """Columns of a batch, each taken as soon as its module has run, so that nothing piles up."""
    found: dict[str, pa.Array] = {}
    real = batch.real.to(model.device)

    def take(name: str, trace: Trace) -> None:
        item = layout.field(name).type
        value = {pa.float16(): torch.float16, pa.float32(): torch.float32}[item.value_type]
        flat = column(model, trace, name)[real].flatten().to(torch.float32).to(value).cpu().numpy()
        found[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat), type=item)

    def visit(site: str, trace: Trace) -> None:
        kind, layer = site.split(".")
        ends = [".in", ".hidden"] if kind == "mlp" else [".values"]
        own = [site, *(site + end for end in ends), f"resid.{layer}" if kind == "mlp" else ""]
        for name in own:
            if name in columns:
                take(name, trace)

    trace = forward(model, batch, visit=visit)
    if "embed" in columns:
        take("embed", trace)
    return found


def groups(tokens: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Numbers of the documents of each batch, which holds at most `batch_tokens` padded places."""
    group: list[int] = []
    longest = 0
    for row, ids in enumerate(tokens):
        longest = max(longest, len(ids))
        if group and longest * (len(group) + 1) > batch_tokens:
            yield group
            group, longest = [], len(ids)
        group.append(row)
    if group:
        yield group


def column(model: Transformer, trace: Trace, name: str) -> torch.Tensor:
    """Values (n, t, width) of one recorded column in a pass."""
    site, _, kind = name.rpartition(".")
    if kind in ("values", "hidden"):
        return native_features_of(trace, site)
    if kind == "in":
        return read_by(model, trace, site)
    if name == "embed":
        return trace.streams[0]
    kind, layer = name.split(".")
    if kind == "resid":
        return trace.streams[2 * int(layer) + 2]
    place = model.sites.index(name)
    return trace.streams[place + 1] - trace.streams[place]
