"""Dictionaries in one form: hand-worked cases, slow rules, and folds that change no output."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from connectome import dictionaries, dictionary_folds
from connectome.dictionaries import Dictionary
from connectome.errors import ConfigError

# d = 2, F = 3; without a centre h = x @ encoder + bias
PLAIN = {
    "encoder": torch.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, 1.0]]),
    "encoder_bias": torch.tensor([0.0, -3.0, 0.5]),
    "decoder": torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]]),
    "decoder_bias": torch.tensor([0.5, -0.5]),
}
TIED = torch.tensor([0.5, -3.0, 0.5])  # an encoder bias that makes the first and last h equal
GATE = (torch.tensor([-1.0, -1.5, -0.5]), torch.tensor([1.0, 2.0, 0.5]))
MAGNITUDE = torch.tensor([0.0, -5.0, 0.25])
THRESHOLD = torch.tensor([1.0, 0.0, 1.25])  # the first one is h itself, which does not fire
SKIP = torch.tensor([[1.0, 2.0], [0.0, -1.0]])

HAND_WORKED = {  # fields, input, features, output
    "relu": ({"activation": "relu"}, (1, 2), (1, 0, 1.5), (4.5, -2)),
    "relu, centred": ({"activation": "relu", "centred": True}, (1, 2), (0.5, 0, 2.5), (6, -3)),
    "topk, a tie at the cut": (
        {"activation": "topk", "k": 1, "encoder_bias": TIED}, (1, 2), (1.5, 0, 0), (2, -0.5),
    ),
    "topk, a tie above the cut": (
        {"activation": "topk", "k": 2, "encoder_bias": TIED}, (1, 2), (1.5, 0, 1.5), (5, -2),
    ),
    "topk, all below 0": (
        {"activation": "topk", "k": 2, "encoder_bias": TIED}, (-1, -2), (0, 0, 0), (0.5, -0.5),
    ),
    "topk, centred": (
        {"activation": "topk", "k": 1, "centred": True}, (1, 2), (0, 0, 2.5), (5.5, -3),
    ),
    "jumprelu": (
        {"activation": "jumprelu", "threshold": THRESHOLD}, (1, 2), (0, 0, 1.5), (3.5, -2),
    ),
    "gated": (
        {"activation": "gated", "gate": GATE, "encoder_bias": MAGNITUDE},
        (1, 2), (0, 0, 0.75), (2, -1.25),
    ),
    "gated, centred": (
        {"activation": "gated", "gate": GATE, "encoder_bias": MAGNITUDE, "centred": True},
        (1, 2), (0, 0, 1.25), (3, -1.75),
    ),
    "skip": (
        {"activation": "relu", "transcoder": True, "skip": SKIP}, (1, 2), (1, 0, 1.5), (9.5, -4),
    ),
}  # fmt: skip


def near(found, right, bound):
    torch.testing.assert_close(found, right, rtol=bound, atol=bound, check_dtype=False)


@pytest.mark.parametrize("case", HAND_WORKED)
def test_features_and_outputs_are_those_worked_by_hand(case):
    changes, x, f, y = HAND_WORKED[case]
    dictionary = Dictionary(**{**PLAIN, **changes})
    x = torch.tensor([x], dtype=torch.float32)
    found = dictionaries.encode(dictionary, x)
    near(found, torch.tensor([f], dtype=torch.float32), 1e-7)
    near(dictionaries.decode(dictionary, found, x), torch.tensor([y], dtype=torch.float32), 1e-7)


def drawn(activation: str, d_in: int = 6, d_out: int = 6, count: int = 20, seed: int = 0, **more):
    """A random dictionary in float64; a transcoder where it writes another width."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    transcoder = d_in != d_out
    return Dictionary(
        **{
            "activation": activation,
            "encoder": normal(d_in, count),
            "encoder_bias": normal(count),
            "decoder": normal(count, d_out),
            "decoder_bias": normal(d_out),
            "centred": not transcoder,
            "transcoder": transcoder,
            "threshold": normal(count).abs() if activation == "jumprelu" else None,
            "k": 5 if activation == "topk" else None,
            "skip": normal(d_out, d_in) if transcoder else None,
            "gate": (normal(count), normal(count).exp()) if activation == "gated" else None,
            **more,
        }
    )


def inputs(width: int = 6, rows: int = 50):
    generator = torch.Generator().manual_seed(9)
    return 2 * torch.randn(rows, width, generator=generator, dtype=torch.float64)


def test_topk_of_all_features_is_relu():
    x, relu = inputs(), drawn("relu")
    for k in (20, 21):
        everything = replace(relu, activation="topk", k=k)
        assert torch.equal(dictionaries.encode(everything, x), dictionaries.encode(relu, x))


def test_jumprelu_at_zero_is_relu():
    x, relu = inputs(), drawn("relu")
    level = replace(relu, activation="jumprelu", threshold=torch.zeros(20, dtype=torch.float64))
    assert torch.equal(dictionaries.encode(level, x), dictionaries.encode(relu, x))


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=12).flatmap(
        lambda row: st.tuples(st.just(row), st.integers(1, len(row) + 1))
    )
)
def test_topk_keeps_the_first_of_equals_and_exactly_k(case):
    row, k = case
    count = len(row)
    eye = torch.eye(count)
    dictionary = Dictionary("topk", eye, torch.zeros(count), eye, torch.zeros(count), k=k)
    h = torch.tensor([row], dtype=torch.float32)
    order = sorted(range(count), key=lambda j: (-row[j], j))[:k]
    assert dictionaries.fires(dictionary, h)[0].nonzero().flatten().tolist() == sorted(order)
    right = [max(row[j], 0) if j in order else 0 for j in range(count)]
    assert dictionaries.activate(dictionary, h)[0].tolist() == right


@pytest.mark.parametrize("activation", dictionaries.ACTIVATIONS)
def test_slopes_are_the_gradients_of_features(activation):
    dictionary = drawn(activation)
    h = dictionaries.pre_activations(dictionary, inputs()).requires_grad_()
    dictionaries.activate(dictionary, h).sum().backward()
    found = dictionaries.slopes(dictionary, h.detach())
    assert 0 < (found > 0).double().mean() < 1
    near(found, h.grad, 1e-12)


def test_every_tensor_goes_along_to_another_format():
    gated = drawn("gated", 6, 4, threshold=torch.zeros(20, dtype=torch.float64))
    moved = gated.to("cpu", torch.float16)
    values = [getattr(moved, field.name) for field in fields(moved)]
    tensors = [t for v in values for t in (v if isinstance(v, tuple) else (v,))]
    formats = [t.dtype for t in tensors if isinstance(t, torch.Tensor)]
    assert len(formats) == 8 and set(formats) == {torch.float16}


# --- folds


@pytest.mark.parametrize("activation", dictionaries.ACTIVATIONS)
@pytest.mark.parametrize("d_out", [6, 4])
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_folded_scales_take_raw_inputs_and_give_raw_outputs(activation, d_out, dtype, bound):
    given = 7.5
    read = given if d_out == 6 else 0.3
    scaled = drawn(activation, 6, d_out).to("cpu", dtype)
    folded = dictionary_folds.fold_scales(scaled, read, given)
    x = inputs().to(dtype)
    f, raw = dictionaries.encode(scaled, x), dictionaries.encode(folded, read * x)
    assert 0 < (f > 0).double().mean() < 1
    size = given * float(f.abs().max())
    near(raw / size, given * f / size, bound)
    y = dictionaries.decode(scaled, f, x)
    size = given * float(y.abs().max())
    near(dictionaries.decode(folded, raw, read * x) / size, given * y / size, bound)
    assert torch.equal(folded.decoder, scaled.decoder)


def test_an_autoencoder_has_one_scale():
    with pytest.raises(ConfigError, match="cannot be 1.0 and 2.0"):
        dictionary_folds.fold_scales(drawn("relu"), 1.0, 2.0)


@pytest.mark.parametrize("activation", ["relu", "jumprelu", "gated"])
@pytest.mark.parametrize("d_out", [6, 4])
def test_folded_decoder_rows_have_length_one_and_give_the_same_output(activation, d_out):
    dictionary = drawn(activation, 6, d_out)
    folded = dictionary_folds.fold_decoder_norms(dictionary)
    x = inputs()
    f, g = dictionaries.encode(dictionary, x), dictionaries.encode(folded, x)
    near(folded.decoder.norm(dim=1), torch.ones(20), 1e-12)
    near(g, f * dictionary.decoder.norm(dim=1), 1e-12)
    near(dictionaries.decode(folded, g, x), dictionaries.decode(dictionary, f, x), 1e-12)


def test_a_decoder_row_of_zeros_stays_one():
    dictionary = drawn("relu")
    dictionary.decoder[3] = 0
    folded = dictionary_folds.fold_decoder_norms(dictionary)
    x = inputs()
    f, g = dictionaries.encode(dictionary, x), dictionaries.encode(folded, x)
    assert f[:, 3].any() and not g[:, 3].any() and not folded.decoder[3].any()
    near(dictionaries.decode(folded, g), dictionaries.decode(dictionary, f), 1e-12)


def test_topk_chooses_others_after_a_fold_and_is_refused_unless_it_chose_that_way():
    dictionary = drawn("topk")
    with pytest.raises(ConfigError, match="would choose other features"):
        dictionary_folds.fold_decoder_norms(dictionary)
    folded = dictionary_folds.fold_decoder_norms(dictionary, rescaled=True)
    x = inputs()
    chosen = dictionaries.encode(folded, x) > 0
    assert not torch.equal(chosen, dictionaries.encode(dictionary, x) > 0)
    lengths = dictionary.decoder.norm(dim=1)
    h = dictionaries.pre_activations(dictionary, x) * lengths
    assert torch.equal(chosen, dictionaries.activate(dictionary, h) > 0)
