"""Partitions of all sites: levels, controls at matched counts, files made by hand."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from conftest import SCRIPTS
from connectome import arrays, moments, part_graphs, partition_files, partitions, tables
from connectome.errors import ConfigError, DataError
from connectome.labelling import size_statistics

MODEL = {"layers": 1, "heads": 2, "head_width": 3, "hidden": 12}
SETTINGS = {
    "rois_blocks": None,
    "controls_match": "rois_attribution",
    "kmeans_starts": 10,
    "files": {},
}
GROUPS = np.repeat([0, 1, 2], [5, 3, 2])
LEVELS = [[*GROUPS.tolist(), -1, -2], [0] * 5 + [1] * 5 + [-1, -2], [0] * 10 + [-1, -2]]
FEATURES = {"attn.0": 6, "mlp.0": 12}


def block_model(site, kind):
    record = {"site": site, "kind": kind, "status": "ok", "reason": None, "features": 12}
    record |= {"levels": LEVELS, "blocks": [3, 2, 1], "stability": [0.5] * 10 + [None, None]}
    return record | {"classical": None}


def refused(site, kind):
    reason = "0 live of 6 features (6 constant)"
    record = {"site": site, "kind": kind, "status": "refused", "reason": reason}
    record |= {"features": 6, "levels": [], "blocks": [], "stability": [None] * 6}
    return record | {"classical": None}


def covariance(seed=0):
    """Halves of a covariance file: 12 features in GROUPS, one noise feature, one constant."""
    generator = np.random.default_rng(seed)
    x = np.zeros((400, 12))
    x[:, :10] = generator.standard_normal((400, 3))[:, GROUPS] * [1, 1, 1, 1, 2, 1, 1, 1, 1, 1]
    x[:, :11] += 0.3 * generator.standard_normal((400, 11))
    halves = [moments.of_rows(x[:200]), moments.of_rows(x[200:])]
    names = ("count", "mean", "m2", "active")
    return {name: np.stack([getattr(half, name) for half in halves]) for name in names}


def graph():
    """A graph file: the groups of GROUPS as cliques in a ring, the noise feature isolated."""
    i, j = np.triu_indices(10, 1)
    joined = (GROUPS[i] == GROUPS[j]) | ((i == 0) & (j >= 5) & (j % 3 == 2)) | ((i == 5) & (j == 9))
    edges = np.stack([i, j], axis=1)[joined].astype(np.int32)
    r = np.where(GROUPS[edges[:, 0]] == GROUPS[edges[:, 1]], -0.9, 0.2)
    content = {"dead": np.arange(12) == 11, "data": edges, "data.r": r}
    for name in ("permuted.0", "permuted.1", "entries.0", "rolled.0"):
        content |= {name: edges, f"{name}.r": r}
    return content


def made(classical=False, **settings):
    records, covariances, graphs = {}, {}, {}
    for kind in ("activation", "attribution"):
        records["attn.0", kind] = refused("attn.0", kind)
        records["mlp.0", kind] = block_model("mlp.0", kind)
        if classical:
            found = {"status": "ok", "reason": None, "levels": LEVELS[1:], "blocks": [2, 1]}
            records["attn.0", kind]["classical"] = refused("attn.0", kind)
            records["mlp.0", kind]["classical"] = found
        covariances["mlp.0", kind] = covariance()
        graphs["mlp.0", kind] = graph()
    return partitions.make(MODEL, records, covariances, graphs, {**SETTINGS, **settings}, seed=1)


def of_site(columns, name, site):
    return columns[name][np.array(columns["site"]) == site]


def test_every_feature_of_every_site_has_one_row():
    columns, meta = made()
    assert columns["site"] == ["attn.0"] * 6 + ["mlp.0"] * 12
    assert columns["feature"].tolist() == [*range(6), *range(12)]
    made_here = ["modules", "heads", "rois", "rois_attribution", *partitions.CONTROLS]
    assert list(meta["partitions"]) == made_here
    assert all(columns[name].dtype == np.int32 for name in meta["partitions"])


def test_modules_are_one_part_and_heads_are_the_native_ones():
    columns, _ = made()
    assert not columns["modules"].any()
    assert of_site(columns, "heads", "attn.0").tolist() == [0, 0, 0, 1, 1, 1]
    assert not of_site(columns, "heads", "mlp.0").any()


@pytest.mark.parametrize(("blocks", "level"), [(None, 0), (3, 0), (40, 0), (2, 1), (1, 2)])
def test_the_level_follows_the_requested_number_of_blocks(blocks, level):
    columns, meta = made(rois_blocks=blocks)
    assert of_site(columns, "rois", "mlp.0").tolist() == LEVELS[level]
    assert meta["partitions"]["rois"]["mlp.0"]["level"] == level
    assert meta["partitions"]["kmeans"]["mlp.0"]["blocks"] == 3 - level


def test_a_site_whose_block_model_was_refused_is_one_part_with_the_reason():
    columns, meta = made()
    for name in ("rois", "rois_attribution", *partitions.CONTROLS):
        assert of_site(columns, name, "attn.0").tolist() == [0] * 6
        about = meta["partitions"][name]["attn.0"]
        assert about["status"] == "refused" and "6 constant" in about["reason"]
        assert about["blocks"] == 1


def test_a_site_without_a_single_sample_has_the_features_of_the_model():
    records = {}
    for kind in ("activation", "attribution"):
        records["mlp.0", kind] = refused("mlp.0", kind) | {"features": 0, "stability": []}
    columns, _ = partitions.make(MODEL, records, {}, {}, SETTINGS, seed=1)
    assert columns["rois"].tolist() == columns["kmeans"].tolist() == [0] * 12
    assert columns["stability"].mask.all()


def test_controls_find_planted_groups_at_the_matched_count_and_keep_what_has_no_part():
    columns, meta = made()
    again, _ = made()
    for name in partitions.CONTROLS:
        found = of_site(columns, name, "mlp.0")
        np.testing.assert_array_equal(found[[*range(10), 11]], [*GROUPS, -2], err_msg=name)
        # feature 10 has no edge, but k-means needs none
        assert found[10] == -1 or name == "kmeans"
        about = meta["partitions"][name]["mlp.0"]
        assert (about["blocks"], about["kind"]) == (3, "attribution")
        assert about["wanted"] == (None if name == "infomap" else 3)
        np.testing.assert_array_equal(again[name], columns[name])


def test_leiden_has_as_many_parts_as_the_matched_level():
    for blocks in (1, 2, 3):
        columns, meta = made(rois_blocks=blocks)
        about = meta["partitions"]["leiden"]["mlp.0"]
        assert about["wanted"] == about["blocks"] == blocks
        assert of_site(columns, "leiden", "mlp.0").max() + 1 == blocks
    assert meta["partitions"]["infomap"]["mlp.0"]["blocks"] == 3


def test_the_number_of_communities_in_every_null_draw_is_kept():
    _, meta = made()
    expected = {"data": [3], "permuted": [3, 3], "entries": [3], "rolled": [3]}
    for kind in ("activation", "attribution"):
        assert meta["communities"]["mlp.0"][kind] == {"leiden": expected, "infomap": expected}
    assert "attn.0" not in meta["communities"]


def test_the_classical_labels_are_a_partition_where_they_were_made():
    assert "classical" not in made()[0]
    columns, meta = made(classical=True)
    assert of_site(columns, "classical", "mlp.0").tolist() == LEVELS[1]
    about = meta["partitions"]["classical"]
    assert (about["mlp.0"]["status"], about["mlp.0"]["kind"]) == ("ok", "attribution")
    assert about["attn.0"]["status"] == "refused" and "6 constant" in about["attn.0"]["reason"]


def test_the_names_of_the_controls_are_those_of_their_functions():
    from connectome import controls

    assert tuple(controls.METHODS) == partitions.CONTROLS


def test_random_keeps_sizes_and_moves_grouped_features_alone():
    labels = np.array(LEVELS[0] * 5, dtype=np.int32)
    drawn = partitions.shuffled(labels, 3)
    np.testing.assert_array_equal(np.bincount(drawn + 2), np.bincount(labels + 2))
    np.testing.assert_array_equal(drawn[labels < 0], labels[labels < 0])
    assert (drawn != labels).any() and abs(adjusted_mutual_info_score(drawn, labels)) < 0.7
    np.testing.assert_array_equal(drawn, partitions.shuffled(labels, 3))
    assert (drawn != partitions.shuffled(labels, 4)).any()


def test_random_has_the_size_statistics_of_the_regions_exactly():
    labels = np.array(LEVELS[0] * 5 + LEVELS[1], dtype=np.int32)
    for seed in range(20):
        assert size_statistics(partitions.shuffled(labels, seed)) == size_statistics(labels)


@pytest.mark.parametrize("matched, parts", [("rois", 2), ("rois_attribution", 3)])
def test_random_parts_have_the_sizes_of_the_partition_that_controls_match(tmp_path, matched, parts):
    columns, meta = made(controls_match=matched)
    of_attn = len(columns["rois"]) - 12
    columns["rois"] = np.concatenate([columns["rois"][:of_attn], LEVELS[1]]).astype(np.int32)
    tables.write_table(tmp_path / "partitions.parquet", columns, {}, meta)
    table = partitions.load(tmp_path / "partitions.parquet")
    drawn = part_graphs.build(["random"], table, FEATURES, 3, seed=1)["random"]
    assert drawn.site_of.count("mlp.0") == parts + 2  # and .ungrouped, .dead


def test_controls_are_nodes_of_circuits_like_any_partition():
    columns, meta = made()
    graphs = part_graphs.build(partitions.CONTROLS, pa.table(columns), FEATURES, 3, seed=1)
    for name, found in graphs.items():
        about = meta["partitions"][name]["mlp.0"]
        parts = about["blocks"] + (about["ungrouped"] > 0) + (about["dead"] > 0)
        assert found.site_of.count("mlp.0") == parts, name


def test_labels_come_back_from_the_file(tmp_path):
    columns, meta = made()
    path = tmp_path / "partitions.parquet"
    tables.write_table(path, columns, {}, meta)
    table = partitions.load(path)
    assert partitions.names(table) == [*partitions.MADE_HERE[:4], *partitions.CONTROLS]
    found = partitions.labels(table, "rois")
    assert list(found) == ["attn.0", "mlp.0"] and found["mlp.0"].dtype == np.int32
    assert found["mlp.0"].tolist() == LEVELS[0]
    assert table["stability"].to_pylist() == [None] * 6 + [0.5] * 10 + [None] * 2
    with pytest.raises(ConfigError, match="partition 'stability' is not known; there are modules"):
        partitions.labels(table, "stability")


def by_hand(parts, site="mlp.0"):
    return [{"site": site, "feature": i, "part": part} for i, part in enumerate(parts)]


def test_csv_and_parquet_files_made_by_hand_join_under_their_name(tmp_path):
    rows = by_hand([2, 1, 0, -1, -2, *[0] * 7])
    tables.write_csv(tmp_path / "mine.csv", rows[::-1], ["site", "feature", "part"])
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    tables.write_table(tmp_path / "mine.parquet", columns, {})
    for name in ("mine.csv", "mine.parquet"):
        found, meta = made(files={"mine": str(tmp_path / name)})
        assert of_site(found, "mine", "mlp.0").tolist() == [2, 1, 0, -1, -2, *[0] * 7]
        assert of_site(found, "mine", "attn.0").tolist() == [0] * 6
        assert meta["partitions"]["mine"]["attn.0"]["status"] == "refused"


BAD = [
    ([*by_hand([0, 0]), {"site": "mlp.7", "feature": 0, "part": 0}], "row 3: site 'mlp.7' is not"),
    ([{"site": "mlp.0", "feature": 12, "part": 0}], "row 1: feature 12 is out of range.* 0 to 11"),
    ([{"site": "mlp.0", "feature": "x", "part": 0}], "row 1: feature 'x' is no whole number"),
    ([{"site": "mlp.0", "feature": 1, "part": "0.5"}], "row 1: part '0.5' is no whole number"),
    ([{"site": "mlp.0", "feature": 1, "part": ""}], "row 1: part '' is no whole number"),
    ([*by_hand([0, 1]), *by_hand([0])], "row 3: feature 0 of mlp.0 has a part already"),
    (by_hand([0, -3]), "row 2: part -3 is out of range"),
    (by_hand([0] * 11), r"mlp.0 lacks feature 11 \(1 of 12 missing\)"),
    (by_hand([0] * 11 + [2]), "part 2 of mlp.0 follows a gap: no feature has part 1"),
    (by_hand([1] * 12), "part 1 of mlp.0 follows a gap: no feature has part 0"),
]


@pytest.mark.parametrize(("rows", "message"), BAD)
def test_a_bad_file_is_one_error_naming_the_first_bad_row(tmp_path, rows, message):
    path = tmp_path / "bad.csv"
    tables.write_csv(path, rows, ["site", "feature", "part"])
    with pytest.raises(DataError, match=rf"bad\.csv: {message}"):
        partition_files.read(path, FEATURES)


def test_a_file_without_its_columns_is_named(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("site,neuron,part\nmlp.0,1,2\n")
    with pytest.raises(DataError, match=r"row 1: no value for feature; the columns are site"):
        partition_files.read(path, FEATURES)


@pytest.mark.parametrize("name", ["rois", "random", "site"])
def test_a_file_cannot_take_a_name_made_here(name):
    with pytest.raises(ConfigError, match=rf"partitions\.files\.{name}: the name is taken"):
        made(files={name: "any.csv"})


def test_the_script_writes_one_table(tmp_path):
    arrays.write_json(tmp_path / "model.json", MODEL, {})
    records, covariances, graphs = [], [], []
    for kind in ("activation", "attribution"):
        for site, record in (("attn.0", refused), ("mlp.0", block_model)):
            records.append(tmp_path / f"{site}.{kind}.json")
            covariances.append(tmp_path / f"{site}.{kind}.npz")
            arrays.write_json(records[-1], record(site, kind), {})
            graphs.append(tmp_path / f"{site}.{kind}.graph.npz")
            arrays.write_npz(covariances[-1], covariance(), {}, {"site": site, "kind": kind})
            arrays.write_npz(graphs[-1], graph(), {}, {"site": site, "kind": kind})
    target = tmp_path / "partitions.parquet"
    call = [sys.executable, SCRIPTS / "make_partitions.py", "--model", tmp_path / "model.json"]
    call += ["--sbm", *records, "--covariance", *covariances, "--graphs", *graphs]
    call += ["--output", target]
    call += ["--cfg", json.dumps({"partitions": SETTINGS, "seed": 1}), "--code", "abc"]
    subprocess.run(call, check=True)
    first = target.read_bytes()
    subprocess.run(call, check=True)
    assert target.read_bytes() == first
    assert partitions.labels(partitions.load(target), "rois")["mlp.0"].tolist() == LEVELS[0]
    assert tables.read_meta(target)["made_by"]["code"] == "abc"
