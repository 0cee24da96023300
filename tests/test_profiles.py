"""Profiles of ROIs, firing, examples and favoured tokens, on arrays small enough to check."""

import json

import numpy as np
import pytest

from connectome import descriptions, firing, moments, profiles
from connectome.profiles import GRID, Block, Profiles


def corpus(documents: list[list[int]], values: np.ndarray) -> list[tuple[np.ndarray, dict]]:
    """One batch: values (tokens, d) of documents of token ids."""
    lengths = [len(tokens) for tokens in documents]
    return [
        (
            values,
            {
                "document": np.repeat(np.arange(len(documents)), lengths),
                "position": np.concatenate([np.arange(n) for n in lengths]),
                "token": np.concatenate(documents),
            },
        )
    ]


def cut(batches, size: int):
    """The same rows, `size` at a time."""
    for values, keys in batches:
        for first in range(0, len(values), size):
            rows = slice(first, first + size)
            yield values[rows], {key: column[rows] for key, column in keys.items()}


def random_corpus(seed: int = 0, documents: int = 60, vocabulary: int = 9):
    rng = np.random.default_rng(seed)
    texts = [rng.integers(0, vocabulary, rng.integers(1, 14)).tolist() for _ in range(documents)]
    texts += texts[:5]  # the same texts once more
    kind = np.concatenate(texts)
    hidden = rng.exponential(1, len(kind)) * (kind == 3) + 0.1 * rng.standard_normal(len(kind))
    noise = rng.standard_normal((len(kind), 6))
    values = noise + hidden[:, None] * np.array([3, -3, 3, 0, 0, 0])
    values[:, 5] = 0.25  # dead
    twins = {}
    for i, text in enumerate(texts):
        start = sum(map(len, texts[:i]))
        twins.setdefault(tuple(text), values[start : start + len(text)].copy())
        values[start : start + len(text)] = twins[tuple(text)]
    return corpus(texts, values.astype(np.float32))


LABELS = {"rois": np.array([0, 0, 0, 1, 1, -2]), "rois_attribution": np.array([0, 1, 0, 1, 0, 1])}
SETTINGS = {"firing": 0.05, "examples": 3, "window": 2, "tokens": 4, "min_count": 5}


def moments_of(batches, skip_start: bool = True) -> moments.Moments:
    values, keys = batches[0]
    return moments.of_rows(values[(keys["position"] > 0) | (not skip_start)].astype(float))


def described(batches, size: int = 10_000, **changes):
    seen = descriptions.Corpus(
        lambda: profiles.whole_documents(cut(batches, size)), True, 9, lambda token: f"<{token}>"
    )
    return descriptions.describe(
        "mlp.0", LABELS, moments_of(batches), seen, SETTINGS | changes, seed=1
    )


def test_members_that_oppose_each_other_do_not_cancel_in_the_profile():
    """By hand: x2 = -x1, so signs are +, - (or the reverse) and the profile is +- z1."""
    x = np.array([-1.0, -1.0, -1.0, -1.0, 4.0])
    values = np.stack([x, 5 - 2 * x, np.array([1.0, -1, 0, 0, 0])], axis=1)
    found = moments.of_rows(values)
    (pair, rest) = profiles.regions("mlp.0", {"rois": np.array([0, 0, 1])}, found)
    assert pair.signs.tolist() in ([1, -1], [-1, 1])
    assert pair.alignment == pytest.approx(1) and rest.alignment is None
    assert pair.length == pytest.approx(2)
    steps = Profiles([pair], found).of(values)[:, 0]
    sign = pair.signs[0]
    z = sign * (x - x.mean()) / x.std()  # -0.5, -0.5, -0.5, -0.5, 2
    assert steps.tolist() == np.rint(GRID * z).astype(int).tolist()


def test_the_rare_large_values_are_positive_whatever_the_sign_of_the_members():
    x = np.array([-1.0, -1.0, -1.0, -1.0, 4.0])
    for turn in (1, -1):
        values = turn * np.stack([x, -x, np.array([0.0, 1, 0, 0, 0])], axis=1)
        found = moments.of_rows(values)
        regions = profiles.regions("mlp.0", {"rois": np.array([0, 0, 1])}, found)
        block = [Block(values, np.zeros(5), np.arange(5), np.zeros(5, int))]
        counts = profiles.histograms(block, Profiles(regions, found), skip_start=False)
        regions = profiles.turned(regions, profiles.lean_left(counts))
        steps = Profiles(regions, found).of(values)
        assert steps[:, 0].tolist() == [-100, -100, -100, -100, 400]
        assert steps[1, 1] == 2 * GRID


def test_a_profile_has_mean_0_and_variance_1_over_the_tokens_of_the_covariance():
    batches = random_corpus()
    found = moments_of(batches)
    regions = profiles.regions("mlp.0", LABELS, found)
    values, keys = batches[0]
    steps = Profiles(regions, found).of(values[keys["position"] > 0]) / GRID
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=1 / GRID)
    np.testing.assert_allclose(steps.std(axis=0), 1, atol=1 / GRID)


def test_a_profile_equals_the_signed_mean_of_z_scores_scaled_by_its_spread():
    batches = random_corpus()
    found = moments_of(batches)
    values, keys = batches[0]
    kept = values[keys["position"] > 0].astype(float)
    for region in profiles.regions("mlp.0", LABELS, found):
        z = (kept - kept.mean(0))[:, region.members] / kept.std(0)[region.members]
        s = (z * region.signs).mean(axis=1)
        steps = Profiles([region], found).of(kept)[:, 0]
        np.testing.assert_allclose(steps / GRID, s / s.std(), atol=0.51 / GRID)
        r = np.corrcoef(kept[:, region.members].T)
        assert abs(np.linalg.eigh(r)[1][:, -1] @ region.signs) == pytest.approx(
            np.abs(np.linalg.eigh(r)[1][:, -1]).sum()
        )


def test_dead_features_have_no_part_in_a_profile_and_a_single_group_is_no_roi():
    batches = random_corpus()
    found = profiles.regions("mlp.0", LABELS, moments_of(batches))
    assert [(r.partition, r.part, r.features, r.members.tolist()) for r in found] == [
        ("rois", 0, 3, [0, 1, 2]),
        ("rois", 1, 2, [3, 4]),
        ("rois_attribution", 0, 3, [0, 2, 4]),
        ("rois_attribution", 1, 3, [1, 3]),
    ]
    whole = {"rois": np.zeros(6, int)}
    assert profiles.regions("mlp.0", whole, moments_of(batches)) == []


def test_at_least_the_stated_share_fires_and_ties_fire_together():
    counts = np.zeros((1, 2 * profiles.REACH * GRID + 1), dtype=np.int64)
    zero = profiles.REACH * GRID
    counts[0, zero] = 90
    counts[0, zero + 300] = 7
    counts[0, zero + 700] = 3
    for share, limit in ((0.03, 700), (0.02, 700), (0.04, 300), (0.1, 300), (0.11, 0)):
        assert profiles.thresholds(counts, share).tolist() == [limit]


@pytest.mark.parametrize("size", [1, 2, 3, 17, 100])
def test_batches_of_any_size_give_the_same_rows(size):
    batches = random_corpus()
    assert json.dumps(described(batches, size)) == json.dumps(described(batches))


def test_no_document_is_divided_and_no_row_lost():
    batches = random_corpus()
    for size in (1, 4, 1000):
        blocks = list(profiles.whole_documents(cut(batches, size)))
        ends = [(block.document[0], block.document[-1]) for block in blocks]
        assert all(a[1] < b[0] for a, b in zip(ends, ends[1:], strict=False))
        assert np.array_equal(np.concatenate([b.values for b in blocks]), batches[0][0])


def test_firing_is_counted_as_a_plain_loop_counts_it():
    batches = random_corpus()
    rows = described(batches)
    found = moments_of(batches)
    values, keys = batches[0]
    members = rows["members"]
    for profile in rows["profiles"]:
        own = [m for m in members if (m["partition"], m["part"]) == _key(profile)]
        weights = np.zeros(6)
        for m in own:
            weights[m["feature"]] = m["sign"] / m["sd"]
        s = (values - found.mean) @ weights
        kept = keys["position"] > 0
        s = s / s[kept].std()
        fires = (np.rint(GRID * s) / GRID >= profile["threshold"]) & kept
        assert profile["fires"] == fires.sum() >= 0.05 * kept.sum()
        assert profile["tokens"] == kept.sum()
        base = fires.sum() / kept.sum()
        listed = [t for t in rows["tokens"] if _key(t) == _key(profile)]
        for row in (t for t in listed if t["place"] == "token"):
            of_kind = kept & (keys["token"] == row["token"])
            assert (row["count"], row["fires"]) == (of_kind.sum(), (of_kind & fires).sum())
            assert row["lift"] == pytest.approx(row["fires"] / row["count"] / base)
            assert row["mean"] == pytest.approx(s[of_kind].mean(), abs=1 / GRID)
        before = np.roll(keys["token"], 1)
        for row in (t for t in listed if t["place"] == "previous"):
            of_kind = kept & (before == row["token"])
            assert (row["count"], row["fires"]) == (of_kind.sum(), (of_kind & fires).sum())


def _key(row):
    return row["partition"], row["part"]


def test_the_planted_token_is_favoured_and_rare_types_are_not_listed():
    rows = described(random_corpus())
    first = next(t for t in rows["tokens"] if _key(t) == ("rois", 0) and t["place"] == "token")
    assert first["text"] == "<3>" and first["coverage"] > 0.8
    assert not described(random_corpus(), min_count=10_000)["tokens"]


def test_favoured_tokens_by_hand():
    """10 of 100 tokens fire. Type 0: 8 of 20; type 1: 2 of 2; type 2: 0 of 70; type 3: 0 of 8."""
    tally = firing.Tally(4, 1)
    token = np.repeat([0, 1, 2, 3], [20, 2, 70, 8])
    fires = np.zeros(100, bool)
    fires[[*range(8), 20, 21]] = True
    tally.add(token, fires[:, None], np.where(fires, 3 * GRID, 0)[:, None])
    rows = firing.favoured(tally, 0, min_count=1, most=9)
    assert [row["token"] for row in rows] == [0, 1]
    assert rows[0]["share"] == 0.4 and rows[0]["lift"] == pytest.approx(4)
    assert rows[0]["coverage"] == 0.8 and tally.sums[:, 0].tolist() == [8 * 600, 2 * 600, 0, 0]
    assert rows[0]["information"] == pytest.approx(0.8 * np.log(4))
    assert rows[1]["information"] == pytest.approx(0.2 * np.log(10))
    assert [row["token"] for row in firing.favoured(tally, 0, min_count=3, most=9)] == [0]


def test_top_examples_are_peaks_of_their_documents_with_different_text_before():
    batches = random_corpus()
    rows = described(batches, examples=40)
    values, keys = batches[0]
    for profile in rows["profiles"]:
        of_roi = [e for e in rows["examples"] if _key(e) == _key(profile)]
        top = [e for e in of_roi if e["kind"] == "top"]
        scores = [e["score"] for e in top]
        assert scores == sorted(scores, reverse=True) and min(scores) >= profile["threshold"]
        assert len({e["document"] for e in top}) == len(top)
        seen = [tuple(e["tokens"][: e["at"] + 1]) for e in top]
        assert len(set(seen)) == len(seen)
        uniform = [(e["document"], e["position"]) for e in of_roi if e["kind"] == "uniform"]
        assert len(set(uniform)) == len(uniform) == min(40, profile["fires"])
    assert any(e["document"] < 5 for e in rows["examples"])
    for e in rows["examples"]:
        text = keys["token"][keys["document"] == e["document"]]
        first = max(0, e["position"] - 2)
        assert e["tokens"] == [f"<{t}>" for t in text[first : e["position"] + 3]]
        assert e["at"] == e["position"] - first and e["scores"][e["at"]] == e["score"]
        assert e["cut_left"] == (first > 0) and e["cut_right"] == (e["position"] + 3 < len(text))
        assert (e["scores"][0] is None) == (first == 0)  # start tokens have no profile


def test_the_strongest_documents_are_kept_whatever_comes_later():
    """Against a plain sort of all documents' peaks, duplicates removed."""
    batches = random_corpus(seed=3)
    rows = described(batches, examples=3)
    every = described(batches, examples=1000)
    for profile in rows["profiles"]:
        few, all_ = (
            [e for e in found["examples"] if _key(e) == _key(profile) and e["kind"] == "top"]
            for found in (rows, every)
        )
        assert few == all_[:3]


def test_drawn_examples_are_uniform_over_firing_tokens():
    """Each of 8 firing tokens is drawn first about equally often over seeds."""
    values = np.tile(np.array([[3.0], [0.0]]), (8, 1))
    texts = [[1, 2]] * 8
    (batch,) = corpus(texts, values)
    block = Block(batch[0], batch[1]["document"], batch[1]["position"], batch[1]["token"])
    found = moments.of_rows(values)
    region = profiles.Region("rois", "mlp.0", 0, 1, np.array([0]), np.ones(1), 1.0, None)
    drawn = [
        firing.scan(
            [block], [region], Profiles([region], found), np.array([GRID]), False, 3,
            {"examples": 1, "window": 1}, seed,
        ).uniform[0][0].document
        for seed in range(1, 801)
    ]  # fmt: skip
    counts = np.bincount(drawn, minlength=8)
    assert ((counts - 100) ** 2 / 100).sum() < 24.3  # chi-square, 7 degrees of freedom, p = .001


def test_reading_from_shards_changes_nothing():
    batches = random_corpus()
    values, keys = batches[0]
    half = int(np.flatnonzero(keys["document"] == 30)[0])
    shards = [
        (values[rows], {key: column[rows] for key, column in keys.items()})
        for rows in (slice(half), slice(half, None))
    ]
    found = moments_of(batches)
    seen = descriptions.Corpus(
        lambda: profiles.whole_documents(iter(shards)), True, 9, lambda token: f"<{token}>"
    )
    assert descriptions.describe("mlp.0", LABELS, found, seen, SETTINGS, 1) == described(batches)
