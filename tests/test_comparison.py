"""Several models compared: tables, figure and section, on a synthetic results folder."""

import argparse
import importlib
import re

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

import report_chain
import synthetic_results
from conftest import ROOT
from connectome import lineage, partitions, tables
from connectome.plots import comparison as figure
from connectome.plots import style
from connectome.report import build
from connectome.report.sections import comparison as section
from connectome.tabulate import comparison, growth, overlap
from synthetic_results import CANNOT, DICTIONARY, SITES, STAMP, TASKS, width

MODELS = ["demo", "other"]  # taken for two checkpoints of one run
RELATION = {"left": "demo", "right": "other", "same_run": True, "next": True}
TOKENS, DRAWS = 300, 49


def call(script, cfg, **arguments):
    args = argparse.Namespace(cfg=cfg, stamp=STAMP, **arguments)
    importlib.import_module(script).main(args)


def write_activations(root, model):
    """Activity in which the ROIs of a model follow a signal of their own, the same in both."""
    rng = np.random.default_rng(len(model))
    of_sites = partitions.labels(
        partitions.load(root / model / DICTIONARY / "partitions.parquet"), "rois"
    )
    columns = {"document": np.arange(TOKENS) // 20, "position": np.arange(TOKENS) % 20}
    columns["token"] = np.arange(TOKENS) % 11
    for site in SITES:
        signals = np.random.default_rng(3).standard_normal((TOKENS, 8))
        values = rng.standard_normal((TOKENS, width(site))) + signals[:, of_sites[site]]
        kind = "hidden" if site.startswith("mlp") else "values"
        columns[f"{site}.{kind}"] = tables.fixed_lists(values.astype(np.float32))
    path = root / model / "activations.parquet/part-0-of-1.parquet"
    tables.write_table(path, columns, STAMP)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The two synthetic models through the scripts from matching to the figure."""
    root = tmp_path_factory.mktemp("compared")
    synthetic_results.write(root)
    report_chain.make_tables(root)
    activations = {model: write_activations(root, model) for model in MODELS}
    settings = {"partitions": ["rois", "rois_attribution"], "tokens": 200, "draws": DRAWS}
    stem = root / f"comparison/{DICTIONARY}/demo.other"
    of_model = {model: root / model / DICTIONARY / "partitions.parquet" for model in MODELS}
    call(
        "match_rois",
        {"comparison": settings, "same_run": True, "seed": 1, "skip_start": True},
        activations_left=[activations["demo"]],
        activations_right=[activations["other"]],
        partitions_left=of_model["demo"],
        partitions_right=of_model["other"],
        output=stem.with_name("demo.other.matching.parquet"),
        pairs=stem.with_name("demo.other.pairs.parquet"),
    )
    models = [{"model": "demo", "origin": "demo", "step": 100}]
    models.append({"model": "other", "origin": "demo", "step": 200})
    cfg = {"models": models, "pairs": [RELATION], "method": "eap-ig-inputs", "seed": 1}

    def found(pattern):
        return sorted(root.glob(pattern))

    names = ("competence", "sites", "partitions", "sizes")
    call(
        "tabulate_comparison",
        cfg | {"sizes": [0.1, 0.2], "draws": DRAWS},
        models=found("*/model.json"),
        matching=found("comparison/*/*.matching.parquet"),
        pairs=found("comparison/*/*.pairs.parquet"),
        nodes=found("*/*/circuits/*.nodes.parquet"),
        edges=found("*/*/circuits/*.edges.parquet"),
        graphs=found("*/*/graph/*.npz"),
        partitions=[of_model[model] for model in MODELS],
        tables=[root / f"tables/{name}.csv" for name in names],
        output=root / "tables",
    )
    call(
        "plot_comparison",
        {"dpi": 50},
        growth=root / "tables/growth.csv",
        comparison=root / "tables/comparison.csv",
        dictionary=DICTIONARY,
        output=root / f"figures/comparison.{DICTIONARY}.csv",
    )
    return root


@pytest.fixture(scope="module")
def body(root):
    plan = synthetic_results.plan() | {"compared": MODELS}
    page = build.build(root, plan, ROOT / "workflow/report")
    start = page.index('<section id="comparison"')
    return page[start : page.index("</section>", start)]


def rows_of(root, name, **wanted):
    rows = tables.read_csv(root / f"tables/{name}.csv")
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def test_matching_by_features_is_that_of_the_partitions_files(root):
    labels = [
        partitions.labels(partitions.load(root / model / DICTIONARY / "partitions.parquet"), "rois")
        for model in MODELS
    ]
    found = rows_of(root, "matching", route="features", partition="rois")
    assert [row["site"] for row in found] == SITES
    for row in found:
        if row["site"].startswith("attn"):
            assert row["status"] == "refused" and "found anew" in row["reason"]
            continue
        left, right = (of_model[row["site"]] for of_model in labels)
        both = (left >= 0) & (right >= 0)
        ami = adjusted_mutual_info_score(left[both], right[both])
        assert float(row["ami"]) == pytest.approx(ami, abs=1e-6)
        assert float(row["ami_p_adj"]) >= float(row["ami_p"]) >= 1 / (DRAWS + 1)


def test_rois_that_follow_one_signal_in_both_models_are_matched_to_each_other(root):
    """Part k of every site follows signal k in both models, whatever features it has."""
    found = rows_of(root, "matched_rois", route="profiles", partition="rois")
    numbers = [[row[f"{end}_roi"].rpartition("r")[2] for end in ("left", "right")] for row in found]
    assert len(found) > 15
    assert np.mean([left == right for left, right in numbers]) > 0.9
    (verdict,) = rows_of(root, "comparison", measure="profiles", partition="rois")
    assert int(verdict["tests"]) == len(found)
    beyond = [
        max(float(row["p_permuted_adj"]), float(row["p_rolled_adj"])) <= comparison.LEVEL
        for row in found
    ]
    assert int(verdict["above"]) == sum(beyond) > 0
    assert float(verdict["value"]) > float(verdict["null_hi"]) > float(verdict["rolled"])


def test_circuits_are_compared_where_parts_exist_in_both(root):
    found = rows_of(root, "overlap", partition="heads", of="edges", share="0.1")
    assert {row["task"] for row in found} == set(TASKS)
    for row in found:
        both = row["task"] != CANNOT
        assert row["competent"] == str(both).lower() and row["status"] == "ok"
        assert bool(row["p_adj"]) == both
        size, shared = int(row["selected"]), int(row["shared"])
        assert float(row["jaccard"]) == pytest.approx(shared / (2 * size - shared), abs=1e-6)
    assert not rows_of(root, "overlap", partition="kmeans")
    rois = rows_of(root, "overlap", partition="rois", of="nodes", status="ok")
    matched = rows_of(root, "matched_rois", route="profiles", partition="rois")
    assert rois and all(int(row["total"]) <= len(matched) for row in rois)


def test_growth_repeats_the_tables_it_is_made_from(root):
    for model, step in zip(MODELS, ("100", "200"), strict=True):
        (able,) = rows_of(root, "growth", quantity="tasks_competent", model=model)
        assert (able["value"], able["n"], able["step"]) == ("4", "5", step)
        sites = rows_of(
            root, "sites", model=model, kind="activation", status="ok", dictionary="neurons"
        )
        native = {"of": "all", "partition": "rois", "dictionary": "neurons", "model": model}
        (total,) = rows_of(root, "growth", quantity="rois", **native)
        assert int(total["value"]) == sum(int(row["blocks"]) for row in sites)
        (grouped,) = rows_of(root, "growth", quantity="grouped", **native)
        expected = sum(int(row["grouped"]) for row in sites) / sum(
            int(row["live"]) for row in sites
        )
        assert float(grouped["value"]) == pytest.approx(expected, abs=1e-6)
        # edges of the synthetic graphs join members of one part alone
        (ordered,) = rows_of(root, "growth", quantity="modularity", **native)
        assert float(ordered["value"]) > 0.5 > float(ordered["null_hi"])


def test_models_come_by_size_and_those_of_a_run_by_step():
    models = [{"model": name, "origin": name[0], "step": None} for name in ("b", "a1", "a2")]
    found = growth.in_order(models, {"b": 9, "a1": 4, "a2": 4})
    assert [(row["model"], row["place"]) for row in found] == [("a1", 0), ("a2", 1), ("b", 2)]
    config = {
        "training": {"steps": 9},
        "models": {"end": {"train": {}}, "x": {"path": "p"}}
        | {f"s{step}": {"checkpoint": {"of": "end", "step": step}} for step in (5, 2)},
    }
    tasks = {"end": ["t"], "x": ["t"], "s5": ["t"], "s2": ["t", "u"]}
    assert lineage.series(config, tasks) == ["s2", "s5", "end", "x"]
    assert lineage.series(config, tasks | {"x": ["other"]}) == ["s2", "s5", "end"]
    assert lineage.pairs(config, {"end": ["t"], "x": [], "s5": ["t"], "s2": ["u"]}) == [
        ("s5", "end")
    ]


def test_heads_of_models_trained_apart_and_rois_without_partners_are_refused():
    scores = {("heads", "nodes"): {"a0.h0": 1.0}, ("modules", "nodes"): {"a0": 1.0, "m0": 2.0}}
    scores[("rois", "nodes")] = {"m0.r0": 1.0}
    names = {"dictionary": "d", "left": "a", "right": "b", "same_run": False, "next": True}
    pair = overlap.Pair(names | {"task": "t"}, True, scores, scores)
    found = {row["partition"]: row for row in overlap.rows([pair], {}, "eap", [0.5])}
    assert "trained apart" in found["heads"]["reason"] and found["heads"]["p_adj"] is None
    assert found["modules"]["status"] == "ok" and found["modules"]["jaccard"] == 1
    assert "0 ROIs have a partner" in found["rois"]["reason"]


def test_the_figure_is_rebuilt_from_its_csv_and_shows_every_task_and_pair(root, tmp_path):
    source = root / f"figures/comparison.{DICTIONARY}.csv"
    rows = tables.read_csv(source)
    assert tuple(rows[0]) == figure.COLUMNS
    style.save(figure.draw(rows), tmp_path / source.name, {"dpi": 50})
    for suffix in (".pdf", ".svg", ".png"):
        rebuilt = (tmp_path / source.name).with_suffix(suffix).read_bytes()
        assert rebuilt == source.with_suffix(suffix).read_bytes()
    drawn = source.with_suffix(".svg").read_text()
    assert all(task in drawn for task in TASKS) and "training step" in drawn
    apart = [row | {"one_run": "false"} for row in rows if row["panel"] != "features"]
    assert figure.draw(apart) is not None


def test_every_number_of_the_section_is_a_cell_of_its_table(root, body):
    cells = re.findall(r'<data value="([^"]*)" data-at="(\w+) (\d+) (\w+)"', body)
    assert len(cells) > 60
    for value, name, row, column in cells:
        assert tables.read_csv(root / f"tables/{name}.csv")[int(row)][column] == value
    for sentence in re.findall(r'<(?:p|li) class="claim">(.*?)</(?:p|li)>', body, re.S):
        left = re.sub(r"<data.*?</data>|<bdi>.*?</bdi>", "", sentence)
        left = re.sub(r"\b(attn|mlp)\.\d\b|direction 3", "", left)
        assert not re.search(r"\d", left), left


def test_the_section_says_what_holds(body):
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", "", body))
    assert "What they can do: demo 4 of 5 tasks, other 4 of 5 tasks." in text
    assert "All these models are weights of one training run" in text
    assert "neurons stay together beyond chance" in text
    assert "circuits of a task share edges beyond chance" in text
    assert text.count("not tested") + text.count("hold") > 4


def test_a_run_of_one_model_says_so_and_reads_nothing():
    plan = synthetic_results.plan(("demo",)) | {"compared": []}
    assert section.inputs(plan) == [] and section.context(None, plan) == {"compared": False}
    more = section.inputs(plan | {"compared": MODELS})
    assert "tables/growth.csv" in more and f"figures/comparison.{DICTIONARY}.svg" in more
