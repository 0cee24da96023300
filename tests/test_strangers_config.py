"""A configuration with one wrong letter, type or number: refused by key, with the near name."""

import copy
import re
from collections.abc import Mapping

import pytest

import toy_workflow
from conftest import ROOT
from connectome import configuration
from connectome.errors import ConfigError

DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
SCHEMA = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
OWN_NAMES = {("models",), ("tasks",), ("dictionaries",)}  # maps whose keys a person chooses


def keys_of(place, path=()):
    """Every key that the default configuration spells, as a path."""
    for name, value in place.items():
        yield (*path, name)
        if isinstance(value, Mapping) and (*path, name) not in OWN_NAMES:
            yield from keys_of(value, (*path, name))


KEYS = sorted(keys_of(DEFAULTS))
EXTRA = [
    ("models", "demo", "train", "steps"),
    ("models", "demo", "train"),
    ("tasks", "ioi", "generator"),
]
LEAVES = [
    key for key in KEYS if not any(key == other[: len(key)] and key != other for other in KEYS)
]


def dotted(key):
    return ".".join(key)


def refusal(config):
    """Message for a user's configuration over the defaults; fails where it is accepted."""
    complete = configuration.complete(config, DEFAULTS)
    with pytest.raises(ConfigError) as caught:
        configuration.validate(complete, SCHEMA)
        configuration.check(complete)
    return str(caught.value)


def with_value(key, value):
    """The configuration {a: {b: value}} of a key (a, b); a whole section keeps its other keys."""
    top = copy.deepcopy({key[0]: DEFAULTS[key[0]]}) if key[0] in configuration.WHOLE else {}
    place = top
    for name in key[:-1]:
        place = place.setdefault(name, {})
    place[key[-1]] = value
    return top


@pytest.mark.parametrize("key", KEYS + EXTRA, ids=dotted)
def test_a_key_with_one_letter_missing_is_refused_beside_the_right_one(key):
    name = key[-1]
    wrong = {name[:i] + name[i + 1 :] for i in range(len(name))} if len(name) > 1 else {name * 2}
    for word in wrong - {k[-1] for k in KEYS if k[:-1] == key[:-1]}:
        above = dotted((*key[:-1], word))
        assert f"{above}: unknown key; did you mean {name!r}?" in refusal(
            with_value((*key[:-1], word), 1)
        )


@pytest.mark.parametrize("key", LEAVES, ids=dotted)
def test_a_value_of_a_wrong_type_is_refused_with_its_key(key):
    """What no key takes: a map where none is, a list in a list, numbers that are none."""
    for value in ({"x": 1}, [[1]], float("nan"), float("inf"), -1.5):
        message = refusal(with_value(key, value))
        assert f"  - {dotted(key)}" in message, message


def whole_numbers():
    """Keys whose default is a whole number."""
    for key in LEAVES:
        place = DEFAULTS
        for name in key:
            place = place[name]
        if isinstance(place, int) and not isinstance(place, bool):
            yield key


@pytest.mark.parametrize("key", list(whole_numbers()), ids=dotted)
def test_a_whole_number_is_not_a_fraction_a_truth_value_or_text(key):
    for value in (2.0, True, "2", None):
        assert f"  - {dotted(key)}: " in refusal(with_value(key, value))


@pytest.mark.parametrize(
    ("key", "value", "near"),
    [
        ("circuits.ablation", "counterfactul", "counterfactual"),
        ("circuits.partitions", ["head"], "heads"),
        ("circuits.methods", ["eap-ig-input"], "eap-ig-inputs"),
        ("circuits.exact", ["haeds"], "heads"),
        ("evaluation.ranking", "absolut", "absolute"),
        ("evaluation.methods", ["eap-ig-inputz"], "eap-ig-inputs"),
        ("evaluation.partitions", ["kmean"], "kmeans"),
        ("activations.dtype", "flaot32", "float32"),
        ("partitions.controls_match", "roi", "rois"),
        ("dictionary_training.architecture", "batchtop", "batchtopk"),
        ("attributions.tasks", ["inductoin"], "induction"),
        ("tasks", {"t": {"generator": "sva_cr"}}, "sva_rc"),
        ("tasks", {"t": {"generator": "ioi", "metric": "logit_diference"}}, "logit_difference"),
        ("report.circuits", ["heds"], "heads"),
        ("report.method", "eap-ig-input", "eap-ig-inputs"),
    ],
)
def test_a_name_with_one_wrong_letter_is_refused_beside_the_right_one(key, value, near):
    message = refusal(with_value(tuple(key.split(".")), value))
    assert f"did you mean {near!r}?" in message, message


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"models": {2024: {"train": {}}}}, "models: 2024 cannot be used; .*in quotes where"),
        ({"models": {"m": {"train": {}}}, "tasks": {False: {"generator": "ioi"}}}, "tasks: false"),
        ({"models": {"m": {"trian": {}}}}, "models.m.trian: .* did you mean 'train'"),
        ({"models": 5}, "models: 5 cannot be used"),
        ({"models": ["m"]}, r'models: \["m"\] cannot be used'),
        ({"tasks": None}, "tasks: null cannot be used"),
        ({"report": None, "models": {"m": {"train": {}}}}, "report: null cannot be used"),
        ({"training": None}, "training: null cannot be used"),
        ({"seed": 2**32}, "seed: 4294967296 cannot be used; .*at most 4000000000"),
        ({"partitions": {"files": {"Mine": "x"}}}, 'partitions.files: "Mine" cannot be used; a'),
    ],
)
def test_what_yaml_makes_of_a_slip_is_refused_with_its_key(config, said):
    assert re.search(said, refusal(config)), refusal(config)


def test_one_wrong_letter_stops_the_workflow_before_any_job_and_leaves_results_alone(tmp_path):
    checkout = toy_workflow.make(tmp_path / "toy")
    page = checkout / "results/page.txt"
    page.parent.mkdir()
    page.write_text("written earlier\n")
    output = toy_workflow.run(checkout, "--config", "sede=2", ok=False)
    assert "sede: unknown key; did you mean 'seed'?" in output
    assert "Traceback" not in output and toy_workflow.jobs(output) == []
    assert page.read_text() == "written earlier\n"
