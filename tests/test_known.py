"""Models built by hand: what transformers makes of them, and that their heads do what is said."""

import json
import re

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import built_chain
from connectome import (
    arrays,
    assembly,
    generators,
    known,
    language,
    prompts,
    tables,
    tokenizer,
    transformer,
)
from connectome.errors import ConfigError
from connectome.known.design import Copy, Size, layout
from connectome.language.document import held_out

each_build = pytest.mark.parametrize("build", known.names())
each_model = pytest.mark.parametrize("name", sorted(built_chain.MODELS))


def folder(name):
    return built_chain.results() / name


def pairs(build, discovery=40, heldout=40):
    return generators.pairs(known.generator(build), 1, discovery, heldout)


@each_model
def test_transformers_loads_the_folder_and_computes_what_the_engine_computes(name):
    theirs = AutoModelForCausalLM.from_pretrained(folder(name) / "model").double().eval()
    table = tables.read_table(folder(name) / f"tasks/known_{built_chain.MODELS[name]}.parquet")
    batch = prompts.of_table(table, "heldout").clean
    ours = transformer.load(folder(name) / "model", torch.float64)
    with torch.no_grad():
        rows = torch.arange(len(batch.ids))
        expected = theirs(batch.ids).logits[rows, batch.last]  # padding is on the right
    found = transformer.logits_at_answer(ours, transformer.forward(ours, batch))
    assert torch.allclose(found, expected, atol=1e-9)


@each_model
def test_transformers_reads_the_same_words(name):
    theirs = AutoTokenizer.from_pretrained(folder(name) / "model")
    ours = tokenizer.load(folder(name) / "model")
    for text in known.corpus(built_chain.MODELS[name], 1, 5):
        assert theirs(text)["input_ids"] == tokenizer.encode_prompt(ours, text)


@each_build
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(build):
    one, again, two = (assembly.assemble(known.of_name(build).design(), seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(
        one["transformer.h.0.mlp.c_fc.weight"], two["transformer.h.0.mlp.c_fc.weight"]
    )
    assert np.array_equal(one["transformer.wte.weight"], two["transformer.wte.weight"])


def test_a_copy_stands_where_it_is_said_to_stand():
    size = Size(layers=1, heads=1, head_width=6, hidden=1, context=4)
    found = assembly.matrix(size, [Copy(slice(1, 3), first=2, gain=-2.0), Copy(slice(0, 1), 5)])
    expected = np.zeros((6, 6))
    expected[1, 2] = expected[2, 3] = -2.0
    expected[0, 5] = 1.0
    assert np.array_equal(found, expected)


def test_a_stream_too_narrow_for_its_subspaces_is_refused():
    size = Size(layers=1, heads=2, head_width=4, hidden=1, context=4)
    assert layout(size, token=4, position=2) == {
        "token": slice(0, 4),
        "position": slice(4, 6),
    }
    with pytest.raises(ConfigError, match="needs 9 dimensions but is 8 wide"):
        layout(size, token=5, position=2)


@each_model
def test_norms_scale_all_positions_nearly_alike(name):
    """Otherwise what a head writes would change what every later head reads."""
    build = known.of_name(built_chain.MODELS[name])
    table = tables.read_table(folder(name) / f"tasks/known_{built_chain.MODELS[name]}.parquet")
    batch = prompts.of_table(table, "heldout").clean
    model = transformer.load(folder(name) / "model")
    for normed in transformer.forward(model, batch).normed.values():
        scale = normed.scale[..., 0][batch.real]
        assert 0.9 * build.SIZE.unit < scale.min() and scale.max() < 1.02 * build.SIZE.unit


@each_build
def test_pairs_are_split_by_combination_and_differ_as_said(build):
    drawn = pairs(build)
    assert {pair["split"] for pair in drawn} == {"discovery", "heldout"}
    for pair in drawn:
        assert held_out(pair["key"]) == (pair["split"] == "heldout")
        clean, corrupted = (language.split(pair[side]) for side in ("clean", "corrupted"))
        changed = sum(a != b for a, b in zip(clean, corrupted, strict=True))
        assert changed == {"induction": 2, "indirect_object": 1}[build]
        assert pair["answers"] != pair["wrong"]


def test_the_corrupted_induction_prompt_moves_the_cue_and_not_the_answers():
    for pair in pairs("induction"):
        clean, corrupted = (pair[side].split() for side in ("clean", "corrupted"))
        (answer,), (wrong,) = pair["answers"], pair["wrong"]
        cue = clean[-1]
        assert corrupted[-1] == cue
        assert clean[clean.index(cue) + 1] == answer.strip()
        assert corrupted[corrupted.index(cue) + 1] == wrong.strip()
        assert clean.index(answer.strip()) == corrupted.index(answer.strip())


def test_expected_places_count_the_start_token():
    assert known.expected_places("induction", "apple bell door apple") == {
        "a0.h1": (2, 1),
        "a1.h0": (4, 2),
    }
    text = "When Anna and Ben went to the park, Ben gave a ring to"
    places = known.expected_places("indirect_object", text)
    assert places["a0.h2"] == (10, 4) and places["a1.h1"] == (14, 10)
    assert places["a2.h0"] == places["a2.h3"] == (14, 2)


@each_build
def test_the_record_names_edges_between_known_heads_alone(build):
    record = known.record(build)
    heads = {row["head"] for row in record["heads"]}
    assert heads == set(known.of_name(build).ROLES) == set(known.of_name(build).ATTENDS)
    for edge in record["edges"]:
        assert set(edge.split("->")) <= heads | {"input", "logits"}
    assert heads == {end for edge in record["edges"] for end in edge.split("->")} - {
        "input",
        "logits",
    }


@each_build
def test_the_text_exercises_the_heads_and_fits_the_context(build):
    texts = known.corpus(build, 1, 200)
    assert texts == known.corpus(build, 1, 200) != known.corpus(build, 2, 200)
    words = set(known.of_name(build).WORDS)
    for text in texts:
        pieces = language.split(text)
        assert set(pieces) <= words
        assert len(pieces) < known.of_name(build).SIZE.context
        names = [piece for piece in pieces if re.match(" ?[A-Za-z]", piece)]
        assert len(set(names)) < len(names)  # something repeats


@pytest.mark.parametrize("seed", [2, 3])
@each_model
def test_other_seeds_give_models_that_do_their_task_too(name, seed, tmp_path):
    model = built_chain.build(tmp_path, name, seed)
    prompts = built_chain.make_task(model, f"known_{built_chain.MODELS[name]}", 1, 40)
    record = arrays.read_json(prompts.with_suffix(".competence.json"))
    heldout = record["splits"]["heldout"]
    assert heldout["accuracy_clean"]["value"] == heldout["accuracy_corrupted"]["value"] == 1


def test_an_unknown_build_or_generator_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match="no built model 'chess'; known: indirect_object, induc"):
        known.of_name("chess")
    assert known.family("ioi") is None
    assert generators.metric("known_induction") == "logit_difference"
    assert generators.metric("greater_than") == "probability_difference"
    with pytest.raises(ConfigError, match="'known_chess' is no generator"):
        generators.pairs("known_chess", 1, 1, 1)


@each_model
def test_config_files_say_what_is_read_from_them(name):
    config = json.loads((folder(name) / "model/config.json").read_text())
    record = arrays.read_json(folder(name) / "model.json")
    assert record["source"] == "built" and record["start_token"] == 0
    assert (record["layers"], record["heads"]) == (config["n_layer"], config["n_head"])
