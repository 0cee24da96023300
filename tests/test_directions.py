"""Directions inside parts, heads of features: by hand, pair by pair and token by token."""

import argparse
import importlib
import itertools
import json
import re
import zlib

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file
from scipy import sparse

import report_chain
from conftest import ROOT
from connectome import (
    activations,
    arrays,
    directions,
    feature_heads,
    partitions,
    site_directions,
    tables,
    transformer,
)
from connectome.dictionaries import Dictionary, encode
from connectome.errors import DataError
from connectome.plots import heads as plot
from connectome.plots import style
from connectome.report.build import build
from connectome.report.sections import directions as section
from connectome.tabulate import directions as tabulated
from connectome.tabulate import feature_heads as summaries
from test_activations import corpus, matrix, recorded
from test_report import Page
from tiny_models import tiny

NAMES = {"model": "demo", "dictionary": "sae"}


def by_pairs(rows):
    """Mean cosine pair by pair; rows of zeros left out, None below two others."""
    rows = [row / np.linalg.norm(row) for row in rows if row.any()]
    pairs = [rows[i] @ rows[j] for i, j in itertools.permutations(range(len(rows)), 2)]
    return np.mean(pairs) if pairs else None


def test_the_formula_is_the_mean_over_pairs():
    rows = np.random.default_rng(0).standard_normal((7, 3)) * [[1], [5], [1], [0], [2], [1], [9]]
    assert directions.mean_cosine(rows) == pytest.approx(by_pairs(rows))
    assert directions.mean_cosine(rows[3:5]) is None and directions.mean_cosine(rows[:1]) is None
    labels = np.array([0, 1, 0, 0, -1, 2, 0])
    found = directions.compare(rows, labels, 5, 1, "mlp.0")
    assert found.members.tolist() == [3, 1, 1]
    assert found.value[0] == pytest.approx(by_pairs(rows[labels == 0]))
    assert np.isnan(found.value[1:]).all()


def test_random_groups_are_permuted_labels_of_the_features_that_have_a_part():
    rows = np.random.default_rng(1).standard_normal((40, 5))
    labels = np.random.default_rng(2).integers(-2, 4, 40)
    found = directions.compare(rows, labels, 3, 8, "attn.1")
    for draw, null in enumerate(found.null):
        drawn = partitions.shuffled(labels, [8, zlib.crc32(b"attn.1"), draw])
        assert (drawn[labels < 0] == labels[labels < 0]).all()
        assert null == pytest.approx([by_pairs(rows[drawn == part]) for part in range(4)])
    elsewhere = directions.compare(rows, labels, 3, 8, "attn.2")
    assert not np.allclose(found.null, elsewhere.null)


def test_p_of_a_tiny_site_by_hand():
    """Of three features two are the same: one group of two in three is this pair, cosine 1."""
    rows = np.array([[2.0, 0], [1, 0], [0, 3]])
    found = directions.compare(rows, np.array([0, 0, 1]), 999, 1, "mlp.0")
    part, site, every = directions.rows("rois", "writing", {"mlp.0": found})
    same = int(np.isclose(found.null[:, 0], 1).sum())
    assert set(np.round(found.null[:, 0], 9)) == {0, 1} and abs(same - 333) < 60
    assert part["p"] == (1 + same) / 1000
    assert (part["value"], part["null"], part["null_lo"], part["null_hi"]) == (1, 0, 0, 1)
    # the other part is a single feature: it says nothing, and the site is the first part alone
    assert {row["of"]: row["p"] for row in (site, every)} == {"site": part["p"], "all": part["p"]}
    assert (site["parts"], site["members"]) == (1, 2)


def test_a_site_is_the_mean_over_its_parts_by_members():
    rows = np.array([[1.0, 0], [1, 0], [1, 1], [0, 1], [1, 0], [5, 5]])
    found = directions.compare(rows, np.array([0, 0, 0, 1, 1, 2]), 9, 1, "mlp.0")
    in_first = (1 + 2 * np.sqrt(0.5)) / 3
    assert directions.pooled(found.members, found.value) == pytest.approx((3 * in_first + 0) / 5)
    other = directions.compare(rows[:4], np.array([0, 0, 1, 1]), 9, 1, "mlp.1")
    every = directions.rows("rois", "reading", {"mlp.0": found, "mlp.1": other})[-1]
    wanted = (3 * in_first + 0 + 2 * 1 + 2 * np.sqrt(0.5)) / 9
    assert every["value"] == pytest.approx(wanted)
    assert (every["of"], every.get("site"), every["parts"], every["members"]) == ("all", None, 4, 9)


def planted():
    """20 features of 16 numbers: the first five write nearly one direction, the others do not."""
    rows = np.random.default_rng(3).standard_normal((20, 16))
    rows[:5] = rows[0] + 0.1 * rows[:5]
    return rows, np.arange(20) // 5


def test_parallel_members_are_near_one_at_the_smallest_p_and_random_ones_are_not():
    rows, labels = planted()
    found = directions.compare(rows, labels, 199, 1, "mlp.0")
    parts = {
        row["part"]: row
        for row in directions.rows("rois", "writing", {"mlp.0": found})
        if row["of"] == "part"
    }
    assert parts[0]["value"] > 0.98 and parts[0]["p"] == 1 / 200
    for part in (1, 2, 3):
        assert parts[part]["p"] > 0.05 and abs(parts[part]["value"]) < 0.2


def test_p_of_random_parts_is_even_between_0_and_1():
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((300, 6))
    found = directions.compare(rows, rng.permutation(300) // 3, 99, 1, "mlp.0")
    p = [
        row["p"]
        for row in directions.rows("rois", "writing", {"mlp.0": found})
        if row["of"] == "part"
    ]
    assert len(p) == 100
    for level in (0.1, 0.5, 0.9):
        sd = np.sqrt(level * (1 - level) * 100)
        assert abs(np.sum(np.array(p) <= level) - 100 * level) < 4 * sd


def test_equal_groups_drawn_in_another_order_tie():
    """Four features in two pairs: a third of the draws give the same two pairs, other sums."""
    rows = np.random.default_rng(5).standard_normal((4, 7))
    value = directions.compare(rows, np.array([0, 0, 1, 1]), 300, 1, "mlp.0")
    site = directions.rows("rois", "writing", {"mlp.0": value})[-1]
    pooled = directions.pooled(value.members, value.null)
    same = np.isclose(pooled, directions.pooled(value.members, value.value), atol=1e-9)
    above = pooled > site["value"] + 1e-9
    assert 70 < same.sum() < 130
    assert site["p"] == pytest.approx((1 + (same | above).sum()) / 301)


def test_one_part_alone_and_parts_of_one_feature_have_nothing_to_compare_with():
    rows, labels = planted()
    whole = directions.compare(rows, 0 * labels, 9, 1, "mlp.0")
    single = directions.compare(rows, np.arange(20), 9, 1, "mlp.1")
    none = directions.compare(rows, 0 * labels - 1, 9, 1, "mlp.2")
    found = directions.rows("rois", "writing", {"a": whole, "b": single, "c": none})
    assert [(row["of"], row["draws"]) for row in found] == [
        ("part", 0), ("site", 0), ("site", 0), ("site", 0)
    ]  # fmt: skip
    assert found[1]["value"] == pytest.approx(by_pairs(rows)) and "p" not in found[1]
    assert found[2]["value"] is None and found[3]["value"] is None


def test_parts_above_chance_are_counted_after_correction_and_parallel_ones_beside_them():
    rows, labels = planted()
    sites = {
        site: directions.compare(rows, of_site, 199, 1, site)
        for site, of_site in (("mlp.0", labels), ("attn.1", 0 * labels), ("mlp.1", labels[::-1]))
    }
    table = tabulated.rows([(NAMES, directions.rows("rois", "writing", sites))])
    parts = [row for row in table if row["of"] == "part" and row["p"] is not None]
    ordered = sorted(row["p"] for row in parts)
    corrected = [min(8 * p / (i + 1) for i, p in enumerate(ordered) if i >= k) for k in range(8)]
    assert sorted(row["p_adjusted"] for row in parts) == pytest.approx(corrected)
    assert {row["part"] for row in parts} == {f"{m}.r{i}" for m in ("m0", "m1") for i in range(4)}
    counts = {
        row["site"]: (row["parts"], row["above"], row["parallel"])
        for row in table
        if row["of"] != "part"
    }
    assert counts == {
        "mlp.0": (4, 1, 1), "attn.1": (1, None, None), "mlp.1": (4, 1, 1), None: (8, 2, 2)
    }  # fmt: skip
    assert tuple(table[0]) == tabulated.COLUMNS


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_native_directions_are_what_changes_the_stream_and_what_the_stream_changes(family):
    _, model = tiny(family)
    for site in model.sites:
        found = site_directions.native(model, site)
        module = model.module(site)
        assert found["writing"].shape == (model.features(site), model.size.width)
        np.testing.assert_array_equal(found["writing"], model.writing(site).numpy())
        x = torch.randn(model.size.width, dtype=torch.float64)
        if site.startswith("attn"):
            read = torch.einsum("hwd,d->hw", module.value, x).flatten()
            np.testing.assert_allclose(found["reading"] @ x.numpy(), read)
        elif module.gate is None:
            np.testing.assert_allclose(found["reading"] @ x.numpy(), module.up @ x)
        else:
            cosines = [by_pairs(rows.numpy()[[3, 5]]) for rows in (module.gate, module.up)]
            both = directions.mean_cosine(found["reading"][[3, 5]])
            assert both == pytest.approx(np.mean(cosines))


# heads of features


def dictionary_of(encoder, seed=0, bias=0.0):
    """A relu dictionary with this encoder (d, features)."""
    d, features = encoder.shape
    generator = torch.Generator().manual_seed(seed)
    return Dictionary(
        activation="relu",
        encoder=torch.as_tensor(encoder),
        encoder_bias=torch.full((features,), bias, dtype=torch.float64),
        decoder=torch.randn((features, d), generator=generator, dtype=torch.float64),
        decoder_bias=torch.zeros(d, dtype=torch.float64),
    )


def fires(table, site, dictionary):
    return encode(dictionary, torch.tensor(matrix(table, site)).double()).numpy() > 0


def batches_of(table, site, dictionary, rows=5, skip_start=True):
    keys = {key: table[key].to_numpy() for key in ("document", "position")}

    def cut(content):
        for first in range(0, len(table), rows):
            here = slice(first, first + rows)
            yield content[here], {key: column[here] for key, column in keys.items()}

    fired = sparse.csr_array(fires(table, site, dictionary))
    return feature_heads.aligned(site, cut(matrix(table, f"{site}.values")), cut(fired), skip_start)


def test_a_dictionary_of_single_heads_is_assigned_without_error():
    """Feature j reads one value direction of one head, up or down, and nothing of the others."""
    _, model = tiny("gpt2")
    written = model.module("attn.1").output.flatten(0, 1)  # (8, 8), of full rank
    alone = torch.linalg.inv(written)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    encoder = torch.cat([alone, -alone], dim=1)[:, order]
    table = recorded(model, 1000, ["attn.1"])
    constant = model.module("attn.1").constant
    given = dictionary_of(encoder)
    given = Dictionary(**vars(given) | {"encoder_bias": -constant @ encoder})
    found = feature_heads.of_site(model, "attn.1", given, batches_of(table, "attn.1", given))
    width = model.size.head_width
    alive = [row for row in found if row["tokens"]]
    assert len(alive) > 8 and {row["head"] for row in alive} == {0, 1}
    for row in alive:
        assert row["head"] == int(order[row["feature"]]) % 8 // width
        assert row["margin"] == pytest.approx(1, abs=1e-4)
        assert row["entropy"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_contributions_of_heads_are_those_of_a_loop_over_tokens(family):
    """All heads together give what a feature reads, but for what is written at every token."""
    _, model = tiny(family)
    site, module = "attn.1", model.module("attn.1")
    table = recorded(model, 1000, [site])
    rng = np.random.default_rng(6)
    encoder = rng.standard_normal((model.size.width, 30))
    encoder[:, 29] = 0  # never fires
    given = dictionary_of(encoder)
    z, x = matrix(table, f"{site}.values"), matrix(table, site)
    counted = table["position"].to_numpy() > 0
    active = fires(table, site, given) & counted[:, None]
    gain = np.ones(model.size.width) if module.gain is None else module.gain.numpy()
    output = module.output.numpy()  # (h, w, d)
    heads, width, _ = output.shape
    total = np.zeros((heads, 30))
    for n in np.flatnonzero(counted):
        by_head = [z[n, h * width : (h + 1) * width] @ output[h] for h in range(heads)]
        scale = 1.0
        if module.gain is not None:
            scale = 1 / np.sqrt(np.mean(np.sum(by_head, axis=0) ** 2) + model.size.eps)
        for h in range(heads):
            total[h] += active[n] * ((by_head[h] * scale * gain) @ encoder)
    found = feature_heads.of_site(model, site, given, batches_of(table, site, given))
    assert [row["tokens"] for row in found] == active.sum(axis=0).tolist()
    constant = module.constant.numpy() @ encoder
    heads_found = set()
    for j, row in enumerate(found):
        heads_found.add(row["head"])
        if not row["tokens"]:
            assert row["head"] is row["margin"] is row["entropy"] is row["contribution"] is None
            continue
        mean = total[:, j] / row["tokens"]
        read = np.mean((x @ encoder - constant)[active[:, j], j])
        assert mean.sum() == pytest.approx(read, abs=1e-4)
        if mean.max() <= 0:
            assert row["head"] is None
            continue
        first, second = np.sort(mean)[::-1][:2]
        assert row["head"] == np.argmax(mean)
        assert row["contribution"] == pytest.approx(first, abs=1e-5)
        assert row["margin"] == pytest.approx((first - second) / first, rel=1e-3, abs=1e-3)
        share = np.maximum(mean, 0) / np.maximum(mean, 0).sum()
        nats = -sum(s * np.log(s) for s in share if s > 0)
        assert row["entropy"] == pytest.approx(nats, abs=1e-3)
    assert heads_found >= set(range(heads))


def test_batches_add_up_and_no_batch_is_refused():
    rng = np.random.default_rng(7)
    values, fires = rng.standard_normal((11, 6)), rng.random((11, 4)) < 0.4
    whole = feature_heads.add_up([(values, sparse.csr_array(fires))])
    parts = feature_heads.add_up(
        (values[i : i + 3], sparse.csr_array(2.5 * fires[i : i + 3])) for i in range(0, 11, 3)
    )
    np.testing.assert_allclose(whole.values, fires.T.astype(float) @ values)
    np.testing.assert_allclose(parts.values, whole.values)
    assert parts.tokens.tolist() == whole.tokens.tolist() == fires.sum(axis=0).tolist()
    with pytest.raises(DataError, match="no recorded tokens"):
        feature_heads.add_up([])


def test_features_of_other_tokens_than_those_recorded_are_refused():
    _, model = tiny("gpt2")
    table = recorded(model, 1000, ["attn.1"])
    given = dictionary_of(np.ones((8, 2)))
    keys = {key: table[key].to_numpy() for key in ("document", "position")}
    values, fired = matrix(table, "attn.1.values"), sparse.csr_array(fires(table, "attn.1", given))
    moved = keys | {"position": np.roll(keys["position"], 1)}
    for other in ([(fired, moved)], [], [(fired, keys)] * 2):
        with pytest.raises(DataError, match="attn.1: the encoded features are not those of the"):
            list(feature_heads.aligned("attn.1", [(values, keys)], other, True))
    (every,) = feature_heads.aligned("attn.1", [(values, keys)], [(fired, keys)], False)
    (later,) = feature_heads.aligned("attn.1", [(values, keys)], [(fired, keys)], True)
    assert len(every[0]) == every[1].shape[0] == 18 and len(later[0]) == later[1].shape[0] == 14


def test_margin_entropy_and_head_by_hand():
    # features: clear, tied, opposed, none above zero, dead
    contribution = np.array(
        [[4.0, 1, 2, -1, np.nan], [1.0, 1, -2, -3, np.nan], [0.0, 0, -1, 0, np.nan]]
    )
    found = feature_heads.assign(contribution)
    assert found.head.tolist() == [0, 0, 0, -1, -1]
    np.testing.assert_allclose(found.margin, [0.75, 0, 1.5, np.nan, np.nan])
    one = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    np.testing.assert_allclose(found.entropy, [one, np.log(2), 0, np.nan, np.nan], atol=1e-12)
    alone = feature_heads.assign(np.array([[2.0, -1.0]]))
    assert alone.head.tolist() == [0, -1] and alone.margin[0] == 1


def test_a_dictionary_of_something_else_than_what_the_site_writes_is_refused():
    _, model = tiny("gpt2")
    given = dictionary_of(np.ones((5, 2)))
    with pytest.raises(
        DataError, match="attn.1: the dictionary reads 5 numbers, the site writes 8"
    ):
        feature_heads.of_site(model, "attn.1", given, [])


# tables, figure, page

HEADS = 3
OF_HEAD = [0, 0, 0, 1, 1, 1, 2, None, 0, None]  # of features 0 to 9; 7 has none, 9 is dead
MARGINS = [0.5, 0.1, 0.95, 0.19, 0.2, 1.7, 0.6, None, 0.55, None]


def assigned(site="attn.0"):
    return [
        {"site": site, "feature": j, "tokens": 0 if j == 9 else 5, "head": head, "margin": margin}
        | {"entropy": None if head is None else np.log(2.0), "contribution": margin}
        for j, (head, margin) in enumerate(zip(OF_HEAD, MARGINS, strict=True))
    ]


def test_features_by_head_and_margin_are_counted_by_hand():
    site, *rest = summaries.rows(NAMES, assigned(), HEADS + 1)
    assert tuple(site) == summaries.COLUMNS
    counts = ("features", "assigned", "ambiguous", "unassigned", "dead")
    assert [site[name] for name in counts] == [10, 8, 2, 1, 1]
    assert site["ambiguous_share"] == 0.25 and site["margin"] == pytest.approx(0.525)
    assert site["effective_heads"] == pytest.approx(2)
    heads = {row["head"]: (row["features"], row["share"]) for row in rest if row["of"] == "head"}
    assert heads == {"a0.h0": (4, 0.5), "a0.h1": (3, 0.375), "a0.h2": (1, 0.125), "a0.h3": (0, 0)}
    bins = {row["margin_from"]: row["features"] for row in rest if row["of"] == "margin"}
    assert bins == {0: 0, 0.1: 2, 0.2: 1, 0.3: 0, 0.4: 0, 0.5: 2, 0.6: 1, 0.7: 0, 0.8: 0, 0.9: 2}
    assert [row["margin_to"] for row in rest if row["of"] == "margin"][-2:] == [0.9, None]


PARTS = {
    "rois": np.array([0, 0, 1, 1, 1, 2, -1, 0, 0, -2]),
    "same": np.array([1, 1, 1, 0, 0, 0, 2, 0, 1, -2]),
    "whole": np.zeros(10, int),
}


def overlap(site="attn.0"):
    labels = {name: {site: parts} for name, parts in PARTS.items()}
    reasons = {"whole": "no pair of features correlates"}
    meta = {"partitions": {name: {site: {"reason": reasons.get(name)}} for name in PARTS}}
    return summaries.overlap_rows(NAMES, assigned(site), labels, meta, 1)


def test_heads_and_parts_share_the_features_that_have_both():
    found = {name: [row for row in overlap() if row["partition"] == name] for name in PARTS}
    pairs = {(row["head"], row["part"]): row["features"] for row in found["rois"][1:]}
    assert pairs == {
        ("a0.h0", "a0.r0"): 3, ("a0.h0", "a0.r1"): 1, ("a0.h1", "a0.r1"): 2,
        ("a0.h1", "a0.r2"): 1, ("a0.h2", "ungrouped"): 1,
    }  # fmt: skip
    assert [found["rois"][0][name] for name in ("features", "heads", "parts")] == [7, 2, 3]
    same = found["same"][0]
    assert same["ami"] == pytest.approx(1) and same["features"] == 8
    # eight features in groups of 4, 3 and 1: one labelling in 280 is the same groups
    assert 1 / 200 <= same["p"] <= 5 / 200
    assert found["whole"][0]["ami"] is None
    assert found["whole"][0]["reason"] == "whole: no pair of features correlates"
    assert tuple(same) == summaries.OVERLAP_COLUMNS


def test_a_site_where_no_feature_has_a_head_is_a_row_that_says_so():
    rows = [row | {"head": None, "margin": None, "entropy": None} for row in assigned()]
    site = summaries.rows(NAMES, rows, HEADS)[0]
    assert (site["assigned"], site["ambiguous_share"], site["margin"]) == (0, None, None)
    labels = {"rois": {"attn.0": PARTS["rois"]}}
    meta = {"partitions": {"rois": {"attn.0": {"reason": None}}}}
    (found,) = summaries.overlap_rows(NAMES, rows, labels, meta, 1)
    assert found["ami"] is None and found["features"] == 0


def written(folder, models=("demo",), site="attn.0"):
    """tables/ and figures/ of a dictionary at one attention site."""
    lines, labels = planted()
    found = directions.compare(lines, labels, 39, 1, site)
    rows = [
        row
        for end in directions.ENDS
        for row in directions.rows("rois", end, {site: found, "mlp.0": found})
    ]
    out = folder / "tables"
    names = [NAMES | {"model": model} for model in models]
    tables.write_csv(
        out / "directions.csv", tabulated.rows((name, rows) for name in names), tabulated.COLUMNS
    )
    heads = [row for name in names for row in summaries.rows(name, assigned(site), HEADS)]
    tables.write_csv(out / "feature_heads.csv", heads, summaries.COLUMNS)
    shared = [row for row in overlap(site) if row["partition"] != "same"]
    shared = [row | name for name in names for row in shared]
    tables.write_csv(out / "head_overlap.csv", shared, summaries.OVERLAP_COLUMNS)
    return out


def call(script, cfg, **arguments):
    stamp = {"cfg": "{}", "code": ""}
    args = argparse.Namespace(cfg=cfg, stamp=stamp, device="cpu", **arguments)
    importlib.import_module(script).main(args)


def drawn(folder, name, out):
    call(
        "plot_heads", {"dpi": 50}, overlap=folder / "head_overlap.csv",
        heads=folder / "feature_heads.csv", site="attn.0", output=out / f"{name}.csv", **NAMES,
    )  # fmt: skip
    return out / f"{name}.csv"


def test_ribbons_fill_their_blocks_and_stand_for_the_features_of_the_table(tmp_path):
    folder = written(tmp_path, ("demo", "other"))
    rows = tables.read_csv(drawn(folder, "heads.demo.sae.attn.0", tmp_path))
    assert tuple(rows[0]) == plot.COLUMNS
    ribbons = [row for row in rows if row["mark"] == "ribbon" and row["partition"] == "rois"]
    table = [
        row
        for row in tables.read_csv(folder / "head_overlap.csv")
        if (row["model"], row["partition"], row["of"]) == ("demo", "rois", "pair")
    ]
    shown = {(row["head"], row["part"], row["features"]) for row in ribbons}
    assert shown == {(row["head"], row["part"], row["features"]) for row in table}
    for mark, low, high in (("head", "low", "high"), ("part", "right_low", "right_high")):
        blocks = [r for r in rows if (r["mark"], r["partition"]) == (mark, "rois")]
        ends = [(float(block[low]), float(block[high])) for block in blocks]
        assert all(a[1] < b[0] for a, b in itertools.pairwise(ends))
        assert (ends[0][0], ends[-1][1]) == pytest.approx((0, 1))
        for block in blocks:
            inside = [row for row in ribbons if row[mark] == block[mark]]
            places = sorted((float(row[low]), float(row[high])) for row in inside)
            assert places[0][0] == pytest.approx(float(block[low]))
            assert places[-1][1] == pytest.approx(float(block[high]))
            assert [p[1] for p in places[:-1]] == pytest.approx([p[0] for p in places[1:]])
            assert sum(int(row["features"]) for row in inside) == int(block["features"])
    per = {round((float(r["high"]) - float(r["low"])) / int(r["features"]), 9) for r in ribbons}
    assert len(per) == 1
    assert [row["part"] for row in rows if row["mark"] == "part"][-2] == "ungrouped"
    margins = [row for row in rows if row["mark"] == "margin"]
    assert sum(int(row["features"]) for row in margins) == 8


def test_the_figure_has_the_same_bytes_twice_and_text_as_text(tmp_path):
    folder = written(tmp_path)
    first, second = (drawn(folder, name, tmp_path) for name in ("one", "two"))
    for suffix in (".csv", ".svg", ".pdf", ".png"):
        content = first.with_suffix(suffix).read_bytes()
        assert content == second.with_suffix(suffix).read_bytes()
    svg = first.with_suffix(".svg").read_text()
    assert "a0.h1" in svg and "a0.r2" in svg and "ungrouped" in svg


def test_the_smaller_of_many_regions_are_drawn_as_one_block(tmp_path):
    names = NAMES | {"site": "attn.0", "partition": "rois", "of": "pair"}
    rows = [
        {key: str(value) for key, value in (names | pair).items()}
        for part in range(60)
        for pair in [{"head": f"a0.h{part % 4}", "part": f"a0.r{part}", "features": 100 - part}]
    ]
    found = plot.select(rows, [], site="attn.0", **NAMES)
    parts = {row["part"]: row["features"] for row in found if row["mark"] == "part"}
    assert len(parts) == 31
    assert parts["smaller regions"] == sum(100 - part for part in range(30, 60))
    shown = [{k: "" if v is None else str(v) for k, v in row.items()} for row in found]
    style.save(plot.draw(shown), tmp_path / "many.csv", {"dpi": 50})


def test_a_site_without_features_of_any_head_is_drawn_as_its_margins_alone(tmp_path):
    heads = summaries.rows(NAMES, assigned(), HEADS)
    rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in heads]
    found = plot.select([], rows, site="attn.0", **NAMES)
    shown = [{k: "" if v is None else str(v) for k, v in row.items()} for row in found]
    assert len(plot.draw(shown).axes) == 1


def plan(dictionaries):
    facts = {"trained": False, "tasks": [], "dictionaries": dictionaries, "judged": []}
    return {
        "models": {"demo": facts},
        "native": "neurons",
        "report": {
            "name": "made up", "circuits": [], "method": "eap", "faithfulness": 0.85, "examples": 1
        },
    }  # fmt: skip


SAE = {"sae": {"sites": ["attn.0", "mlp.0"], "tasks": []}}


def test_the_section_reads_what_there_is_and_nothing_where_nothing_is_grouped():
    assert section.inputs(plan({"neurons": {"sites": [], "tasks": []}})) == []
    native = plan({"neurons": {"sites": ["attn.0", "mlp.0"], "tasks": []}})
    assert [path for path in section.inputs(native) if path.startswith("figures")] == []
    assert "tables/directions.csv" in section.inputs(native)
    assert "figures/heads.demo.sae.attn.0.svg" in section.inputs(plan(SAE))
    assert not any("mlp" in path for path in section.inputs(plan(SAE)))


def test_every_number_of_the_section_is_a_cell_of_its_tables(tmp_path):
    folder = written(tmp_path)
    drawn(folder, "heads.demo.sae.attn.0", tmp_path / "figures")
    page = Page(build(tmp_path, plan(SAE), ROOT / "workflow" / "report"))
    (root,) = [e for e in page.all("section") if e["attrs"]["id"] == "directions"]
    inside = [e for e in page.elements if root in e["above"]]
    cells = [e["attrs"] for e in inside if e["tag"] == "data"]
    found = {report_chain.place(cell)[0] for cell in cells}
    assert found == {"directions.csv", "feature_heads.csv", "head_overlap.csv"}
    content = {name: tables.read_csv(folder / name) for name in found}
    for cell in cells:
        source, at, column = report_chain.place(cell)
        assert content[source][at][column] == cell["value"]
    for element in inside:
        if "claim" in (element["attrs"].get("class") or ""):
            assert not re.search(r"\d", "".join(element.get("own", [])))
    text = " ".join(root["text"].split())
    assert "more than wider features" in text and "Not made yet" not in text
    assert "says nothing: whole: no pair of features correlates" in text
    assert "Of 10 features 8 have a head; 2 of them are ambiguous (25 %)" in text


@pytest.mark.parametrize(
    ("parts", "above", "parallel", "p", "expected"),
    [
        (4, 4, 2, 0.01, "wider"),
        (4, 4, 1, 0.01, "more"),
        (4, 0, 0, 0.04, "more"),
        (4, 1, 0, 0.2, "more"),
        (4, 0, 0, 0.06, "chance"),
        (3, 0, 2, 0.5, "wider"),
    ],
)
def test_verdicts_follow_the_numbers(parts, above, parallel, p, expected):
    row = {"parts": parts, "above": above, "parallel": parallel, "p": p}
    assert section.verdict({name: str(value) for name, value in row.items()}) == expected


# scripts


def sae_folder(folder, dictionary):
    """A dictionary in the SAELens layout, by hand."""
    folder.mkdir(parents=True)
    d, features = dictionary.encoder.shape
    cfg = {
        "architecture": "standard", "d_in": d, "d_sae": features, "dtype": "float32",
        "device": "cpu", "normalize_activations": "none", "reshape_activations": "none",
        "apply_b_dec_to_input": False, "metadata": {"sae_lens_version": "6.54.12"},
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(cfg))
    names = {"W_enc": "encoder", "b_enc": "encoder_bias", "W_dec": "decoder"}
    names |= {"b_dec": "decoder_bias"}
    tensors = {key: getattr(dictionary, name).float() for key, name in names.items()}
    save_file(
        {key: t.contiguous() for key, t in tensors.items()}, folder / "sae_weights.safetensors"
    )
    return [folder / name for name in ("cfg.json", "sae_weights.safetensors")]


@pytest.fixture
def results(tmp_path):
    """A recorded model with partitions, and a dictionary of attn.1 and mlp.0 with its own."""
    folder, _ = tiny("gpt2")
    model = transformer.load(folder)
    root = tmp_path / "demo"
    arrays.write_json(root / "model.json", {"directory": str(folder), "hub": None}, {})
    columns = activations.columns_of(model, "all", ["attn.1"])
    layout = activations.schema(columns, "float32")
    with tables.batch_writer(root / "part-0-of-1.parquet", layout, {}) as writer:
        for batch in activations.record(model, corpus(), columns, 9, layout):
            writer.write_batch(batch)
    rng = np.random.default_rng(8)
    of_sites = {"neurons": {site: model.features(site) for site in model.sites}}
    of_sites["sae"] = {"attn.1": 20, "mlp.0": 12}
    files = []
    for site, features in of_sites["sae"].items():
        given = dictionary_of(rng.standard_normal((8, features)), seed=features)
        files += sae_folder(root / "sae" / "dictionary" / site, given)
    of_sites["sae"] |= {"mlp.1": 12}  # native there
    for dictionary, counts in of_sites.items():
        label = {
            site: rng.integers(-1, 3, count).astype(np.int32) for site, count in counts.items()
        }
        content = {
            "site": [site for site, count in counts.items() for _ in range(count)],
            "feature": np.concatenate([np.arange(c, dtype=np.int32) for c in counts.values()]),
            "rois": np.concatenate(list(label.values())),
        }
        meta = {"partitions": {"rois": {site: {"reason": None} for site in counts}}}
        tables.write_table(root / dictionary / "partitions.parquet", content, {}, meta)
    return root, files


CFG = {"directions": {"partitions": ["rois"], "draws": 19}, "seed": 4, "model_dtype": "float32"}


def test_from_dictionary_folders_to_the_tables(results):
    root, files = results
    for dictionary, given in (("neurons", []), ("sae", files)):
        call(
            "compare_directions", CFG, model=root / "model.json", dictionaries=given,
            partitions=root / dictionary / "partitions.parquet",
            output=root / dictionary / "directions.parquet",
        )  # fmt: skip
    attention = [path for path in files if path.parent.name == "attn.1"]
    features = root / "sae" / "features" / "attn.1" / "part-0-of-1.parquet"
    call(
        "encode_features", {}, dictionary=attention, site="attn.1",
        activations=root / "part-0-of-1.parquet", output=features,
    )  # fmt: skip
    call(
        "assign_heads", {"model_dtype": "float32", "skip_start": True}, model=root / "model.json",
        activations=[root / "part-0-of-1.parquet"], features=[features], dictionaries=attention,
        output=root / "sae" / "heads.parquet",
    )  # fmt: skip
    out = root.parent / "tables"
    call(
        "tabulate_directions", {"partitions": ["rois"], "seed": 1},
        directions=[root / name / "directions.parquet" for name in ("neurons", "sae")],
        heads=[root / "sae" / "heads.parquet"], partitions=[root / "sae" / "partitions.parquet"],
        output=out / "directions.csv", feature_heads=out / "feature_heads.csv",
        overlap=out / "head_overlap.csv",
    )  # fmt: skip
    rows = tables.read_csv(out / "directions.csv")
    sites = {
        name: sorted({row["site"] for row in rows if row["dictionary"] == name and row["site"]})
        for name in ("neurons", "sae")
    }
    assert sites == {
        "neurons": ["attn.0", "attn.1", "mlp.0", "mlp.1"], "sae": ["attn.1", "mlp.0"]
    }  # fmt: skip
    labels = partitions.labels(partitions.load(root / "sae" / "partitions.parquet"), "rois")
    weights = torch.randn((12, 8), generator=torch.Generator().manual_seed(12), dtype=torch.float64)
    value = by_pairs(weights.float().numpy()[labels["mlp.0"] == 0])
    row = next(
        row
        for row in rows
        if (row["dictionary"], row["end"], row["part"]) == ("sae", "writing", "m0.r0")
    )
    assert float(row["value"]) == pytest.approx(value, abs=1e-5)
    table = tables.read_table(root / "part-0-of-1.parquet")
    given = dictionary_of(np.random.default_rng(8).standard_normal((8, 20)))
    active = fires(table, "attn.1", given)[table["position"].to_numpy() > 0]
    assigned = tables.read_table(root / "sae" / "heads.parquet")
    assert assigned["tokens"].to_pylist() == active.sum(axis=0).tolist()
    site = tables.read_csv(out / "feature_heads.csv")[0]
    assert (site["site"], site["features"]) == ("attn.1", "20")
    assert sum(int(site[name]) for name in ("assigned", "unassigned", "dead")) == 20
    shared = [row for row in tables.read_csv(out / "head_overlap.csv") if row["of"] == "pair"]
    assert sum(int(row["features"]) for row in shared) == int(site["assigned"])


def test_the_schema_holds_every_row_of_the_library():
    rows, labels = planted()
    found = directions.rows("rois", "writing", {"a": directions.compare(rows, labels, 9, 1, "a")})
    table = pa.Table.from_pylist(found, schema=directions.SCHEMA)
    assert {name for row in found for name in row} == set(table.column_names)
