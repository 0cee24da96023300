"""Quality of dictionaries: each number against a hand-worked case or an independent formula."""

import argparse
import importlib
import json
import math
import pathlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForCausalLM

import tiny_models
from connectome import (
    activations,
    arrays,
    decoder_cosines,
    dictionary_controls,
    dictionary_evaluation,
    dictionary_quality,
    moments,
    probing,
    spliced_loss,
    tables,
)
from connectome.dictionaries import Dictionary, decode, encode
from connectome.dictionary_quality import fidelity, firing, measure, merge
from connectome.errors import DataError
from connectome.plots import dictionaries as plot
from connectome.tabulate import dictionaries, identity

ADDED = torch.float64


def map_of(slope, bias):
    """The linear map x @ slope + bias as a dictionary without features."""
    made = dictionary_controls.constant(torch.as_tensor(bias, dtype=ADDED), len(slope))
    return replace(made, skip=torch.as_tensor(slope, dtype=ADDED).T)


def sums_of(dictionary, x, y=None, size=None):
    """Sums over blocks of `size` rows."""
    x = torch.as_tensor(x).double()
    y = x if y is None else torch.as_tensor(y).double()
    found = None
    for first in range(0, len(x), size or len(x)):
        rows = slice(first, first + (size or len(x)))
        found = merge(found, measure(dictionary, x[rows], y[rows])[0])
    return found


def random_dictionary(d=6, features=9, seed=0, **changes):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=ADDED)

    made = Dictionary(
        activation="jumprelu",
        encoder=draw(d, features),
        encoder_bias=draw(features) / 4,
        decoder=draw(features, d),
        decoder_bias=draw(d),
        centred=True,
        threshold=draw(features).abs() / 2,
    )
    return replace(made, **changes)


def test_predicting_the_mean_explains_nothing_and_the_target_everything():
    x = np.random.default_rng(0).normal(3, 2, (500, 6))
    mean = map_of(np.zeros((6, 6)), x.mean(axis=0))
    assert abs(fidelity(sums_of(mean, x))["explained_variance"]) < 1e-12
    whole = fidelity(sums_of(map_of(np.eye(6), np.zeros(6)), x))
    assert whole["explained_variance"] == 1.0
    assert (whole["cosine"], whole["norm_ratio"]) == pytest.approx((1, 1), abs=1e-12)
    assert whole["bias"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("order", ["as recorded", "shuffled"])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_size_and_order_of_batches_change_nothing(size, order):
    rng = np.random.default_rng(1)
    x = rng.normal(50, 1, (300, 6)).astype(np.float32)
    dictionary = random_dictionary(decoder_bias=torch.full((6,), 50.0, dtype=ADDED))
    whole = sums_of(dictionary, x)
    rows = rng.permutation(300) if order == "shuffled" else np.arange(300)
    parts = sums_of(dictionary, x[rows], size=size)
    for one, other in ((fidelity(whole), fidelity(parts)), (firing(whole), firing(parts))):
        assert one == pytest.approx(other, rel=1e-9)
    assert dictionary_quality.histogram(whole) == dictionary_quality.histogram(parts)


def test_variance_about_a_large_mean_is_that_of_two_passes_in_double_precision():
    rng = np.random.default_rng(2)
    x = (1e4 + rng.normal(0, 1, (2000, 6))).astype(np.float32)
    slope, bias = 0.5 * np.eye(6), np.full(6, 5e3)
    y = x.astype(np.float64)
    error = ((y - (y @ slope + bias)) ** 2).sum()
    expected = 1 - error / ((y - y.mean(axis=0)) ** 2).sum()
    found = fidelity(sums_of(map_of(slope, bias), x, size=64))["explained_variance"]
    assert found == pytest.approx(expected, rel=1e-9)


def wrong_formulas(y, r):
    """Explained variance as others compute it: four formulas that are not ours."""
    error = y - r
    per_token = 1 - ((error**2).sum(1) / ((y - y.mean(0)) ** 2).sum(1)).mean()
    batches = [
        1 - ((y[i : i + 8] - r[i : i + 8]) ** 2).sum() / ((y[i : i + 8] - m) ** 2).sum()
        for i, m in ((i, y[i : i + 8].mean(0)) for i in range(0, len(y), 8))
    ]
    about_zero = 1 - (error**2).sum() / (y**2).sum()
    return per_token, 1 - error.var(0).sum() / y.var(0).sum(), about_zero, np.mean(batches)


@pytest.mark.parametrize("case", ["mean", "shifted", "shrunk", "noisy"])
def test_traps_of_explained_variance_are_avoided(case):
    """Mean 5 and variance 1.5 in each of 32 channels; lengths of tokens differ."""
    rng = np.random.default_rng(3)
    y = rng.normal(0, 1, (4096, 32)) * rng.uniform(0.5, 1.8, (4096, 1))
    y = 5 + y * np.sqrt(1.5 / y.var())
    noise = rng.normal(0, 0.5, y.shape)
    variance = y.var(axis=0).sum()
    slope, bias, target, expected = {
        "mean": (np.zeros((32, 32)), y.mean(0), y, 0.0),
        "shifted": (np.eye(32), np.ones(32), y, 1 - 32 / variance),
        "shrunk": (0.9 * np.eye(32), np.zeros(32), y, 1 - 0.01 * (y**2).sum() / 4096 / variance),
        "noisy": (np.eye(32), np.zeros(32), y - noise, None),
    }[case]
    if expected is None:
        spread = ((target - target.mean(0)) ** 2).sum()
        expected = 1 - (noise**2).sum() / spread
    found = fidelity(sums_of(map_of(slope, bias), y, target))["explained_variance"]
    assert found == pytest.approx(expected, abs=1e-9)
    assert found == pytest.approx(
        {"mean": 0, "shifted": 1 / 3, "shrunk": 0.823, "noisy": 0.857}[case], abs=0.01
    )
    traps = wrong_formulas(target, y @ slope + bias)
    # the number of traps that give another number, by more than a hundredth
    differing = {
        "mean": (2, 3),
        "shifted": (0, 1, 2, 3),
        "shrunk": (0, 1, 2, 3),
        "noisy": (0, 2, 3),
    }
    assert tuple(i for i, trap in enumerate(traps) if abs(trap - found) > 0.01) == differing[case]


def test_constant_targets_have_no_explained_variance_whatever_the_constant():
    x = np.full((50, 3), 0.1, dtype=np.float32)
    found = fidelity(sums_of(map_of(np.zeros((3, 3)), np.zeros(3)), x, size=7))
    assert found["explained_variance"] is None


def test_zero_rows_are_counted_apart_from_the_cosine():
    y = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    r = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    # x names the row, so that the map gives back any r
    found = fidelity(sums_of(map_of(r, np.zeros(2)), np.eye(4), y))
    assert (found["zero_targets"], found["zero_reconstructions"]) == (1, 1)
    assert found["cosine"] == pytest.approx((3 / 5 + 1) / 2)
    assert found["norm_ratio"] == pytest.approx((3 / 5 + 0 + 1 / 2) / 3)
    assert found["bias"] == pytest.approx((9 + 2 + 0 + 1) / (9 + 0 + 0 + 2))
    nothing = fidelity(sums_of(map_of(r * 0, np.zeros(2)), np.eye(4), y))
    assert (nothing["cosine"], nothing["bias"], nothing["norm_ratio"]) == (None, None, 0)


def test_firing_by_hand():
    """Four tokens, three features: they fire on 0, 2 and 4 of the tokens."""
    dictionary = Dictionary(
        "relu", torch.eye(3).double(), torch.zeros(3).double(), torch.eye(3).double(),
        torch.zeros(3).double(),
    )  # fmt: skip
    x = [[-1, 1, 2], [-2, 0, 1], [0, 3, 5], [-1, -1, 1]]
    found = firing(sums_of(dictionary, x, size=3))
    assert found["l0"] == 6 / 4 and found["l1"] == (1 + 2 + 1 + 3 + 5 + 1) / 4
    assert (found["l0_low"], found["l0_median"], found["l0_high"]) == (1, 1, 2)
    assert (found["dead"], found["dead_bound"]) == (1 / 3, 3 / 4)
    assert (found["dense_1"], found["dense_10"]) == (2 / 3, 2 / 3)
    bins = dictionary_quality.histogram(sums_of(dictionary, x))
    filled = {
        (low, high): count
        for low, high, count in zip(
            bins["edges"][:-1], bins["edges"][1:], bins["features"], strict=True
        )
        if count
    }
    # log10 of 2 / 4 and of 4 / 4; the last bin holds its upper end
    assert filled == {(-0.5, -0.25): 1, (-0.25, 0.0): 1}


def test_quantiles_are_those_of_a_sorted_list():
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, (401, 6))
    dictionary = random_dictionary()
    features = encode(dictionary, torch.as_tensor(x))
    counts = np.sort((features > 0).sum(dim=1).numpy())
    found = firing(sums_of(dictionary, x, size=50))
    names = ("l0_low", "l0_median", "l0_high")
    expected = np.quantile(counts, [0.05, 0.5, 0.95], method="inverted_cdf")
    assert [found[name] for name in names] == expected.tolist()
    assert found["l0"] == pytest.approx(counts.mean())


def test_redundancy_is_the_mean_largest_cosine_of_each_row():
    rows = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, -3.0], [0.0, 0.0]])
    # nearest others: 45 degrees, 45 degrees, the zero row, anything at 90 degrees
    assert decoder_cosines.redundancy(rows) == pytest.approx((2 * 0.5**0.5 + 0 + 0) / 4)
    assert decoder_cosines.redundancy(rows[:1]) is None


def test_redundancy_in_blocks_is_that_of_the_whole(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(30, 4))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(30)
    monkeypatch.setattr(decoder_cosines, "_BLOCK", 90)
    assert decoder_cosines.redundancy(rows) == pytest.approx(cosines.max(axis=1).mean())


def test_features_are_matched_one_to_one_across_dictionaries():
    left = np.eye(4)
    turned = np.array([[0.8, 0.6, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 0, 1], [0, 0, -1, 0]])
    # two rows want the first feature: one has it at .8, the other the second at .6, below .7
    assert decoder_cosines.matched_share(left, turned) == 2 / 4
    assert decoder_cosines.matched_share(left, left[[2, 0, 3, 1]] * 5) == 1
    assert decoder_cosines.matched_share(left, left[:2]) == 2 / 4


def test_the_rank_k_control_is_pca_and_no_linear_map_of_that_rank_is_nearer():
    rng = np.random.default_rng(7)
    x = rng.normal(2, 1, (300, 5)) @ rng.normal(size=(5, 5))
    made = dictionary_controls.linear(moments.of_rows(x), 2, 5)
    centred = x - x.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    found = fidelity(sums_of(made, x))["explained_variance"]
    assert found == pytest.approx(values[:2].sum() / values.sum(), rel=1e-9)
    assert np.linalg.matrix_rank(made.skip.numpy()) == 2


def test_the_control_of_a_transcoder_is_the_best_linear_map_of_its_rank():
    rng = np.random.default_rng(8)
    x = rng.normal(0, 1, (400, 4))
    y = np.maximum(x @ rng.normal(size=(4, 6)), 0) + 1
    known = moments.of_rows(np.hstack([x, y]))
    whole = dictionary_controls.linear(known, 4, 4)
    design = np.hstack([x, np.ones((400, 1))])
    least, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    assert sums_of(whole, x, y).error == pytest.approx(residual.sum(), rel=1e-9)
    cut = dictionary_controls.linear(known, 2, 4)
    errors = sums_of(cut, x, y).error
    fitted = (x - x.mean(0)) @ least[:4]
    lost = np.linalg.svd(fitted, compute_uv=False)[2:] ** 2
    assert errors == pytest.approx(residual.sum() + lost.sum(), rel=1e-9)


def test_the_untrained_control_has_unit_rows_and_k_features_and_repeats():
    known = moments.of_rows(np.random.default_rng(9).normal(1, 1, (200, 5)))
    made = dictionary_controls.untrained(known, 40, 3, 5, seed=4)
    again = dictionary_controls.untrained(known, 40, 3, 5, seed=4)
    assert torch.equal(made.decoder, again.decoder)
    torch.testing.assert_close(made.decoder.square().sum(1), torch.ones(40).double())
    assert torch.equal(made.encoder, made.decoder.T) and made.centred
    features = encode(made, torch.randn(100, 5).double() * 3 + 1)
    assert int((features > 0).sum(1).max()) == 3


# ---------------------------------------------------------------------------------- loss


def texts_of(count=6, seed=0, longest=9):
    return tiny_models.prompt_lists(count, seed, shortest=3, longest=longest)[0]


def zero(width):
    return map_of(np.zeros((width, width)), np.zeros(width))


def losses(model, texts, site, **spliced):
    return spliced_loss.losses(model, texts, site, site, spliced)


def own_loss(folder, texts, hook=None):
    """Loss of transformers' own model (taken in float32) of what is predicted behind the start."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    if hook is not None:
        hook(model)
    total, count = 0.0, 0
    with torch.no_grad():
        for ids in texts:
            labels = torch.tensor([ids]).clone()
            labels[:, :2] = -100  # no prediction is made at position 0
            found = model(input_ids=torch.tensor([ids]), labels=labels).loss
            total += float(found) * (len(ids) - 2)
            count += len(ids) - 2
    return total / count


@tiny_models.each_family
def test_the_clean_loss_is_that_of_transformers(family):
    folder, model = tiny_models.tiny(family)
    texts = texts_of()
    found = losses(model, texts, "mlp.1")["clean"]
    assert found["ce"] == pytest.approx(own_loss(folder, texts), rel=1e-6)
    assert (found["kl"], found["tokens"]) == (0, sum(len(ids) - 2 for ids in texts))


def test_setting_a_site_to_zero_is_what_a_hook_on_its_module_does():
    folder, model = tiny_models.tiny("gpt2")
    texts = texts_of()

    def hook(native):
        def behind_start(module, inputs, output):
            return torch.cat([output[:, :1], torch.zeros_like(output[:, 1:])], dim=1)

        native.transformer.h[0].mlp.register_forward_hook(behind_start)

    found = losses(model, texts, "mlp.0", zero=zero(8))
    assert found["zero"]["ce"] == pytest.approx(own_loss(folder, texts, hook), rel=1e-6)
    assert abs(found["zero"]["ce"] - found["clean"]["ce"]) > 0.01


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("site", ["embed", "attn.0", "mlp.0", "resid.0", "attn.1", "resid.1"])
def test_a_reconstruction_without_error_costs_exactly_nothing(family, site):
    _, model = tiny_models.tiny(family)
    width = model.size.width
    same = map_of(np.eye(width), np.zeros(width))
    mean = map_of(np.zeros((width, width)), np.full(width, 0.1))
    found = losses(model, texts_of(), site, same=same, zero=zero(width), mean=mean)
    assert found["same"] == found["clean"]
    compared = spliced_loss.compare(found, "same")
    assert (compared["delta"], compared["kl"]) == (0, 0)
    for ablation, cost in spliced_loss.ablation_costs(found).items():
        assert compared[f"recovered_{ablation}"] == (None if cost < 0.01 else 1)
    assert spliced_loss.compare(found, "zero")["kl"] > 0


def test_special_positions_are_untouched():
    _, model = tiny_models.tiny("gpt2")
    batch = tiny_models.transformer.Batch.of(texts_of())
    kept = spliced_loss.inner(batch)
    assert not kept[:, 0].any()
    assert kept.sum(1).tolist() == [len(ids) - 1 for ids in texts_of()]
    texts = [ids[:2] for ids in texts_of()]  # a start token and one more: nothing to predict
    assert losses(model, texts, "mlp.0", zero=zero(8)) == {}
    # what is said of the first position changes nothing: a map that only differs there
    x = activations.column(model, tiny_models.transformer.forward(model, batch), "mlp.0")
    changed = torch.zeros_like(x)
    changed[kept] = -x[kept]
    assert not changed[:, 0].any() and changed[:, 1].any()


def test_divergence_and_loss_are_those_of_logits_made_by_hand():
    _, model = tiny_models.tiny("gpt2")
    batch = tiny_models.transformer.Batch.of(texts_of(3))
    bias = np.linspace(-1, 1, 8)
    found = losses(model, texts_of(3), "resid.1", bias=map_of(np.zeros((8, 8)), bias))
    trace = tiny_models.transformer.forward(model, batch)
    clean = trace.streams[-1]
    changed = clean.clone()
    changed[:, 1:] = torch.as_tensor(bias)
    sums = np.zeros(3)
    for row, ids in enumerate(texts_of(3)):
        for place in range(1, len(ids) - 1):
            p, q = (
                tiny_models.transformer.unembed(model, stream[row, place]).softmax(-1).numpy()
                for stream in (clean, changed)
            )
            wanted = ids[place + 1]
            sums += (-math.log(p[wanted]), -math.log(q[wanted]), (p * np.log(p / q)).sum())
    count = sum(len(ids) - 2 for ids in texts_of(3))
    assert found["clean"]["ce"] == pytest.approx(sums[0] / count, rel=1e-9)
    assert found["bias"]["ce"] == pytest.approx(sums[1] / count, rel=1e-9)
    assert found["bias"]["kl"] == pytest.approx(sums[2] / count, rel=1e-9)


def test_blocks_of_logits_and_batches_of_documents_change_nothing(monkeypatch):
    _, model = tiny_models.tiny("gpt2")
    dictionary = random_dictionary(8, 12)
    whole = losses(model, texts_of(), "mlp.0", own=dictionary)
    monkeypatch.setattr(spliced_loss, "_ENTRIES", 3 * tiny_models.VOCABULARY)
    monkeypatch.setattr(spliced_loss, "BATCH_TOKENS", 1)
    monkeypatch.setattr(dictionary_quality, "ENTRIES", 24)
    assert losses(model, texts_of(), "mlp.0", own=dictionary) == {
        name: pytest.approx(found, rel=1e-9) for name, found in whole.items()
    }


@pytest.fixture(scope="module")
def rectified(tmp_path_factory):
    """A model whose MLPs are transcoders as they are, and the one of its first MLP."""
    folder = tiny_models.gpt2(tmp_path_factory.mktemp("relu"), activation_function="relu")
    weights = load_file(folder / "model.safetensors")
    names = ("c_fc.weight", "c_fc.bias", "c_proj.weight", "c_proj.bias")
    own = [weights[f"transformer.h.0.mlp.{name}"].double() for name in names]
    return tiny_models.transformer.load(folder, torch.float64), Dictionary(
        "relu", *own, transcoder=True
    )


def test_a_transcoder_that_is_the_mlp_costs_nothing(rectified):
    model, dictionary = rectified
    found = spliced_loss.losses(
        model, texts_of(), "mlp.0", "mlp.0.in", {"own": dictionary, "zero": zero(8)}
    )
    assert found["own"]["ce"] == pytest.approx(found["clean"]["ce"], rel=1e-12)
    assert found["own"]["kl"] == pytest.approx(0, abs=1e-12)
    assert abs(found["zero"]["ce"] - found["clean"]["ce"]) > 0.01


def test_a_share_of_next_to_nothing_is_not_given():
    found = {
        "clean": {"ce": 2.0, "kl": 0},
        "zero": {"ce": 2.5, "kl": 1},
        "mean": {"ce": 2.009, "kl": 1},
        "own": {"ce": 2.1, "kl": 0.2},
    }
    compared = spliced_loss.compare(found, "own")
    assert compared["delta"] == pytest.approx(0.1) and compared["kl"] == 0.2
    assert compared["recovered_zero"] == pytest.approx(0.8)
    assert compared["recovered_mean"] is None


# ---------------------------------------------------------------------------------- probing


def labelled(texts=60, features=20, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(texts) % classes
    values = rng.normal(0, 1, (texts, features))
    return values, [f"class {label}" for label in rng.permutation(labels)]


def accuracy(found, of, k):
    return next(row for row in found if (row["of"], row["k"]) == (of, k))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_feature_that_is_the_label_is_found_alone(classes):
    values, labels = labelled(classes=classes)
    for number in range(classes):
        values[:, number] = [label == f"class {number}" for label in labels]
    found = probing.probe(values, values[:, classes:], labels, splits=3, seed=1)
    assert accuracy(found, "features", 1)["value"] == 1.0
    assert accuracy(found, "features", 1)["splits"] == [1.0] * 3
    assert accuracy(found, "channels", None)["value"] < 0.8
    assert [(row["of"], row["k"]) for row in found] == [
        *(("features", k) for k in (1, 2, 5)),
        *(("channels", k) for k in (1, 2, 5, None)),
    ]


def test_shuffled_labels_are_told_no_better_than_by_chance():
    right = []
    for seed in range(12):
        values, labels = labelled(100, 30, seed=seed)
        right.append(accuracy(probing.probe(values, values, labels, 3, seed), "features", 5))
    shares = np.array([row["value"] for row in right])
    error = shares.std(ddof=1) / np.sqrt(len(shares))
    assert abs(shares.mean() - 0.5) < 3 * error
    assert all(row["lo"] <= row["value"] <= row["hi"] for row in right)


def test_the_ranking_never_sees_the_labels_of_test_texts(monkeypatch):
    values, labels = labelled(80, 15)
    positive = np.array([label == "class 0" for label in labels])
    train = np.arange(80) < 50
    ranked = []
    rank = probing.ranking
    monkeypatch.setattr(probing, "ranking", lambda *a: ranked.append(rank(*a)) or ranked[-1])
    probing.correct(values, positive, train, 5, 0)
    other = positive.copy()
    other[~train] = np.random.default_rng(1).permutation(~positive[~train])
    probing.correct(values, other, train, 5, 0)
    assert np.array_equal(ranked[0], ranked[1])
    other[train] = np.random.default_rng(1).permutation(positive[train])
    probing.correct(values, other, train, 5, 0)
    assert not np.array_equal(ranked[0], ranked[2])


def test_a_probe_is_a_logistic_regression_on_standardised_columns():
    values, labels = labelled(80, 6, seed=3)
    positive = np.array([label == "class 0" for label in labels])
    values[:, 2] += 2 * positive
    values[:, 4] = 100 * (values[:, 4] - positive)
    train = np.arange(80) < 50
    difference = values[train & positive].mean(0) - values[train & ~positive].mean(0)
    columns = np.argsort(-abs(difference))[:2]
    assert set(columns) == {2, 4}
    z = (values[:, columns] - values[train][:, columns].mean(0)) / values[train][:, columns].std(0)
    model = LogisticRegression(C=1.0).fit(z[train], positive[train])
    expected = model.predict(z[~train]) == positive[~train]
    assert np.array_equal(probing.correct(values, positive, train, 2, 0), expected)


def test_each_class_is_told_from_as_many_others_and_no_text_is_on_both_sides():
    labels = np.array(["a"] * 12 + ["b"] * 30 + ["c"] * 30)
    rows, positive, train = probing.split(labels, "a", np.random.default_rng(0))
    assert positive.sum() == (~positive).sum() == 12
    assert (labels[rows[positive]] == "a").all() and (labels[rows[~positive]] != "a").all()
    assert len(set(rows.tolist())) == 24
    assert train.sum() == 2 * 8 and train[positive].sum() == 8


def test_texts_without_classes_or_too_few_are_refused_with_the_reason():
    assert probing.refusal([None] * 50) == "the texts have no classes"
    assert "at least two must" in probing.refusal(["a"] * 30 + ["b"] * 9)
    assert probing.refusal(["a"] * 10 + ["b"] * 10 + [None]) is None
    assert probing.classes_of(["b"] * 10 + ["a"] * 12 + ["c"] * 9) == ["a", "b"]


# ---------------------------------------------------------------------------------- the record

SETTINGS = {"tokens": 300, "loss_tokens": 60, "probe_splits": 3}
STAMP = {"cfg": "{}", "code": ""}


def corpus_of(documents=150, labels=("a", "b"), shortest=5):
    texts = tiny_models.prompt_lists(documents, 1, shortest, max(shortest, 9))[0]
    return pa.table(
        {
            "document": pa.array(range(documents), pa.int32()),
            "text": ["..."] * documents,
            "tokens": pa.array(texts, pa.list_(pa.int32())),
            "label": pa.array([labels[len(ids) % len(labels)] for ids in texts], pa.string()),
        }
    )


def record_parts(model, corpus, folder, outputs=("mlp.0", "resid.1")):
    """Two part files of recorded columns."""
    columns = activations.columns_of(model, [], outputs)
    schema = activations.schema(columns, "float32")
    paths = []
    for number in (0, 1):
        paths.append(folder / f"part-{number}-of-2.parquet")
        some = activations.shard(corpus, number, 2, 64)
        with tables.batch_writer(paths[-1], schema, STAMP) as writer:
            for batch in activations.record(model, some, columns, 64, schema):
                writer.write_batch(batch)
    return paths


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A tiny model, its corpus and its recording. Not to be changed."""
    _, model = tiny_models.tiny("gpt2")
    corpus = corpus_of()
    return model, corpus, record_parts(model, corpus, tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def record(recorded):
    model, corpus, parts = recorded
    dictionary = random_dictionary(8, 12)
    return dictionary_evaluation.evaluate(model, corpus, parts, dictionary, "mlp.0", SETTINGS, 1)


def held_out_rows(parts, column, wanted=True):
    """Rows of documents held out (or not), by a loop over all that was recorded."""
    found = []
    for path in parts:
        table = tables.read_table(path)
        values = np.stack(table[column].to_numpy())
        for document, position, row in zip(
            table["document"].to_pylist(), table["position"].to_pylist(), values, strict=True
        ):
            held = int(moments.mixed(np.array([document]))[0]) % 5 == 0
            if held == wanted and position > 0:
                found.append((document, row))
    return found


def test_held_out_tokens_behind_the_start_are_what_is_measured(recorded, record):
    _, corpus, parts = recorded
    rows = held_out_rows(parts, "mlp.0")
    y = torch.as_tensor(np.stack([row for _, row in rows])).double()
    dictionary = random_dictionary(8, 12)
    features = encode(dictionary, y)
    error = (y - decode(dictionary, features)).square().sum()
    spread = (y - y.mean(0)).square().sum()
    assert (record["tokens"], record["documents"]) == (len(rows), len({d for d, _ in rows}))
    assert record["quality"]["explained_variance"] == pytest.approx(float(1 - error / spread))
    assert record["quality"]["l0"] == pytest.approx(float((features > 0).double().sum(1).mean()))
    others = np.stack([row for _, row in held_out_rows(parts, "mlp.0", wanted=False)])
    mean = next(c for c in record["controls"] if c["control"] == "mean")
    error = (y - torch.as_tensor(others.astype(float).mean(0))).square().sum()
    assert mean["quality"]["explained_variance"] == pytest.approx(float(1 - error / spread))


def test_controls_have_as_many_numbers_for_a_token_as_the_dictionary(record):
    k = round(record["quality"]["l0"])
    found = {control["control"]: control["k"] for control in record["controls"]}
    assert found == {"pca": k, "untrained": k, "mean": 0}
    means = [c["loss"] for c in record["controls"] if c["control"] == "mean"]
    assert means[0]["ce"] == record["loss"]["ce_mean"] and means[0]["recovered_mean"] in (0, None)


def test_documents_are_a_seeded_draw_and_their_tokens_keep_to_the_limit(recorded):
    _, corpus, _ = recorded
    texts = {row["document"]: row for row in corpus.to_pylist()}

    def tokens(documents):
        return sum(len(texts[document]["tokens"]) - 1 for document in documents)

    whole = dictionary_evaluation.chosen(texts, 10**6, 1, held=True)
    some = dictionary_evaluation.chosen(texts, 50, 1, held=True)
    assert some == whole[: len(some)] and tokens(some) <= 50 < tokens(whole[: len(some) + 1])
    assert whole != dictionary_evaluation.chosen(texts, 10**6, 2, held=True)
    assert len(dictionary_evaluation.chosen(texts, 1, 1, held=True)) == 1
    rest = dictionary_evaluation.chosen(texts, 10**6, 1, held=False)
    assert sorted([*whole, *rest]) == list(range(150)) and 15 < len(whole) < 50
    texts[whole[0]]["tokens"] = [0]
    assert whole[0] not in dictionary_evaluation.chosen(texts, 10**6, 1, held=True)


def test_texts_are_probed_by_the_mean_of_their_tokens(recorded):
    _, corpus, parts = recorded
    dictionary = random_dictionary(8, 12)
    texts = {row["document"]: row for row in corpus.to_pylist()}
    judged = dictionary_evaluation.chosen(texts, 300, 1, held=True)
    rows = dictionary_evaluation.recorded(parts, ["mlp.0"], judged, torch.device("cpu"))
    _, means = dictionary_evaluation.measured(dictionary, rows, judged)
    own = [
        torch.as_tensor(row).double() for d, row in held_out_rows(parts, "mlp.0") if d == judged[3]
    ]
    features = encode(dictionary, torch.stack(own)).mean(0)
    torch.testing.assert_close(means.features[3] / means.tokens[3], features)
    torch.testing.assert_close(means.channels[3] / means.tokens[3], torch.stack(own).mean(0))


def test_what_cannot_be_measured_is_refused_with_its_reason(recorded):
    model, corpus, parts = recorded
    dictionary = random_dictionary(8, 12)

    def evaluate(texts):
        return dictionary_evaluation.evaluate(model, texts, parts, dictionary, "mlp.0", SETTINGS, 1)

    few = corpus.filter(pa.array(moments.mixed(np.arange(150)) % 5 != 0))
    assert evaluate(few)["status"] == "refused"
    assert "no held-out document has a token" in evaluate(few)["reason"]
    short = corpus.set_column(
        2, "tokens", pa.array([ids[:2] for ids in corpus["tokens"].to_pylist()])
    )
    assert "two tokens behind its start" in evaluate(short)["loss"]["reason"]
    unlabelled = corpus.set_column(3, "label", pa.nulls(150, pa.string()))
    assert evaluate(unlabelled)["probes"]["reason"] == "the texts have no classes"
    with pytest.raises(DataError, match="hold none of the held-out documents"):
        dictionary_evaluation.evaluate(model, corpus, [], dictionary, "mlp.0", SETTINGS, 1)
    with pytest.raises(DataError, match=r"mlp\.1.*was not recorded"):
        dictionary_evaluation.evaluate(model, corpus, parts, dictionary, "mlp.1", SETTINGS, 1)


def test_a_transcoder_is_judged_by_what_its_mlp_reads_and_writes(rectified, tmp_path):
    model, dictionary = rectified
    corpus = corpus_of()
    parts = record_parts(model, corpus, tmp_path, ("mlp.0.in", "mlp.0"))
    found = dictionary_evaluation.evaluate(model, corpus, parts, dictionary, "mlp.0", SETTINGS, 1)
    assert found["quality"]["explained_variance"] == pytest.approx(1, abs=1e-9)
    assert found["loss"]["delta"] == pytest.approx(0, abs=1e-6)
    controls = {control["control"]: control for control in found["controls"]}
    assert set(controls) == {"linear", "untrained", "mean"}
    assert 0 < controls["linear"]["quality"]["explained_variance"] < 0.99
    x, y = (
        np.stack([row for _, row in held_out_rows(parts, name, wanted=False)]).astype(float)
        for name in ("mlp.0.in", "mlp.0")
    )
    k = controls["linear"]["k"]
    map_of_rank = dictionary_controls.linear(moments.of_rows(np.hstack([x, y])), k, 8)
    held = [np.stack([row for _, row in held_out_rows(parts, n)]) for n in ("mlp.0.in", "mlp.0")]
    expected = fidelity(sums_of(map_of_rank, *held))["explained_variance"]
    assert controls["linear"]["quality"]["explained_variance"] == pytest.approx(expected, rel=1e-9)


def test_a_record_has_no_number_that_is_not_one(record):
    assert json.loads(json.dumps(record, allow_nan=False)) == record


# ---------------------------------------------------------------------------------- files

RUNS = {  # run: seed, settings in which it differs
    "dictionary": (1, {}),
    "sweep.seed2": (2, {}),
    "sweep.sparsity0.5": (1, {"sparsity": 0.5}),
}
TRAIN = {"architecture": "batchtopk", "features": 12, "k": 4, "tokens": 2048, "sparsity": 0.0}
CURVE = [
    {"step": 1, "tokens": 1024, "lr": 0.1, "mse": 2.0, "aux": 0.0, "l0": 4.0, "ev_batch": -3.0}
    | {"dead_share": 0.25, "theta": None, "grad_norm": 1.0},
    {"step": 2, "tokens": 2048, "lr": 0.1, "mse": 1.0, "aux": 0.0, "l0": 4.0, "ev_batch": 0.625}
    | {"dead_share": 0.0, "theta": 0.5, "grad_norm": 1.0},
]


def call(script, cfg=None, **arguments):
    args = argparse.Namespace(cfg=cfg or {}, stamp=STAMP, **arguments)
    importlib.import_module(script).main(args)


@pytest.fixture(scope="module")
def results(recorded, tmp_path_factory):
    """Folders of three runs at two sites and of a loaded dictionary, judged, in tables, drawn."""
    from connectome import dictionary_files

    model, corpus, parts = recorded
    root = tmp_path_factory.mktemp("results")
    tables.write_table(root / "corpus.parquet", corpus, STAMP)
    arrays.write_json(root / "model.json", {"directory": str(tiny_models.tiny("gpt2")[0])}, STAMP)
    made = [(run, site) for site in ("mlp.0", "resid.1") for run in RUNS] + [(None, "mlp.0")]
    for number, (run, site) in enumerate(made):
        folder = root / "demo" / ("sae" if run else "loaded") / (run or "dictionary") / site
        folder.mkdir(parents=True)
        dictionary = random_dictionary(8, 12, seed=number)
        if run == "sweep.seed2":  # half of the features of the first run, in another order
            first = random_dictionary(8, 12, seed=number - 1).decoder
            rows = torch.cat([3 * first[:6].flip(0), dictionary.decoder[6:]])
            dictionary = replace(dictionary, decoder=rows)
        files = dictionary_files.Files.of(folder)
        density = torch.full((12,), 0.5)
        dictionary_files.write(files, dictionary, density, {"model_name": "demo"}, STAMP)
        if run:
            seed, change = RUNS[run]
            training = {"seed": seed, "train": TRAIN | change}
            tables.write_csv(folder / "loss.csv", CURVE, list(CURVE[0]))
        arrays.write_json(folder / "train.json", training if run else {"from": "hub"}, STAMP)
        call(
            "evaluate_dictionary",
            cfg={"model_dtype": "float64", "seed": 1, "quality": SETTINGS},
            model=root / "model.json",
            device="cpu",
            corpus=root / "corpus.parquet",
            activations=parts,
            dictionary=[files.config, files.weights],
            site=site,
            output=folder / "metrics.json",
        )
    draw_results(root)
    return root


def draw_results(root, out=None):
    out = out or root
    named = {name: out / f"{name}.csv" for name in ("dictionaries", "training", "density")}
    call(
        "tabulate_dictionaries",
        metrics=sorted(root.glob("*/*/*/*/metrics.json")),
        records=sorted(root.glob("*/*/*/*/train.json")),
        curves=sorted(root.glob("*/*/*/*/loss.csv")),
        weights=sorted(root.glob("*/*/*/*/sae_weights.safetensors")),
        output=named["dictionaries"],
        training=named["training"],
        density=named["density"],
    )
    names = {"model": "demo", "dictionary": "sae"}
    figure = out / "dictionaries.demo.sae.csv"
    call("plot_dictionaries", cfg={"dpi": 50}, **named, **names, output=figure)


def only(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1, (wanted, len(found))
    return found[0]


MAIN = {"dictionary": "sae", "run": "dictionary", "site": "mlp.0"}


def test_the_table_holds_the_numbers_of_the_records(results):
    rows = tables.read_csv(results / "dictionaries.csv")
    assert len(rows) == 7 * 4
    record = arrays.read_json(results / "demo/sae/dictionary/mlp.0/metrics.json")
    row = only(rows, kind="dictionary", **MAIN)
    quality, loss = record["quality"], record["loss"]
    for name in ("l0", "explained_variance", "dead", "dense_10", "redundancy", "bias"):
        assert float(row[name]) == pytest.approx(quality[name], rel=1e-6), name
    for name in ("ce_clean", "ce_zero", "ce_mean", "ce", "delta", "recovered_zero", "kl"):
        if loss[name] is None:
            assert row[name] == "" and name in row["undefined"]
        else:
            assert float(row[name]) == pytest.approx(loss[name], rel=1e-6), name
    assert float(row["l0_share"]) == pytest.approx(quality["l0"] / 4, rel=1e-6)
    assert (row["architecture"], row["k"], row["seed"]) == ("batchtopk", "4", "1")
    assert int(row["tokens"]) == record["tokens"] and row["reason"] == ""
    probe = next(p for p in record["probes"]["probes"] if (p["of"], p["k"]) == ("channels", None))
    ends = [row[f"probe_channels_all{end}"] for end in ("", "_lo", "_hi")]
    expected = [probe[name] for name in ("value", "lo", "hi")]
    assert list(map(float, ends)) == pytest.approx(expected, rel=1e-6)
    control = next(c for c in record["controls"] if c["control"] == "pca")
    beside = only(rows, kind="pca", **MAIN)
    assert float(beside["delta"]) == pytest.approx(control["loss"]["delta"], rel=1e-6)
    assert float(beside["l0"]) == control["k"] and beside["dead"] == ""


def test_a_loaded_dictionary_has_no_training_in_the_table(results):
    row = only(
        tables.read_csv(results / "dictionaries.csv"), dictionary="loaded", kind="dictionary"
    )
    assert (row["architecture"], row["activation"]) == ("jumprelu", "jumprelu")
    assert (row["seed"], row["l0_share"]) == ("", "")
    curves = tables.read_csv(results / "training.csv")
    assert {row["dictionary"] for row in curves} == {"sae"}
    assert len(curves) == 6 * 2
    assert only(curves, step="2", **MAIN)["ev_batch"] == "0.625"
    assert only(curves, step="1", **MAIN)["theta"] == ""


def test_only_runs_that_differ_in_the_seed_alone_are_matched(results):
    rows = tables.read_csv(results / "dictionaries.csv")
    decoders = [
        arrays.read_tensor(results / f"demo/sae/{run}/mlp.0/sae_weights.safetensors", "W_dec")
        for run in ("dictionary", "sweep.seed2")
    ]
    share = decoder_cosines.matched_share(*decoders)
    assert share >= 0.5
    for run in ("dictionary", "sweep.seed2"):
        row = only(rows, kind="dictionary", **MAIN | {"run": run})
        found = [row[name] for name in ("seeds", "matched", "matched_lo", "matched_hi")]
        assert list(map(float, found)) == pytest.approx([2, share, share, share], rel=1e-6)
    other = only(rows, kind="dictionary", **MAIN | {"run": "sweep.sparsity0.5"})
    assert (other["seeds"], other["matched"]) == ("", "")


def test_bins_of_density_hold_all_living_features(results):
    rows = tables.read_csv(results / "density.csv")
    own = [row for row in rows if all(row[key] == value for key, value in MAIN.items())]
    dead = float(
        only(tables.read_csv(results / "dictionaries.csv"), kind="dictionary", **MAIN)["dead"]
    )
    assert sum(int(row["features"]) for row in own) == round(12 * (1 - dead))
    assert [float(row["high"]) for row in own[:-1]] == [float(row["low"]) for row in own[1:]]


def test_a_refused_dictionary_is_a_row_with_its_reason(results, tmp_path):
    key = ("demo", "sae", "dictionary", "mlp.0")
    about = arrays.read_json(results.joinpath(*key, "metrics.json"))["dictionary"]
    record = {"status": "refused", "reason": "no held-out document", "dictionary": about}
    [row] = dictionaries.rows({key: record}, {}, {})
    assert set(row) == set(dictionaries.COLUMNS)
    assert (row["status"], row["reason"], row["l0"]) == ("refused", "no held-out document", None)
    assert dictionaries.density_rows({key: record}) == []
    tables.write_csv(tmp_path / "d.csv", [row], dictionaries.COLUMNS)
    rows = plot.select(tables.read_csv(tmp_path / "d.csv"), [], [], key[:2])
    text = [t.get_text() for axes in plot.draw(rows).axes for t in axes.texts]
    assert "mlp.0: no held-out document" in text


def test_the_figure_draws_the_table_and_the_same_bytes_twice(results, tmp_path):
    rows = tables.read_csv(results / "dictionaries.demo.sae.csv")
    assert tuple(rows[0]) == plot.COLUMNS
    assert {row["mark"] for row in rows} == {"curve", "bin", "point"}
    main = {"run": "dictionary", "site": "mlp.0"}
    point = only(rows, mark="point", kind="pca", **main)
    assert (
        point["l0"] == only(tables.read_csv(results / "dictionaries.csv"), kind="pca", **MAIN)["l0"]
    )
    panel = plot.draw(rows).axes[3]
    drawn = [line.get_xydata()[0].tolist() for line in panel.lines if len(line.get_xdata()) == 1]
    assert [float(point["l0"]), float(point["explained_variance"])] in drawn
    draw_results(results, tmp_path)
    for suffix in (".csv", ".pdf", ".svg", ".png"):
        path = f"dictionaries.demo.sae{suffix}"
        assert (tmp_path / path).read_bytes() == (results / path).read_bytes(), path
    changed = [dict(row) for row in rows]
    only(changed, mark="point", kind="pca", **main)["explained_variance"] = "0.123"
    plot.draw(changed).savefig(tmp_path / "changed.svg")
    svg = results / "dictionaries.demo.sae.svg"
    assert (tmp_path / "changed.svg").read_bytes() != svg.read_bytes()


def test_a_loaded_dictionary_is_drawn_without_a_curve_and_many_sites_with_few_names():
    rows = [
        dict.fromkeys(plot.COLUMNS, "")
        | {"mark": "point", "run": "dictionary", "kind": "dictionary", "site": f"mlp.{layer}"}
        | {"l0": "16", "explained_variance": "0.5", "recovered_zero": "-2", "delta": "0.1"}
        for layer in range(30)
    ]
    figure = plot.draw(rows)
    notes = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert notes.count("not trained here") == 2
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named[0] == "mlp.0" and "mlp.29" in named and len(named) == 9
    assert figure.get_supxlabel().startswith("30 values lie outside")


def test_a_run_may_have_dots_in_its_name_and_its_model_none():
    template = "{model}/{dictionary}/{run}/{site}/metrics.json"
    path = pathlib.Path("x/demo/sae/sweep.sparsity0.5/mlp.0/metrics.json")
    assert list(identity.fields(path, template).values()) == [
        *("demo", "sae", "sweep.sparsity0.5", "mlp.0"),
    ]


def test_a_tensor_that_is_not_there_is_named(results, tmp_path):
    path = results / "demo/sae/dictionary/mlp.0/sae_weights.safetensors"
    with pytest.raises(DataError, match="W_none"):
        arrays.read_tensor(path, "W_none")
    (tmp_path / "damaged").write_bytes(b"half")
    with pytest.raises(DataError, match="damaged"):
        arrays.read_tensor(tmp_path / "damaged", "W_dec")
