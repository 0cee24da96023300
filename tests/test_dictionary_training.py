"""Training of dictionaries: losses against plain ones, the loop, what comes out, resumption."""

import argparse
import itertools
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import plain_dictionaries as plain
import recordings
import train_dictionary
from conftest import SCRIPTS
from connectome import arrays, command, dictionaries, resumption, sparse_products
from connectome import dictionary_data as data
from connectome import dictionary_training as training
from connectome.dictionary_kinds import jumprelu, topk
from connectome.dictionary_settings import DictionarySettings, architectures
from connectome.dictionary_weights import Run, Weights, folded
from connectome.errors import ConfigError, DataError

KINDS = ("batchtopk", "jumprelu", "matryoshka", "relu", "topk")
TRAIN = {
    "architecture": "batchtopk",
    "transcoder": False,
    "skip": False,
    "features": 12,
    "k": 3,
    "sparsity": 0.1,
    "widths": None,
    "tokens": 40 * 64,
    "batch_tokens": 64,
    "learning_rate": 0.01,
    "checkpoint_every_s": 60,
}
CPU = torch.device("cpu")


def settings_of(**changes) -> DictionarySettings:
    seed = changes.pop("seed", 1)
    return DictionarySettings.from_dict({**TRAIN, **changes}, seed)


def drawn(settings, d_in=7, d_out=None, tokens=20, seed=0):
    """Weights by name, inputs and targets, all random, in double precision."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    d_out = d_out or d_in
    decoder = draw(settings.features, d_out)
    weights = {
        "encoder": draw(settings.features, d_in),
        "encoder_bias": draw(settings.features) / 4,
        "decoder": decoder / decoder.norm(dim=1, keepdim=True),
        "decoder_bias": draw(d_out),
    }
    if settings.architecture == "jumprelu":
        weights["threshold"] = draw(settings.features).abs() / 2
    if settings.skip:
        weights["skip"] = draw(d_out, d_in)
    x = draw(tokens, d_in)
    return weights, x, draw(tokens, d_out) if settings.transcoder else x


def leaves(weights):
    return {name: value.clone().requires_grad_() for name, value in weights.items()}


def fast(weights, x, y, settings, dead=None, step=2):
    """Loss and gradients by name, as the loop has them."""
    since = torch.zeros(settings.features, dtype=torch.int64)
    if dead is not None:
        since[dead] = settings.patience
    own = leaves(weights)
    loss = training.batch_loss(Weights(**own), x, y, Run(since, len(x), step), settings)
    return loss, dict(zip(own, torch.autograd.grad(loss.total, list(own.values())), strict=True))


def across(gradient, rows):
    """What a gradient has across rows of length 1."""
    return gradient - (gradient * rows).sum(dim=1, keepdim=True) * rows


CASES = [
    *({"architecture": kind} for kind in KINDS),
    *({"architecture": kind, "transcoder": True} for kind in KINDS if kind != "topk"),
    {"architecture": "batchtopk", "transcoder": True, "skip": True},
    {"architecture": "matryoshka", "widths": [2, 5, 6, 12]},
    {"architecture": "topk", "k": 12},
    {"architecture": "batchtopk", "k": 12},
]


@pytest.mark.parametrize("dense", [0, 1], ids=["products", "bags"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_loss_and_gradients_are_those_of_the_plain_formulas(monkeypatch, case, dense):
    monkeypatch.setattr(sparse_products, "DENSE", dense)
    settings = settings_of(**case)
    weights, x, y = drawn(settings, d_out=5 if settings.transcoder else None)
    for dead in ([], [4], [0, 2, 3, 7, 9, 11]):
        mask = torch.zeros(12, dtype=torch.bool)
        mask[dead] = True
        found, found_gradients = fast(weights, x, y, settings, dead)
        own = leaves(weights)
        expected = plain.loss(own, x, y, settings, 2, mask)
        wanted = dict(zip(own, torch.autograd.grad(expected, list(own.values())), strict=True))
        if settings.architecture == "relu":  # no step is along a row, whose length is weighed
            wanted["decoder"], found_gradients["decoder"] = (
                across(of["decoder"], weights["decoder"]) for of in (wanted, found_gradients)
            )
        assert found.total.item() == pytest.approx(expected.item(), rel=1e-12)
        for name, gradient in wanted.items():
            torch.testing.assert_close(
                found_gradients[name], gradient, rtol=1e-6, atol=1e-9, msg=name
            )


def test_plain_formulas_use_the_bandwidth_of_the_loop():
    assert plain.BANDWIDTH == jumprelu.BANDWIDTH


@pytest.mark.parametrize("guess", [0.0, 0.3, 2.0, 3.75, 5.0, 100.0])
def test_exactly_the_largest_of_the_batch_are_kept_under_ties(guess):
    generator = np.random.default_rng(2)
    for _ in range(20):
        h = torch.from_numpy(generator.integers(-3, 4, (9, 11))).float()
        for count in (1, 9, 20, 45):
            places, cut = sparse_products.largest(h, count, guess)
            wanted = plain.most(h.relu().flatten(), count) & (h.flatten() > 0)
            assert places.tolist() == wanted.nonzero().flatten().tolist()
            if (h > 0).sum() >= count:
                assert len(places) == count
                assert cut == h.flatten()[places].min()


def test_exactly_the_largest_of_a_token_are_kept_under_ties():
    generator = np.random.default_rng(3)
    tied = 0
    for k, values in itertools.product((1, 3, 11), (3, 1000)):
        settings = settings_of(architecture="topk", features=11, k=k)
        h = torch.from_numpy(generator.integers(-values, values, (50, 11))).float()
        wanted = plain.kept(h, settings) & (h > 0)
        places = topk.places(h, None, None, settings)
        assert sorted(places.tolist()) == wanted.flatten().nonzero().flatten().tolist()
        ordered = h.sort(dim=1, descending=True).values
        tied += k < 11 and bool((ordered[:, k - 1] == ordered[:, k]).any())
    assert tied >= 2


def test_batchtopk_of_one_token_is_topk():
    weights, x, _ = drawn(settings_of(), tokens=1)
    (one, of_one), (two, of_two) = (
        fast(weights, x, x, settings_of(architecture=kind), [1, 5])
        for kind in ("topk", "batchtopk")
    )
    assert one.total.item() == pytest.approx(two.total.item(), rel=1e-14)
    assert sorted(one.columns.tolist()) == sorted(two.columns.tolist())
    for name, gradient in of_one.items():
        torch.testing.assert_close(gradient, of_two[name], rtol=1e-12, atol=1e-14)


def test_matryoshka_of_one_width_is_batchtopk():
    weights, x, _ = drawn(settings_of())
    one = fast(weights, x, x, settings_of(), [1, 5])
    two = fast(weights, x, x, settings_of(architecture="matryoshka", widths=[12]), [1, 5])
    assert torch.equal(one[0].total, two[0].total)
    assert all(torch.equal(gradient, two[1][name]) for name, gradient in one[1].items())


def test_thresholds_have_gradients_from_entries_in_the_window_alone():
    theta, width = 0.5, jumprelu.BANDWIDTH
    places = [theta - 0.6 * width, theta - 0.4 * width, theta, theta + 0.4 * width, theta + width]
    h = torch.tensor(places, dtype=torch.float64, requires_grad=True)
    threshold = torch.full_like(h, theta).requires_grad_()
    features, above = jumprelu.Jump.apply(h, threshold)
    assert features.tolist() == [0, 0, 0, *places[3:]]  # at the threshold is not above it
    assert above.tolist() == [0, 0, 0, 1, 1]
    factors = torch.tensor([1.0, 2, 3, 4, 5], dtype=torch.float64)
    (features * factors).sum().backward(retain_graph=True)
    assert h.grad.tolist() == [0, 0, 0, 4, 5]
    expected = [0, *(-theta / width * factor for factor in (2, 3, 4)), 0]
    assert threshold.grad.tolist() == pytest.approx(expected)
    threshold.grad = None
    (above * factors).sum().backward()
    assert threshold.grad.tolist() == pytest.approx([0, -2 / width, -3 / width, -4 / width, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_decoder_rows_stay_of_length_1_and_thresholds_above_0(kind):
    settings = settings_of(architecture=kind, sparsity=0.001, k=10)
    weights, x, y = drawn(settings, tokens=64)
    weights = Weights(**{name: w.float().requires_grad_() for name, w in weights.items()})
    if weights.threshold is not None:
        weights.threshold.data *= 0.05
    before = weights.decoder.detach().clone()
    optimizer = training.optimizer_of(weights, 0.9)
    lowest = math.inf
    for step in range(1, 20):
        run = Run(torch.zeros(12, dtype=torch.int64), 64, step)
        loss = training.batch_loss(weights, x.float(), y.float(), run, settings)
        training.advance(optimizer, weights, loss, 0.05)
        assert (weights.decoder.detach().norm(dim=1) - 1).abs().max() < 1e-5
        if weights.threshold is not None:
            lowest = min(lowest, float(weights.threshold.detach().min()))
    assert (weights.decoder.detach() - before).abs().max() > 0.1
    assert lowest == (0 if kind == "jumprelu" else math.inf)


def test_a_step_has_no_part_along_the_decoder_rows_and_at_most_length_1():
    settings = settings_of()
    values, x, y = drawn(settings, tokens=64)
    weights = Weights(**leaves(values))
    run = Run(torch.zeros(12, dtype=torch.int64), 64, 1)
    loss = training.batch_loss(weights, x, 100 * y, run, settings)
    norm = training.advance(training.optimizer_of(weights, 0.9), weights, loss, 0.0)
    assert norm > 1
    steps = [tensor.grad for tensor in weights.named().values()]
    assert math.sqrt(sum(float((step**2).sum()) for step in steps)) == pytest.approx(1, abs=1e-6)
    along = (weights.decoder.grad * values["decoder"]).sum(dim=1)
    assert along.abs().max() < 1e-12 < weights.decoder.grad.abs().max()


def test_only_dead_features_learn_from_the_error():
    settings = settings_of()
    weights, x, y = drawn(settings)
    dead = torch.tensor([0, 3, 5, 6, 10])
    own = leaves(weights)
    error = torch.randn(20, 7, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    training.unexplained(Weights(**own), x, error, dead, settings).backward()
    living = torch.ones(12, dtype=torch.bool)
    living[dead] = False
    for name in ("encoder", "encoder_bias", "decoder"):
        assert (own[name].grad[living] == 0).all()
        assert (own[name].grad[dead] != 0).any()
    assert own["decoder_bias"].grad is None


def test_dead_features_that_explain_the_error_leave_nothing():
    """Two dead features of four wanted, one along each axis: all is explained, or half of it."""
    settings = settings_of(features=3, k=1, transcoder=True)
    eye = torch.eye(8, dtype=torch.float64)
    weights = Weights(eye[:3], torch.zeros(3).double(), eye[:3], torch.zeros(8).double())
    error = torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64) @ eye[:2]
    for dead, expected in (([0, 1], 0.0), ([0], 0.25 * 4 / 4), ([], 0.0)):
        found = training.unexplained(weights, error, error, torch.tensor(dead).long(), settings)
        assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_batch_gives_numbers_whether_or_not_anything_fires(kind):
    settings = settings_of(architecture=kind)
    weights, x, y = drawn(settings)
    constant = x[:1].expand_as(x)
    weights["decoder_bias"] = x[0]
    silent = weights | {"encoder_bias": -torch.ones(12, dtype=torch.float64)}
    given = (weights, silent)
    for weights, dead in itertools.product(given, ([], [1, 2], list(range(12)))):
        loss, found = fast(weights, constant, constant, settings, dead)
        assert loss.total.isfinite()
        assert weights is not silent or not len(loss.features)
        assert all(gradient.isfinite().all() for gradient in found.values())


def test_the_threshold_follows_the_least_feature_that_fires_after_the_warm_up():
    settings = settings_of(tokens=400 * 64)
    assert settings.warmup == 20
    run = Run(torch.zeros(4, dtype=torch.int64), batch=10)
    zero = torch.zeros(())
    columns = torch.tensor([0, 2, 2])
    for step, values in (
        (20, [0.1, 5, 7]),
        (21, [0.3, 4, 0]),
        (22, [2.0, 0.7, 3]),
        (23, [0, 0, 0]),
    ):
        run.step = step
        loss = training.Loss(zero, zero, zero, torch.tensor(values), columns)
        training.follow(run, loss, settings, tracked=True)
    inertia = 1 - 1 / 20
    assert run.threshold == pytest.approx(inertia * 0.3 + (1 - inertia) * 0.7)
    assert run.since_fired.tolist() == [10, 40, 10, 40]


def test_the_rate_rises_stays_and_falls_to_0():
    settings = settings_of(tokens=1000 * 64)
    rates = [settings.rate(step, 2.0) for step in (1, 25, 50, 51, 800, 801, 901, 1000)]
    assert rates == pytest.approx([0.04, 1, 2, 2, 2, 2, 1, 0.01])
    assert settings_of(tokens=10**5 * 64).warmup == 1000
    assert settings_of(tokens=64).rate(1, 2.0) == 2
    assert settings_of(tokens=10**9).patience == 10_000_000
    assert settings_of(tokens=640_000).patience == 64_000


def test_the_rate_where_none_is_named():
    def rate(**changes) -> float:
        settings = settings_of(**changes)
        return training.kind_of(settings.architecture).learning_rate(settings)

    for kind in ("topk", "batchtopk", "matryoshka", "relu"):
        assert rate(architecture=kind, features=2**14) == pytest.approx(2e-4)
        assert rate(architecture=kind, features=2**10) == pytest.approx(8e-4)
    assert rate(architecture="jumprelu", tokens=10**8) == 7e-5
    assert rate(architecture="jumprelu", tokens=64 * 1500) == pytest.approx(0.002)


def test_settings_that_cannot_be_are_refused():
    for changes, reason in (
        ({"architecture": "topk", "transcoder": True}, "SAELens.* has none; batchtopk can"),
        ({"architecture": "batch_topk"}, "did you mean 'batchtopk'"),
        ({"skip": True}, "only a transcoder"),
        ({"k": 13}, "k is 13, but a dictionary has 12 features"),
        ({"widths": [4, 12]}, "widths are of matryoshka"),
        ({"architecture": "matryoshka", "widths": [4, 4, 12]}, "must rise"),
        (
            {"architecture": "matryoshka", "widths": [4, 8]},
            r"end with the number of features \(12\)",
        ),
        ({"depth": 1}, "unknown depth"),
    ):
        with pytest.raises(ConfigError, match=reason):
            settings_of(**changes)
    with pytest.raises(ConfigError, match="lacks k"):
        DictionarySettings.from_dict({key: TRAIN[key] for key in TRAIN if key != "k"}, 1)
    assert settings_of(architecture="matryoshka").widths == (1, 6, 12)
    assert architectures() == list(KINDS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_folded_weights_give_scaled_features_and_reconstructions_of_raw_inputs(case):
    settings = settings_of(**case)
    values, x, y = drawn(settings, d_out=5 if settings.transcoder else None)
    kind = training.kind_of(settings.architecture)
    scales = (3.0, 0.2) if settings.transcoder else (3.0,)
    weights = Weights(**values)
    raw, unit = (folded(weights, some, settings, kind.ACTIVATION, 0.4) for some in (scales, (1.0,)))
    assert raw.centred is not settings.transcoder and raw.decoder.dtype == torch.float32
    x = x.float()
    f, f_raw = dictionaries.encode(unit, x), dictionaries.encode(raw, x * scales[0])
    assert 0 < (f > 0).double().mean() <= 1
    torch.testing.assert_close(f_raw, f * scales[-1], rtol=1e-5, atol=1e-5)
    made, made_raw = (
        dictionaries.decode(dictionary, features, inputs)
        for dictionary, features, inputs in ((unit, f, x), (raw, f_raw, x * scales[0]))
    )
    torch.testing.assert_close(made_raw, made * scales[-1], rtol=1e-5, atol=1e-5)
    if kind.THRESHOLD == "tracked":
        assert raw.threshold.tolist() == pytest.approx([0.4 * scales[-1]] * 12)


# whole trainings


def recorded(folder: Path, rows=6000, d=8) -> Path:
    """A small part file: two correlated columns, of which one is an input of the other's MLP."""
    generator = np.random.default_rng(7)
    x = generator.laplace(size=(rows, d)) @ generator.standard_normal((d, d)) + 1
    y = np.maximum(x @ generator.standard_normal((d, d - 2)), 0)
    columns = {"mlp.0.in": x.astype(np.float32), "mlp.0": y.astype(np.float32)}
    return recordings.write(folder / "part-0-of-1.parquet", columns)


def arguments(folder: Path, part: Path, train: dict, seed=1) -> argparse.Namespace:
    cfg = {"train": train, "seed": seed}
    model = part.with_name("model.json")
    record = {"name": "demo", "hub": None, "directory": ".", "architecture": "gpt2"}
    arrays.write_json(model, record, {})
    return argparse.Namespace(
        model=model,
        activations=[part],
        site="mlp.0",
        state=folder / ".training",
        device="cpu",
        config=folder / "cfg.json",
        weights=folder / "sae_weights.safetensors",
        sparsity=folder / "sparsity.safetensors",
        record=folder / "train.json",
        curve=folder / "loss.csv",
        cfg=cfg,
        stamp={"cfg": command.canonical(cfg), "code": ""},
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.*"))}


SMALL = TRAIN | {"checkpoint_every_s": 0}
VARIANTS = [
    *({"architecture": kind} for kind in KINDS),
    {"architecture": "batchtopk", "transcoder": True, "skip": True},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
def test_a_training_cut_off_anywhere_ends_in_the_same_bytes(tmp_path, monkeypatch, capsys, variant):
    train = SMALL | variant
    part = recorded(tmp_path)
    train_dictionary.main(arguments(tmp_path / "whole", part, train))
    whole = files_of(tmp_path / "whole")
    assert sorted(whole) == [
        "cfg.json",
        "loss.csv",
        "sae_weights.safetensors",
        "sparsity.safetensors",
        "train.json",
    ]
    real = training.stream
    given = arguments(tmp_path / "cut", part, train)
    for stop in (1, 9, 20):  # steps of each attempt

        def cut_off(*args, stop=stop):
            if len(args) == 4:
                yield from itertools.islice(real(*args), stop)
                raise KeyboardInterrupt
            yield from real(*args)

        monkeypatch.setattr(training, "stream", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train_dictionary.main(given)
        assert (tmp_path / "cut/.training/checkpoint.safetensors").exists()
    monkeypatch.setattr(training, "stream", real)
    train_dictionary.main(given)
    told = capsys.readouterr().err
    assert [n for n in range(41) if f"going on after step {n}\n" in told] == [1, 10, 30]
    assert files_of(tmp_path / "cut") == whole


def test_how_often_the_state_is_saved_changes_no_result(tmp_path):
    recording = data.survey([recorded(tmp_path)], ["mlp.0"])
    often, never = (
        training.train(recording, settings_of(checkpoint_every_s=s), tmp_path / f"{s}/c", CPU)
        for s in (0, 60)
    )
    assert (tmp_path / "0/c").exists() and not (tmp_path / "60/c").exists()
    assert often.curve == never.curve
    assert torch.equal(often.dictionary.encoder, never.dictionary.encoder)


def start(given: argparse.Namespace) -> subprocess.Popen:
    """The script as a process of its own."""
    line = [sys.executable, str(SCRIPTS / "train_dictionary.py"), "--cfg", json.dumps(given.cfg)]
    line += ["--activations", *map(str, given.activations)]
    for name in (
        "model",
        "site",
        "state",
        "device",
        "config",
        "weights",
        "sparsity",
        "record",
        "curve",
    ):
        line += [f"--{name}", str(getattr(given, name))]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_killed_process_is_finished_by_the_same_command(tmp_path, kills):
    part = recorded(tmp_path)
    train = SMALL | {"tokens": 64 * 200}
    train_dictionary.main(arguments(tmp_path / "whole", part, train))
    given = arguments(tmp_path / "killed", part, train)
    told = np.arange(4, 180, 2)  # steps of which the log tells
    stops = sorted(np.random.default_rng().choice(told, kills, replace=False).tolist())
    began = []
    for stop in stops:
        process = start(given)
        for line in process.stderr:
            began += [int(line.split()[-1])] if line.startswith("going on") else []
            if line.startswith(f"step {stop} "):
                os.kill(process.pid, signal.SIGKILL)
                break
        process.stderr.close()
        assert process.wait() == -signal.SIGKILL, stops
    assert not (tmp_path / "killed/sae_weights.safetensors").exists()
    assert len(began) == kills - 1 and all(a <= b for a, b in zip(stops, began, strict=False))
    train_dictionary.main(given)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole"), stops


def test_a_checkpoint_of_other_settings_data_or_code_is_not_used(tmp_path, capsys):
    settings = settings_of(checkpoint_every_s=0)
    recording = data.survey([recorded(tmp_path)], ["mlp.0"])
    state = tmp_path / "state" / training.STATE_FILE
    other = data.survey([recorded(tmp_path / "other", rows=5000)], ["mlp.0"])
    code = '{"sparse_products.py":"a"}'
    for expected, changes, rows, digests in (
        ("", {}, recording, code),
        ("going on after step 39", {"checkpoint_every_s": 60}, recording, code),
        ("learning_rate was 0.01, is 0.02", {"learning_rate": 0.02}, recording, code),
        ("learning_rate was 0.02, is 0.01; seed was 1, is 2", {"seed": 2}, recording, code),
        ("data was ", {"seed": 2}, other, code),
        ("sparse_products.py changed", {"seed": 2}, other, '{"sparse_products.py":"b"}'),
    ):
        capsys.readouterr()
        chosen = settings_of(**{"checkpoint_every_s": 0, **changes})
        training.train(rows, chosen, state, CPU, digests)
        told = capsys.readouterr().err
        assert expected in told
        assert ("not used: " in told) == ("was" in expected or "changed" in expected)
    assert settings.steps == 40


def test_the_curve_has_a_row_for_every_hundredth_of_the_steps(tmp_path):
    settings = settings_of(tokens=64 * 250)
    recording = data.survey([recorded(tmp_path)], ["mlp.0"])
    trained = training.train(recording, settings, tmp_path / "s" / "c", CPU)
    assert [row["step"] for row in trained.curve] == [*range(3, 250, 3), 250]
    assert all(tuple(row) == training.LOSS_COLUMNS for row in trained.curve)
    last, first = trained.curve[-1], trained.curve[0]
    assert last["tokens"] == 16_000 and last["l0"] == 3 and first["theta"] is None
    assert last["mse"] < first["mse"] / 2 and last["ev_batch"] > first["ev_batch"] + 0.3
    assert trained.record["last"] == last
    (y,) = next(data.stream(recording, 1, recording.rows))
    fired = dictionaries.encode(trained.dictionary, torch.from_numpy(y)) > 0
    np.testing.assert_allclose(trained.density, fired.double().mean(0), atol=2e-3)


def test_a_training_that_diverges_says_so(tmp_path):
    recording = data.survey([recorded(tmp_path)], ["mlp.0"])
    with pytest.raises(DataError, match="diverged .step .*use a smaller learning_rate"):
        training.train(recording, settings_of(learning_rate=1e30), tmp_path / "s/c", CPU)


def test_threads_switches_and_random_state_are_left_as_they_were(tmp_path):
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    random = torch.get_rng_state(), np.random.get_state()[1].tolist()
    recording = data.survey([recorded(tmp_path)], ["mlp.0"])
    training.train(recording, settings_of(tokens=128), tmp_path / "s/c", CPU)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    assert torch.equal(torch.get_rng_state(), random[0])
    assert np.random.get_state()[1].tolist() == random[1]


@pytest.mark.parametrize(
    ("kind", "steps", "batch"),
    [
        ("batchtopk", 600, 512),
        *(pytest.param(kind, 1500, 1024, marks=pytest.mark.slow) for kind in KINDS),
    ],
)
def test_planted_directions_are_found_and_as_many_fire_on_held_out_rows(
    tmp_path, kind, steps, batch
):
    x, directions = recordings.planted(20_000, 5)
    part = recordings.write(tmp_path / "part", {"mlp.0": x})
    settings = settings_of(
        architecture=kind,
        features=64,
        batch_tokens=batch,
        tokens=steps * batch,
        learning_rate=None,
        sparsity={"jumprelu": 1.0, "relu": 0.1}.get(kind, 0.0),
    )
    recording = data.survey([part], ["mlp.0"])
    trained = training.train(recording, settings, tmp_path / "s/c", CPU)
    cosines = trained.dictionary.decoder.numpy() @ directions.T
    assert np.mean(cosines.max(axis=0) >= 0.9) >= 0.9
    held = data.held_out(np.arange(len(x)) // recordings.DOCUMENT)
    features = dictionaries.encode(trained.dictionary, torch.from_numpy(x[held]))
    count = float((features > 0).sum()) / int(held.sum())
    assert count == pytest.approx(3, rel={"jumprelu": 0.25, "relu": 1.0}.get(kind, 0.1))


def test_training_imports_neither_transformers_nor_plotting():
    code = (
        "import sys, train_dictionary\n"
        "from connectome.dictionary_settings import architectures\n"
        "for name in architectures(): train_dictionary.training.kind_of(name)\n"
        "print(sorted({'transformers', 'matplotlib', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    assert done.stdout == "['torch']\n"


def test_settings_are_checked_without_torch():
    code = "import sys; from connectome import dictionary_settings; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_state_that_cannot_be_read_is_told_of_and_not_used(tmp_path, capsys):
    path = tmp_path / "state"
    stamp = {"cfg": "{}", "code": ""}
    resumption.save_state(path, {"a": torch.arange(3)}, {"step": 2}, stamp)
    tensors, record = resumption.load_state(path, stamp)
    assert tensors["a"].tolist() == [0, 1, 2] and record == {"step": 2}
    path.write_bytes(path.read_bytes()[:-5])
    assert resumption.load_state(path, stamp) is None
    assert "not used: it is no state, or a damaged one" in capsys.readouterr().err
