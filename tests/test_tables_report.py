"""Tables that leave the workflow: every cell against the results it is made from."""

import json
import statistics

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import adjusted_mutual_info_score

import report_chain
import synthetic_results
from connectome import arrays, moments, part_graphs, partitions, parts, tables
from connectome.errors import DataError
from connectome.scores import Scores
from connectome.tabulate import agreement, circuits, faithfulness, identity, rois, sites, summary
from connectome.tabulate import partitions as agreements
from synthetic_results import CANNOT, DICTIONARY, NASTY, REFUSED, SPARSE_SITES, TASKS


@pytest.fixture(scope="module")
def table():
    return lambda name: tables.read_csv(report_chain.results() / "tables" / f"{name}.csv")


def only(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1, (wanted, len(found))
    return found[0]


def test_a_path_says_which_result_it_is_and_a_wrong_one_is_refused(tmp_path):
    template = "{model}/{dictionary}/sbm/{site}.{kind}.json"
    path = tmp_path / "it's a tést.x" / "demo" / "neurons" / "sbm" / "attn.0.activation.json"
    assert identity.fields(path, template) == {
        "model": "demo",
        "dictionary": "neurons",
        "site": "attn.0",
        "kind": "activation",
    }
    with pytest.raises(DataError, match="not a path of the form"):
        identity.fields(tmp_path / "sbm" / "attn.json", "{model}/tasks/{task}.parquet")


def test_undefined_numbers_are_empty_fields_never_nan(table):
    curve = [row for row in table("training") if row["task"] == "ioi" and row["step"] == "400"]
    assert sorted(row["value"] for row in curve)[0] == ""
    for path in sorted((report_chain.results() / "tables").glob("*.csv")):
        for row in tables.read_csv(path):
            assert not {"nan", "inf", "None"} & set(row.values()), (path.name, row)


def test_only_models_trained_here_have_training_rows(table):
    assert {row["model"] for row in table("models")} == {"demo", "other"}
    assert {row["model"] for row in table("training")} == {"demo"}


def test_competence_holds_the_numbers_of_its_record(table):
    path = report_chain.results() / "demo" / "tasks" / f"{CANNOT}.competence.json"
    record = arrays.read_json(path)
    row = only(table("competence"), model="demo", task=CANNOT, split="heldout")
    measured = record["splits"]["heldout"]
    assert float(row["gap_hi"]) == measured["gap"]["hi"]
    assert float(row["accuracy_corrupted"]) == measured["accuracy_corrupted"]["value"]
    assert (row["competent"], row["reason"]) == ("false", record["reason"])


def test_prompts_survive_the_table_character_by_character(table):
    shown = [row for row in table("prompts") if row["model"] == "demo" and row["task"] == "ioi"]
    assert [row["split"] for row in shown] == ["heldout"] * 2
    for row, token in zip(shown, (NASTY[1], NASTY[3]), strict=True):
        assert row["clean"][0] == '"' and row["clean"].isascii()
        assert json.loads(row["clean"]) == f"When Mary and {token} went"
        assert json.loads(row["answers"]) == [token]


def test_sites_count_blocks_and_keep_the_reason_of_a_refusal(table):
    found = table("sites")
    refused = only(found, model="demo", site=REFUSED[0], kind=REFUSED[1])
    assert refused["status"] == "refused" and "0.9100" in refused["reason"]
    assert (refused["blocks"], refused["seed_ami"], refused["null_pass"]) == ("0", "", "")
    fitted = only(found, model="demo", site="mlp.0", kind="activation")
    assert (fitted["blocks"], fitted["levels"]) == ("6", "6 > 2 > 1")
    assert (fitted["null_permuted"], fitted["null_rolled"]) == ("1", "2")
    assert (fitted["restarts"], refused["restarts"]) == ("5", "0")
    assert fitted["unit"] == "token positions" and float(fitted["threshold"]) == 0.05


def test_each_level_accounts_for_every_feature(table):
    sizes = {}
    for row in table("levels"):
        key = (row["model"], row["dictionary"], row["site"], row["kind"], row["level"])
        sizes[key] = sizes.get(key, 0) + int(row["features"])
    for (_, dictionary, site, _, _), features in sizes.items():
        native = dictionary == DICTIONARY
        assert features == (synthetic_results.width(site) if native else SPARSE_SITES[site])
    fit = {"levels": [[0, 0, 1, -1, -2]]}
    assert [row["features"] for row in sites.part_rows([({}, fit)])] == [1, 1, 2, 1]


def test_nulls_show_the_fewest_and_the_most_groups_of_every_method(table):
    of_site = {"model": "demo", "site": "mlp.0", "kind": "activation"}
    leiden = only(table("nulls"), method="leiden", **of_site)
    assert (leiden["data"], leiden["permuted_lo"], leiden["permuted_hi"]) == ("6", "7", "9")
    blocks = only(table("nulls"), method="block model", **of_site)
    assert (blocks["data"], blocks["permuted_hi"], blocks["rolled_hi"]) == ("6", "1", "2")
    assert blocks["draws"] == leiden["draws"] == "3"
    assert not [row for row in table("nulls") if (row["site"], row["kind"]) == REFUSED]


def test_the_classical_table_holds_both_lengths_or_the_reason(table):
    fitted = only(table("classical"), model="demo", site="attn.0", kind="activation")
    lengths = [fitted["description_length" + name] for name in ("", "_default", "_one_block")]
    assert lengths == ["400.0", "430.0", "480.0"]
    assert (fitted["restarts"], fitted["restart_spread"]) == ("2", "12.5")
    assert (fitted["blocks"], fitted["blocks_default"], fitted["own_blocks"]) == ("2", "3", "false")
    large = only(table("classical"), model="demo", site="mlp.0", kind="activation")
    assert large["reason"] == "39 live features; sbm.classical_features allows 20"
    assert (large["status"], large["description_length"]) == ("refused", "")
    assert sites.classical_rows([({}, {"classical": None})]) == []


def test_partitions_show_their_sizes_and_what_they_were_to_match(table):
    found = table("partitions")
    row = only(found, model="demo", site="mlp.0", partition="leiden")
    assert (row["matched"], row["wanted"], row["resolution"]) == ("rois", "6", "1.25")
    path = report_chain.results() / "demo" / "neurons" / "partitions.parquet"
    labels = partitions.by_site(partitions.load(path))["mlp.0"]
    sizes = np.bincount(labels["leiden"][labels["leiden"] >= 0])
    assert int(row["blocks"]) == len(sizes) and int(row["grouped"]) == sizes.sum()
    assert float(row["largest_share"]) == pytest.approx(sizes.max() / sizes.sum())
    assert only(found, model="demo", site="mlp.0", partition="infomap")["wanted"] == ""
    order = [row["partition"] for row in found if (row["model"], row["site"]) == ("demo", "mlp.0")]
    assert order[:4] == ["modules", "heads", "rois", "rois_attribution"]


def test_agreement_is_over_the_features_that_both_group_beside_its_null():
    generator = np.random.default_rng(0)
    one = np.repeat([0, 1, 2, -1], [20, 20, 20, 4])
    other = np.where(generator.random(64) < 0.8, one, generator.integers(0, 3, 64))
    other[:5] = -2
    unrelated = generator.integers(0, 3, 64)
    labels = {"one": one, "other": other, "unrelated": unrelated, "whole": 0 * one}
    labels |= {"refused": unrelated, "modules": 0 * one}
    fine = {"mlp.0": {"reason": None}}
    meta = {"partitions": dict.fromkeys(labels, fine)}
    meta["partitions"]["refused"] = {"mlp.0": {"reason": "no edges"}}
    rows = agreements.agreement_rows({"model": "m", "dictionary": "d"}, {"mlp.0": labels}, meta, 1)
    assert len(rows) == 10  # pairs of five: `modules` is one part by definition
    pair = only(rows, left="one", right="other")
    both = (one >= 0) & (other >= 0)
    assert pair["features"] == both.sum()
    assert pair["ami"] == pytest.approx(adjusted_mutual_info_score(one[both], other[both]))
    assert pair["p"] == 1 / 200 and pair["ami"] > pair["ami_null_hi"] > pair["ami_null"]
    assert pair["vi"] > 0
    assert only(rows, left="one", right="unrelated")["p"] > 0.05
    assert only(rows, left="one", right="whole")["reason"] == "whole has one part"
    assert only(rows, left="one", right="refused")["reason"] == "refused: no edges"
    same = {"mlp.0": {"one": one, "again": one}}
    (row,) = agreements.agreement_rows({}, same, {"partitions": {"one": fine, "again": fine}}, 1)
    assert (row["ami"], row["vi"], row["p"]) == (pytest.approx(1), 0, 1 / 200)


def correlated(r):
    """Moments of features with these correlations."""
    return moments.Moments(10, np.zeros(len(r)), r, np.full(len(r), 10))


def test_mean_correlation_inside_a_part_leaves_the_diagonal_out():
    r = np.array([[1.0, -0.2, 0.4], [-0.2, 1.0, 0.6], [0.4, 0.6, 1.0]])
    pairs = rois.Pairs(correlated(r), np.array([[0, 1], [1, 2]]))
    assert rois.mean_inside(pairs, np.array([0, 1, 2])) == pytest.approx((0.4, 2 / 3))
    assert rois.mean_inside(pairs, np.array([1, 2])) == pytest.approx((0.6, 1))
    assert rois.mean_inside(pairs, np.array([1])) is None


def test_random_sets_of_a_planted_group_are_looser_and_the_whole_site_has_none():
    r = np.eye(12)
    r[:4, :4] = 0.9
    np.fill_diagonal(r, 1)
    columns = {
        "site": ["mlp.0"] * 12,
        "feature": list(range(12)),
        "rois": [0] * 4 + [1] * 7 + [-2],
        "stability": [0.5, 1.0, None, float("nan")] + [1.0] * 8,
    }
    pair = {"model": "demo", "dictionary": "neurons"}
    kinds, place = {"rois": "activation"}, ("mlp.0", "activation")
    edges = np.array([[0, 1], [0, 2], [1, 2], [4, 5], [3, 11]])
    first, second = rois.rows(pair, columns, kinds, {place: correlated(r)}, {place: edges}, seed=1)
    assert (first["part"], first["features"]) == ("m0.r0", 4)
    assert first["mean_r"] == pytest.approx(0.9) and first["mean_r_random_hi"] < 0.9
    assert first["stability"] == 0.75
    assert second["mean_r"] == 0.0
    assert first["density"] == 3 / 6 and first["density_random_hi"] < 0.5
    assert second["density"] == 1 / 21
    columns["rois"] = [0] * 12
    (whole,) = rois.rows(pair, columns, kinds, {place: correlated(r)}, {place: edges}, seed=1)
    assert whole["mean_r_random"] is None and whole["density"] == 5 / 66


def test_shares_of_a_partition_sum_to_one_and_follow_the_absolute_score(table):
    shown = [
        row
        for row in table("roi_scores")
        if (row["model"], row["task"], row["partition"]) == ("demo", "ioi", "heads")
        and row["dictionary"] == DICTIONARY
    ]
    assert {row["method"] for row in shown} == {"eap-ig-inputs"}
    assert sum(float(row["share"]) for row in shown) == pytest.approx(1)
    by_share = sorted(shown, key=lambda row: float(row["share"]))
    assert by_share[-1] is max(shown, key=lambda row: abs(float(row["score"])))


def node(partition, name, score, features=1):
    return {
        "partition": partition, "method": "eap", "node": name, "site": "mlp.2", "se": None,
        "features": features, "score": score, "mean_abs": abs(score),
    }  # fmt: skip


def test_scores_per_member_and_per_active_member_by_hand():
    pair = {"model": "m", "dictionary": "d", "task": "t"}
    parts = [0, 0, 0, 0, 1, 1, 2]
    columns = {
        "site": ["mlp.2"] * 7,
        "feature": list(range(7)),
        "rois": parts,
        "stability": [1] * 7,
    }
    nodes = [node("rois", f"m2.r{k}", s, n) for k, s, n in ((0, 8.0, 4), (1, -3.0, 2), (2, 2.0, 1))]
    singles = [4.0, 4.0, 0.0, 0.0, -3.0, 0.0, 2.0]
    nodes += [node("features", f"m2.f{i}", score) for i, score in enumerate(singles)]
    nodes[-2]["mean_abs"] = 0.5  # of both signs on two prompts: active, though they cancel
    found = rois.score_rows([(pair, nodes)], {("m", "d"): columns}, "eap")
    assert [(r["active"], r["mean"], r["mean_active"]) for r in found] == [
        (2, 2.0, 4.0), (2, -1.5, -1.5), (1, 2.0, 2.0)
    ]  # fmt: skip
    sizes = {row["normalisation"]: row for row in rois.size_rows(found)}
    assert sizes["score"]["spearman"] == pytest.approx(1.0)  # 8, 3, 2 for 4, 2, 1 members
    assert sizes["mean_active"]["spearman"] == pytest.approx(0.5)  # 4, 1.5, 2
    assert (sizes["mean"]["tasks"], sizes["mean"]["parts"]) == (1, 3)
    without = rois.score_rows([(pair, nodes[:3])], {("m", "d"): columns}, "eap")
    assert {row["active"] for row in without} == {None} and rois.size_rows(without) == []


def evaluation(edges, f, **others):
    row = dict.fromkeys(faithfulness.COLUMNS, None)
    return row | {
        "model": "m", "dictionary": "d", "task": "t", "competent": True, "partition": "heads",
        "method": "eap", "ablation": "counterfactual", "intervention": "edge", "mode": "circuit",
        "edges": edges, "requested": edges, "features": edges, "f_ratio": f, "f_lo": f, "f_hi": f,
    } | others  # fmt: skip


def test_the_smallest_circuit_above_the_target_is_chosen_whatever_the_order():
    curve = [evaluation(40, 1.0), evaluation(9, 0.9), evaluation(20, 0.84), evaluation(4, 0.2)]
    curve += [evaluation(2, None), evaluation(3, 0.99, mode="complement")]
    (row,) = faithfulness.size_rows(curve, 0.85)
    assert (row["edges"], row["reached"], row["edges_all"]) == (9, True, 40)
    (row,) = faithfulness.size_rows([curve[3], curve[2]], 0.85)
    assert (row["edges"], row["reached"], row["faithfulness"]) == (20, False, 0.84)


def test_a_circuit_is_held_against_random_circuits_at_least_as_large():
    null = {"null_lo": 0.0, "null_median": 0.1, "draws": 20, "p": 0.05}
    curve = [evaluation(9, 0.9), evaluation(20, 0.95, null_hi=0.3, **null)]
    curve.append(evaluation(5, 0.1, null_hi=0.2, **null))
    (row,) = faithfulness.size_rows(curve, 0.85)
    assert (row["edges"], row["null_edges"], row["null_hi"], row["p"]) == (9, 20, 0.3, None)
    (row,) = faithfulness.size_rows([curve[0], curve[2]], 0.85)
    assert (row["null_edges"], row["null_hi"]) == (None, None)


def test_the_drawn_circuit_is_the_one_that_was_evaluated(table):
    drawn, sizes = table("circuits"), table("sizes")
    for task in TASKS:
        for partition in ("heads", "rois_attribution"):
            size = only(
                sizes, model="demo", task=task, partition=partition, method="eap-ig-inputs",
                intervention="edge", dictionary=DICTIONARY,
            )  # fmt: skip
            edges = [
                row
                for row in drawn
                if (row["model"], row["task"], row["partition"]) == ("demo", task, partition)
                and row["dictionary"] == DICTIONARY
            ]
            assert len(edges) == int(size["edges"])
            assert {row["faithfulness"] for row in edges} <= {size["faithfulness"]}


def test_selection_equals_a_plain_search_for_paths():
    path = report_chain.results() / "demo" / "neurons" / "circuits" / "ioi.edges.parquet"
    rows = [
        row
        for row in tables.read_table(path).to_pylist()
        if row["partition"] == "rois" and row["method"] == "eap"
    ]
    graph = circuits.graph_of(rows)
    place = {name: i for i, name in enumerate(graph.names)}
    ranked = sorted(rows, key=lambda row: (-abs(row["score"]), f"{row['src']}->{row['dst']}"))
    for size in (3, 12, 60):
        pairs = [(place[row["src"]], place[row["dst"]]) for row in ranked[:size]]
        brute = set(synthetic_results.pruned(pairs, len(graph.names) - 1))
        kept = circuits.select(rows, size, "absolute")
        assert {(place[row["src"]], place[row["dst"]]) for row in kept} == brute
        scores = [abs(row["score"]) for row in kept]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("slots", [False, True])
def test_a_graph_of_chosen_features_comes_back_from_its_edges(slots):
    """Single features by number, the rest of a module last; only the members stay unknown."""
    counts = {"attn.0": 4, "mlp.0": 12, "attn.1": 4}
    chosen = {"m0.n2", "m0.n10", "a1.n0", "a1.n1", "a1.n2", "a1.n3"}
    graph = parts.chosen_features(counts, list(counts), chosen)
    graph = parts.with_slots(graph) if slots else graph
    scores = np.random.default_rng(0).normal(size=(1, *graph.exists.shape))
    found = {("top_features", "eap"): Scores(scores[:, -1], scores)}
    graphs = {"top_features": graph}
    table = part_graphs.edge_table(found, graphs, "counterfactual")
    np.testing.assert_array_equal(
        part_graphs.edge_matrix(table, graph), np.where(graph.exists, scores[0], 0)
    )
    rows = table.to_pylist()
    again = circuits.graph_of(rows)
    assert (again.names, again.slotted) == (graph.names, graph.slotted)
    assert again.names[1:5] == ("a0.rest", "m0.n2", "m0.n10", "m0.rest")
    assert again.sizes.tolist() == graph.sizes.tolist()
    kept = circuits.select(rows, 9, "absolute")
    expected = parts.top_edges(graph, scores[0], 9, "absolute", fill=False).mask
    assert len(kept) == expected.sum()


def test_agreement_equals_scipy_and_counts_the_overlap():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50))
    found = agreement.compare(x, y, top=10)
    assert found["spearman_abs"] == pytest.approx(spearmanr(np.abs(x), np.abs(y)).statistic)
    assert found["pearson"] == pytest.approx(pearsonr(x, y).statistic)
    assert found["chance"] == 0.2
    hand = agreement.compare(np.array([9.0, -8, 1, 0]), np.array([7.0, 0, -9, 1]), top=2)
    assert hand["top_overlap"] == 0.5
    assert agreement.compare(np.ones(3), np.arange(3.0), top=2)["spearman_abs"] is None


def test_summary_repeats_the_tables_and_leaves_out_what_the_model_cannot_do(table):
    found = [row for row in table("summary") if row["model"] == "demo"]
    found = [row for row in found if row["dictionary"] in ("", DICTIONARY)]
    assert only(found, key="tasks")["value"] == "5"
    assert only(found, key="tasks_competent")["value"] == "4"
    assert only(found, key="task_cannot")["task"] == CANNOT
    able = [
        float(row["accuracy_clean"])
        for row in table("competence")
        if (row["model"], row["split"], row["competent"]) == ("demo", "heldout", "true")
    ]
    row = only(found, key="accuracy_clean")
    assert float(row["value"]) == statistics.median(able)
    assert (float(row["lo"]), float(row["hi"])) == (min(able), max(able))
    edges = [
        int(row["edges"])
        for row in table("sizes")
        if (row["model"], row["partition"], row["method"], row["intervention"])
        == ("demo", "heads", "eap-ig-inputs", "edge")
        and row["competent"] == row["reached"] == "true"
        and row["dictionary"] == DICTIONARY
    ]
    assert float(only(found, key="edges_needed", partition="heads")["value"]) == statistics.median(
        edges
    )
    assert only(found, key="sites_null_pass", kind="attribution")["value"] == "4"
    assert only(found, key="rois", kind="activation")["value"] == "24"


def test_summary_of_a_model_that_can_do_nothing_has_no_medians(table):
    names = ("models", "competence", "sites", "rois", "roi_scores", "sizes", "agreement")
    found = {name: [dict(row) for row in table(name)] for name in names}
    for row in (*found["competence"], *found["sizes"]):
        row["competent"] = "false"
    rows = [row for row in summary.rows(found, report_chain.CFG) if row["model"] == "demo"]
    assert only(rows, key="tasks_competent")["value"] == 0
    edges = only(rows, key="edges_needed", partition="heads", dictionary=DICTIONARY)
    assert edges["value"] is None
    assert not [row for row in rows if row["key"].startswith("agreement")]


def test_regions_are_held_against_controls_task_by_task():
    def size(task, partition, features, reached="true", competent="true"):
        return {
            "task": task, "partition": partition, "features": features, "reached": reached,
            "competent": competent,
        }  # fmt: skip

    curves = [size("a", "rois_attribution", "10"), size("a", "kmeans", "12")]
    curves += [size("b", "rois_attribution", "30"), size("b", "kmeans", "12")]
    curves += [size("c", "rois_attribution", "1"), size("c", "kmeans", "2", reached="false")]
    curves += [size("d", "rois_attribution", "1"), size("d", "kmeans", "2", competent="false")]
    (row,) = summary._against_controls(curves)
    assert (row["text"], row["value"], row["hi"]) == ("kmeans", 1, 2)
