"""The block model in its own interpreter: planted groups, nulls, nesting, bytes, refusals."""

import json
import os
import subprocess

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from conftest import SCRIPTS
from connectome import agreement, arrays, communities, controls, labelling, moments, partitions
from test_graphs import SETTINGS, built

PYTHON = os.environ.get("LM_CONNECTOME_GRAPH_TOOL_PYTHON", "/usr/bin/python3")
CFG = {"seeds": 3, "control_seeds": 1, "sweeps": 4, "patience": 2, "min_gain": 0.1}
GROUPS = np.repeat(np.arange(5), [30, 24, 18, 18, 14])


def correlated(noise, seed=0, groups=GROUPS, n=1500):
    """Samples of features in groups of equal loading, and of noise features."""
    generator = np.random.default_rng(seed)
    factors = generator.standard_normal((n, groups.max() + 1))
    x = 0.6 * factors[:, groups] + 0.8 * generator.standard_normal((n, len(groups)))
    return np.hstack([x, generator.standard_normal((n, noise))])


def covariance_of(x):
    """Arrays of a covariance file of these samples."""
    halves = [moments.of_rows(x[::2]), moments.of_rows(x[1::2])]
    names = ("count", "mean", "m2", "active")
    return {name: np.stack([getattr(half, name) for half in halves]) for name in names}


def graph_of(x):
    return built(x, settings={**SETTINGS, "false_pairs": 0.1}, size=500)


def fitted(folder, x, name, seed=1, classical=0):
    """The bytes of the record that the script writes for these samples."""
    content, meta = graph_of(x)
    graph, covariance = folder / f"{name}.npz", folder / f"{name}.covariance.npz"
    target = folder / f"{name}.json"
    arrays.write_npz(graph, content, {}, meta)
    arrays.write_npz(covariance, covariance_of(x), {})
    call = [PYTHON, SCRIPTS / "fit_sbm.py", "--graph", graph, "--covariance", covariance]
    call += ["--output", target]
    settings = {**CFG, "classical_features": classical}
    call += ["--cfg", json.dumps({"seed": seed, "sbm": settings})]
    done = subprocess.run(call, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("planted"), correlated(40), "planted")


def test_planted_groups_are_recovered_and_noise_stays_out(planted):
    record = json.loads(planted)
    finest = np.array(record["levels"][0])
    inside = finest[: len(GROUPS)]
    assert adjusted_mutual_info_score(GROUPS, inside) > 0.95
    assert np.mean(finest[len(GROUPS) :] == labelling.UNGROUPED) > 0.6
    assert record["grouped"] == np.sum(finest >= 0) and record["status"] == "ok"


def test_the_description_is_shorter_than_that_of_one_block(planted):
    record = json.loads(planted)
    lengths = [restart["description_length"] for restart in record["restarts"]]
    assert record["description_length"] == min(lengths)
    assert record["description_length_one_block"] - min(lengths) > 100
    assert record["description_length_uncorrected"] < record["description_length_one_block"]
    assert [restart["seed"] for restart in record["restarts"]] == [1, 2, 3]
    for restart in record["restarts"]:
        assert restart["trace"][-1] == restart["description_length"]
        assert np.all(np.diff(restart["trace"]) <= 1e-6)


def test_coarser_levels_are_coarsenings_numbered_by_size(planted):
    record = json.loads(planted)
    levels = [np.array(level) for level in record["levels"]]
    assert record["blocks"] == [level.max() + 1 for level in levels]
    assert record["blocks"][-1] == 1 and record["blocks"] == sorted(record["blocks"])[::-1]
    for fine, coarse in zip(levels, levels[1:], strict=False):
        for part in range(fine.max() + 1):
            assert len(np.unique(coarse[fine == part])) == 1
        np.testing.assert_array_equal(fine < 0, coarse < 0)
    for level in levels:
        sizes = np.bincount(level[level >= 0])
        first = [np.flatnonzero(level == part)[0] for part in range(len(sizes))]
        order = sorted(range(len(sizes)), key=lambda part: (-sizes[part], first[part]))
        assert order == list(range(len(sizes)))


def test_stability_over_seeds_and_halves_is_high_and_its_control_is_not(planted):
    record = json.loads(planted)
    assert record["seed_ami"] > 0.9 and record["half_ami"] > 0.8
    assert abs(record["half_ami_null"]) < 0.1
    share = record["stability"]
    finest = record["levels"][0]
    assert [value is None for value in share] == [label < 0 for label in finest]
    assert np.mean([value for value in share if value is not None]) > 0.9


def test_nulls_of_planted_data_are_one_block(planted):
    record = json.loads(planted)
    assert record["null"]["permuted"] == record["null"]["entries"] == [1, 1]
    assert record["null_pass"] is True


def test_independent_features_are_no_regions(tmp_path):
    x = np.random.default_rng(5).standard_normal((1500, 60))
    record = json.loads(fitted(tmp_path, x, "independent"))
    assert record["grouped"] < 30 and set(record["blocks"]) <= {1}
    assert record["null"]["permuted"] == record["null"]["entries"] == [1, 1]
    assert record["seed_ami"] is None  # one block on both sides: nothing to agree on


def test_the_same_seed_gives_the_same_bytes_in_two_processes(planted, tmp_path):
    assert fitted(tmp_path, correlated(40), "planted") == planted


@pytest.mark.parametrize("x", [np.ones((60, 3)), np.ones((0, 3)), np.eye(60)[:, :1] + 1])
def test_a_refused_graph_stays_refused_with_its_reason(tmp_path, x):
    record = json.loads(fitted(tmp_path, x, "refused"))
    assert record["status"] == "refused" and record["levels"] == [] and record["reason"]


def test_records_have_the_same_fields_refused_or_not(planted, tmp_path):
    refused = json.loads(fitted(tmp_path, np.ones((60, 3)), "refused"))
    assert set(refused) == set(json.loads(planted))


def test_leiden_finds_communities_where_the_block_model_finds_one(planted):
    content, _ = graph_of(correlated(40))
    found = communities.counts(content, seed=1)["leiden"]
    null = json.loads(planted)["null"]
    for kind in ("permuted", "entries"):
        assert null[kind] == [1, 1] and min(found[kind]) >= 4


def against_truth(x, record, truth):
    """AMI with the planted groups, of the regions and of all controls at their number of parts."""
    content, _ = graph_of(x)
    finest = np.array(record["levels"][0])
    basis = controls.Basis(
        moments=moments.full(covariance_of(x)),
        graph=communities.network(content["data"], content["data.r"]),
        dead=content["dead"],
        parts=int(finest.max()) + 1,
        starts=10,
        seed=1,
    )
    found = {name: method(basis)[0] for name, method in controls.METHODS.items()}
    found["random"] = partitions.shuffled(finest, 1)
    return {
        name: agreement.adjusted_mutual_information(truth, labels[: len(truth)])
        for name, labels in (found | {"rois": finest}).items()
    }


def test_agreement_with_planted_groups_tells_methods_that_see_them_from_chance(planted):
    ami = against_truth(correlated(40), json.loads(planted), GROUPS)
    for name in ("rois", *controls.METHODS):
        assert ami[name] > 0.95, ami
    assert abs(ami["random"]) < 0.1, ami


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    groups = np.repeat(np.arange(4), [14, 10, 8, 8])
    return groups, fitted(
        tmp_path_factory.mktemp("small"), correlated(0, groups=groups), "small", classical=40
    )


def test_the_classical_recipe_recovers_planted_groups_beside_the_default(small):
    groups, content = small
    record = json.loads(content)
    found = record["classical"]
    assert found["status"] == "ok" and found["own_blocks"] is False
    labels = np.array(found["levels"][0])
    assert adjusted_mutual_info_score(groups, labels) > 0.95
    assert found["blocks"] == [len(set(level)) for level in found["levels"]]
    default = np.array(record["levels"][0])
    both = default >= 0
    expected = adjusted_mutual_info_score(default[both], labels[both])
    assert found["ami_default"] == pytest.approx(expected)
    lengths = [restart["description_length"] for restart in found["restarts"]]
    assert len(lengths) == CFG["seeds"] and found["description_length"] <= min(lengths) + 1e-6
    assert found["description_length"] <= found["description_length_default"] + 1e-6
    assert found["description_length_default"] < found["description_length_one_block"] - 100
    for restart in found["restarts"]:
        assert len(restart["trace"]) <= CFG["sweeps"] + 1


def test_one_block_has_the_same_classical_length_however_it_was_found(tmp_path):
    x = correlated(0, groups=np.zeros(12, dtype=int))
    record = json.loads(fitted(tmp_path, x, "one", classical=12))
    assert record["blocks"] == [1] and record["grouped"] == 12
    found = record["classical"]
    assert found["description_length_default"] == found["description_length_one_block"]


def test_the_classical_recipe_is_refused_with_its_reason_or_off(planted, tmp_path):
    assert json.loads(planted)["classical"] is None
    x = correlated(0, groups=np.repeat([0, 1], 10))
    found = json.loads(fitted(tmp_path, x, "large", classical=19))["classical"]
    assert found["status"] == "refused" and found["levels"] == []
    assert found["reason"] == "20 live features; sbm.classical_features allows 19"
    copies = np.repeat(np.random.default_rng(0).standard_normal((1500, 1)), 12, axis=1)
    found = json.loads(fitted(tmp_path, copies, "copies", classical=19))["classical"]
    assert found["status"] == "refused" and "have the same correlation" in found["reason"]
    found = json.loads(fitted(tmp_path, np.ones((60, 3)), "constant", classical=19))["classical"]
    assert found["status"] == "refused" and "3 constant" in found["reason"]


def test_seed_zero_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="error: seed: 0 would be drawn anew"):
        fitted(tmp_path, np.ones((60, 3)), "zero", seed=0)


@pytest.mark.parametrize(("n", "parts", "seed"), [(7, 3, 0), (60, 5, 1), (300, 40, 2), (50, 50, 3)])
def test_agreement_is_that_of_scikit_learn(n, parts, seed):
    generator = np.random.default_rng(seed)
    left = generator.integers(0, parts, n)
    for right in (generator.integers(0, parts, n), np.where(left > 1, left, 0), left, left * 0):
        found = agreement.adjusted_mutual_information(left, right)
        assert found == pytest.approx(adjusted_mutual_info_score(left, right), abs=1e-10)


def test_agreement_of_singletons_and_of_nothing():
    singles = np.arange(9)
    assert agreement.adjusted_mutual_information(singles, singles[::-1]) == 1
    with pytest.raises(ValueError, match="labellings of 0 and 0 members"):
        agreement.adjusted_mutual_information(np.array([]), np.array([]))


def test_parts_are_numbered_by_size_then_by_smallest_member():
    labels = np.array([9, 4, 4, 7, 7, 4, 2])
    assert labelling.by_size(labels).tolist() == [2, 0, 0, 1, 1, 0, 3]


def test_size_statistics_by_hand():
    found = labelling.size_statistics(np.array([0, 0, 0, 1, -1, -2, -2]))
    assert (found["blocks"], found["grouped"], found["ungrouped"], found["dead"]) == (2, 4, 1, 2)
    assert found["largest_share"] == 0.75
    assert found["gini"] == pytest.approx(0.25)  # mean absolute difference over twice the mean
    assert found["effective_blocks"] == pytest.approx(4 / 3**0.75)
    assert labelling.size_statistics(np.array([-1, -2]))["effective_blocks"] is None
