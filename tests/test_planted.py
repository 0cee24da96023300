"""Planted features through the rules from covariance to partitions: recovered, and noise left out.

Half of the live features are noise, groups have unequal sizes, tokens remember their past, some
features are dead. Measured (AMI over members of groups; over all live features, noise being one
label; share of the noise that is left out; parts):

    strength  ROIs              infomap           Leiden            spectral          k-means
    .05        .09 .27 .92  1
    .10       1.00 .92 .92  8   1.00 .92 .92 12    .96 .89 .92 10    .89 .84 .92  8    .53 .30 .00 8
    .30       1.00 .93 .92  8   1.00 .92 .92 12    .97 .91 .92 11    .78 .79 .92  8    .63 .51 .00 8

The first four work on the same thresholded graph, which is what leaves the noise out.
"""

import numpy as np
import pytest

import planted_features
from connectome import planted
from connectome.agreement import adjusted_mutual_information
from connectome.labelling import DEAD, UNGROUPED
from connectome.partitions import shuffled

SIZES = (28, 22, 18, 14, 12, 10, 8, 8)
LABELS = planted.groups(SIZES, noise=120, dead=10, seed=1)
OWN = ("rois", "rois_attribution")
TURN = 7  # features by which the second ring is numbered from another place: half an arc


def agreement(found):
    """{partition: Recovered} of every column there is."""
    return {name: planted.recovered(labels, LABELS) for name, labels in found.items()}


def controls(found):
    return {name: value for name, value in found.items() if name not in OWN}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    return planted_features.run(folder, {"mid": planted_features.grouped(LABELS, 0.3)})["mid"]


@pytest.mark.parametrize("name", OWN)
def test_rois_are_the_planted_groups_and_leave_the_noise_out(found, name):
    got = planted.recovered(found[name], LABELS)
    assert got.parts == len(SIZES)
    assert got.members > 0.98
    assert got.live > 0.9
    assert got.noise_out > 0.85
    assert np.array_equal(found[name] == DEAD, LABELS == DEAD)


def test_no_control_recovers_them_better(found):
    every = agreement(found)
    assert {"kmeans", "modules", "heads"} <= set(controls(every))
    for name, control in controls(every).items():
        assert every["rois"].members >= control.members - 0.02, name
        assert every["rois"].live >= control.live - 0.02, name
    assert every["rois"].live > every["kmeans"].live + 0.2
    for name in OWN:
        random = planted.recovered(shuffled(found[name], 1), LABELS)
        assert abs(random.members) < 0.1 and random.live < every[name].live - 0.4


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    sets = {f"strength_{s}": planted_features.grouped(LABELS, s / 100) for s in (5, 10, 20)}
    turned = planted.ring(200, planted_features.PROMPTS, 0.2, 0.0, seed=2)
    sets["ring"] = (
        planted.ring(200, planted_features.ROWS, 0.2, planted_features.MEMORY, seed=1),
        np.roll(turned, TURN, axis=1),
    )
    return planted_features.run(tmp_path_factory.mktemp("sweep"), sets)


@pytest.mark.slow
def test_groups_appear_where_they_are_strong_enough_and_are_never_made_up(swept):
    weak, mid, strong = (agreement(swept[f"strength_{s}"]) for s in (5, 10, 20))
    assert weak["rois"].parts == 1  # too weak for the tokens: one block, not eight wrong ones
    for every in (mid, strong):
        assert every["rois"].parts == len(SIZES) and every["rois"].members > 0.98
        for name, control in controls(every).items():
            assert every["rois"].live >= control.live - 0.02, name
    for every in (weak, mid, strong):
        assert every["rois"].noise_out > 0.85


@pytest.mark.slow
def test_a_continuum_is_cut_into_arcs_at_arbitrary_places(swept):
    """A ring has no groups, yet the block model divides it: its blocks are a discretisation.

    Each is an arc of neighbours, and the same ring numbered from another place is cut between other
    features. That, not the description length, tells a continuum from groups, which come back.
    """
    ring = swept["ring"]
    for name in OWN:
        labels = ring[name]
        steps = np.count_nonzero(labels != np.roll(labels, 1))
        assert labels.min() >= 0 and 8 <= labels.max() + 1 <= 25
        assert steps <= 1.5 * (labels.max() + 1)  # as many borders as arcs, or little more
    again = adjusted_mutual_information(ring["rois"], np.roll(ring["rois_attribution"], -TURN))
    strong = swept["strength_20"]
    member = LABELS >= 0
    assert again < 0.9
    assert adjusted_mutual_information(
        strong["rois"][member], strong["rois_attribution"][member]
    ) > again + 0.1  # fmt: skip


def test_agreement_counts_dead_features_nowhere_and_noise_as_one_label():
    labels = np.array([0, 0, 1, 1, UNGROUPED, UNGROUPED, DEAD])
    assert planted.recovered(labels, labels) == (2, 1.0, 1.0, 1.0)
    merged = np.array([0, 0, 1, 1, 1, UNGROUPED, 1])
    got = planted.recovered(merged, labels)
    assert (got.parts, got.members, got.noise_out) == (2, 1.0, 0.5)
    assert 0 < got.live < 1
    assert planted.recovered(labels[:4], labels[:4]).noise_out is None


def test_neighbours_on_the_ring_correlate_as_the_kernel_says():
    x = planted.ring(24, 20000, 0.5, 0.0, seed=3)
    r = np.corrcoef(x.T)
    for apart in (1, 3, 12):
        expected = np.exp((np.cos(2 * np.pi * apart / 24) - 1) / 0.25)
        found = np.mean([r[i, (i + apart) % 24] for i in range(24)])
        assert found == pytest.approx(expected, abs=0.02)


def test_samples_have_the_correlations_that_were_asked_for():
    x = planted.samples(LABELS, 4000, 0.4, 0.5, seed=2)
    live = LABELS != DEAD
    r = np.corrcoef(x[:, live].T)
    labels = LABELS[live]
    same = (labels[:, None] == labels[None, :]) & (labels >= 0)[:, None]
    np.fill_diagonal(same, False)
    assert np.abs(r[same]).mean() == pytest.approx(0.4, abs=0.02)
    other = ~same & ~np.eye(len(r), dtype=bool)
    assert np.abs(r[other]).max() < 0.15
    assert np.std(x[:, live]) == pytest.approx(1, abs=0.02)
    assert np.all(x[:, ~live] == 0)
    one = x[:, live][:, 0]
    assert np.corrcoef(one[1:], one[:-1])[0, 1] == pytest.approx(0.5, abs=0.05)
