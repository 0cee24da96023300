"""Sparse features through the scripts: encoded, counted, grouped, beside native partitions."""

import argparse
import importlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from conftest import SCRIPTS
from connectome import arrays, command, encoded, partitions, planted, tables
from connectome.errors import DataError
from connectome.labelling import DEAD, UNGROUPED
from test_graphs import SETTINGS
from test_moments import written_part
from test_sparse_features import LABELS, firing, keys_of, listed

PYTHON = os.environ.get("LM_CONNECTOME_GRAPH_TOOL_PYTHON", "/usr/bin/python3")


def write_encoded(path, x, site="mlp.0", keys=None):
    about = {"site": site, "features": x.shape[1]}
    with tables.batch_writer(path, encoded.SCHEMA, {}, about, "zstd") as writer:
        writer.write_batch(encoded.record_batch(keys or keys_of(len(x)), *listed(x)))
    return path


@pytest.mark.parametrize("transcoder", [False, True])
def test_the_script_encodes_the_column_that_the_dictionary_reads(tmp_path, transcoder):
    generator = np.random.default_rng(2)
    weights = {
        "W_enc": generator.standard_normal((4, 9)),
        "b_enc": generator.standard_normal(9),
        "W_dec": generator.standard_normal((9, 4)),
        "b_dec": generator.standard_normal(4),
    }
    folder = tmp_path / "dictionary"
    folder.mkdir()
    tensors = {name: torch.from_numpy(w.astype(np.float32)) for name, w in weights.items()}
    save_file(tensors, folder / "sae_weights.safetensors")
    record = {"d_in": 4, "d_sae": 9, "dtype": "float32", "device": "cpu"}
    record |= {"architecture": "transcoder" if transcoder else "standard"}
    record |= (
        {"apply_b_dec_to_input": not transcoder, "d_out": 4}
        if transcoder
        else {"apply_b_dec_to_input": True}
    )
    record |= {"normalize_activations": "none", "reshape_activations": "none"}
    record |= {"metadata": {"sae_lens_version": "6.54.12", "model_name": "m", "hook_name": "h"}}
    (folder / "cfg.json").write_text(json.dumps(record))
    x = generator.standard_normal((30, 4)).astype(np.float32)
    other = np.zeros_like(x)
    columns = {"mlp.1": other, "mlp.1.in": x} if transcoder else {"mlp.1": x, "mlp.1.in": other}
    cells = {name: tables.fixed_lists(values) for name, values in columns.items()}
    keys = {name: pa.array(column, pa.int32()) for name, column in keys_of(30).items()}
    part = tmp_path / "activations" / "part-0-of-2.parquet"
    tables.write_table(part, keys | cells, {})
    target = tmp_path / "features" / "part-0-of-2.parquet"
    files = {"dictionary": [folder / "cfg.json"], "activations": part, "output": target}
    call("encode_features", {}, site="mlp.1", device="cpu", **files)
    ((fires, found),) = [batch for batch in encoded.batches([target]) if batch[0].shape[0]]
    centre = 0 if transcoder else weights["b_dec"]
    expected = np.maximum((x - centre) @ weights["W_enc"] + weights["b_enc"], 0)
    np.testing.assert_array_equal(fires.toarray() > 0, expected > 0)
    assert found["document"].tolist() == keys["document"].to_pylist()
    table = pq.read_table(target)
    np.testing.assert_allclose(
        np.concatenate(table["value"].to_pylist()), expected[expected > 0], rtol=1e-4
    )
    assert tables.read_meta(target)["features"] == 9
    assert encoded.is_encoded(target) and not encoded.is_encoded(part)
    column = pq.ParquetFile(target).metadata.row_group(0).column(3)
    assert column.compression == "ZSTD"


def call(script, cfg, **args):
    """Run a script of the main interpreter inside this process: to start it takes longest."""
    paths = {name: [Path(part) for part in value] if isinstance(value, list) else value
             for name, value in args.items()}  # fmt: skip
    stamp = {"cfg": command.canonical(cfg), "code": ""}
    importlib.import_module(script).main(argparse.Namespace(cfg=cfg, stamp=stamp, **paths))


def fit(cfg, **files):
    words = [PYTHON, SCRIPTS / "fit_sbm.py", "--cfg", json.dumps(cfg)]
    for name, path in files.items():
        words += [f"--{name}", path]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


SBM = {"seeds": 3, "control_seeds": 1, "sweeps": 4, "patience": 2, "min_gain": 0.1}
MODEL = {"layers": 1, "heads": 2, "head_width": 3, "hidden": 5}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """A site of sparse features from its encoded parts to its block model."""
    root = tmp_path_factory.mktemp("mapped")
    x, keys = firing(6000), keys_of(6000)
    parts = []
    for number, rows in enumerate((slice(0, 3600), slice(3600, 6000))):
        part = root / f"part-{number}-of-2.parquet"
        parts.append(write_encoded(part, x[rows], keys={k: v[rows] for k, v in keys.items()}))
    about = {"site": "mlp.0", "kind": "activation", "dictionary": "sae"}
    covariance, graph, record = root / "c.npz", root / "g.npz", root / "sbm.json"
    cfg = {"skip_start": True, "batch_rows": 500}
    call("compute_covariance", cfg, samples=parts, output=covariance, **about)
    moved = []  # the same by way of one file a part, as with several shards
    for part in parts:
        moved.append(root / "shards" / f"{part.stem}.npz")
        call("compute_covariance", cfg, samples=[part], output=moved[-1], **about)
    call("compute_covariance", cfg, samples=moved, output=root / "again.npz", **about)
    settings = {"graph": {**SETTINGS, "false_pairs": 0.1, "block_rows": 512}, "seed": 1}
    call("build_graph", settings, covariance=covariance, samples=parts, output=graph)
    settings = {"sbm": {**SBM, "classical_features": 100}, "seed": 1}
    fit(settings, graph=graph, covariance=covariance, output=record)
    return root, parts, x


def test_planted_groups_are_found_and_chance_gives_one_block(mapped):
    root, _, _ = mapped
    record = arrays.read_json(root / "sbm.json")
    found = np.array(record["levels"][0])
    got = planted.recovered(found, LABELS)
    assert got.parts == 4 and got.members > 0.95 and got.noise_out > 0.8
    assert record["null_pass"] and record["half_ami"] > 0.9
    assert (found[LABELS == DEAD] == DEAD).all() and record["dead"]["constant"] == 2
    assert record["classical"]["status"] == "ok"  # read with NumPy alone


def test_shards_give_the_bytes_of_the_whole(mapped):
    root, _, _ = mapped
    assert (root / "c.npz").read_bytes() == (root / "again.npz").read_bytes()


def test_partitions_of_a_dictionary_have_native_parts_at_the_sites_it_leaves_out(mapped, tmp_path):
    root, _, x = mapped
    records, of_covariance, of_graph = [root / "sbm.json"], [root / "c.npz"], [root / "g.npz"]
    refused = {"site": "mlp.0", "kind": "attribution", "features": len(LABELS), "live": 0}
    refused |= {"status": "refused", "reason": "0 prompts recorded", "levels": [], "blocks": []}
    refused |= {"stability": [None] * len(LABELS), "classical": None, "dead": {}}
    arrays.write_json(tmp_path / "attribution.json", refused, {})
    base_model = tmp_path / "model.json"
    arrays.write_json(base_model, MODEL, {})
    native = []
    for site, d in (("attn.0", 6), ("mlp.0", 5)):
        for kind in ("activation", "attribution"):
            native.append(tmp_path / f"{site}.{kind}.json")
            own = {"site": site, "kind": kind, "features": d, "stability": [None] * d}
            arrays.write_json(native[-1], {**refused, **own, "reason": "too few"}, {})
    mine = tmp_path / "mine.csv"
    mine.write_text("site,feature,part\n" + "".join(f"mlp.0,{i},0\n" for i in range(5)))
    cfg = {"rois_blocks": None, "controls_match": "rois", "kmeans_starts": 3}
    cfg = {"partitions": {**cfg, "files": {"mine": str(mine)}}, "seed": 1}
    files = {"model": base_model, "covariance": of_covariance, "graphs": of_graph}
    base, target = tmp_path / "neurons.parquet", tmp_path / "sae.parquet"
    call("make_partitions", cfg, sbm=native, output=base, base=None, **files)
    without = tmp_path / "without.json"  # the base was made without the classical model
    arrays.write_json(without, {**arrays.read_json(records[0]), "classical": None}, {})
    sparse = [without, tmp_path / "attribution.json"]
    call("make_partitions", cfg, sbm=sparse, output=target, base=base, **files)
    table = partitions.load(target)
    assert table["site"].to_pylist() == ["attn.0"] * 6 + ["mlp.0"] * len(LABELS)
    assert partitions.names(table) == partitions.names(partitions.load(base))
    heads = partitions.labels(table, "heads")
    assert heads["attn.0"].tolist() == [0, 0, 0, 1, 1, 1] and not heads["mlp.0"].any()
    found = partitions.labels(table, "rois")
    assert found["mlp.0"].max() == 3 and len(found["attn.0"]) == 6
    about = tables.read_meta(target)
    assert about["copied"] == ["attn.0"] and list(partitions.by_site(table)) == ["mlp.0"]
    for name in partitions.names(table):
        assert set(about["partitions"][name]) == {"attn.0", "mlp.0"}, name
    assert about["partitions"]["kmeans"]["mlp.0"]["blocks"] == 4
    assert about["partitions"]["rois"]["attn.0"]["reason"] == "too few"
    assert "native features" in about["partitions"]["mine"]["mlp.0"]["reason"]
    covered = [tmp_path / "attn.json", tmp_path / "attn.attribution.json"]
    for path, kind in zip(covered, ("activation", "attribution"), strict=True):
        own = {"site": "attn.0", "kind": kind, "features": 9, "stability": [None] * 9}
        arrays.write_json(path, {**refused, **own}, {})
    call("make_partitions", cfg, sbm=covered, output=target, base=base, **files)
    about = tables.read_meta(target)["partitions"]["heads"]["attn.0"]
    assert about["status"] == "refused" and "no single head" in about["reason"]
    other = cfg | {"partitions": cfg["partitions"] | {"files": {}}}
    with pytest.raises(DataError, match=r"the base has other partitions \(mine in one of the two"):
        call("make_partitions", other, sbm=sparse, output=target, base=base, **files)


def test_cards_read_the_encoded_parts_of_their_site(mapped, tmp_path):
    import describe_rois

    _, parts, x = mapped
    other = write_encoded(tmp_path / "other.parquet", x[:40, :3], site="mlp.1")
    found = list(describe_rois.blocks("mlp.0", [], [other, *parts]))
    together = np.concatenate([block.values.toarray() for block in found])
    np.testing.assert_array_equal(together, x)
    assert len(found) > 1 and found[0].document[-1] < found[1].document[0]
    dense = written_part(tmp_path / "part.parquet", "mlp.2.hidden", x[:40], **keys_of(40))
    found = [block.values for block in describe_rois.blocks("mlp.2", [dense], [other, *parts])]
    np.testing.assert_array_equal(np.concatenate(found), x[:40])


def test_attributions_of_a_dictionary_take_the_dense_way_though_most_are_zero(tmp_path):
    generator = np.random.default_rng(0)
    labels = planted.groups((40, 30, 24), noise=90, dead=328, seed=2)
    factors = generator.standard_normal((400, 3)) * (generator.random((400, 3)) < 0.3)
    x = generator.standard_normal((400, 512)) * (generator.random((400, 512)) < 0.05)
    x[:, labels >= 0] += factors[:, labels[labels >= 0]]
    x[:, labels == DEAD] = 0
    pairs = np.arange(400, dtype=np.int32)
    part = written_part(tmp_path / "a.parquet", "mlp.0", x.astype(np.float32), pair=pairs)
    about = {"site": "mlp.0", "kind": "attribution", "dictionary": "sae"}
    covariance, graph = tmp_path / "c.npz", tmp_path / "g.npz"
    cfg = {"skip_start": True, "batch_rows": 500}
    call("compute_covariance", cfg, samples=[part], output=covariance, **about)
    settings = {"graph": {**SETTINGS, "false_pairs": 0.1, "block_rows": 512}, "seed": 1}
    call("build_graph", settings, covariance=covariance, samples=[part], output=graph)
    content, meta = arrays.read_npz(graph)
    assert meta["status"] == "ok" and meta["dead"]["constant"] == 328
    ends = labels[content["data"]]
    assert np.mean((ends[:, 0] == ends[:, 1]) & (ends[:, 0] >= 0)) > 0.9
    assert np.mean(content["isolated"][labels == UNGROUPED]) > 0.8
