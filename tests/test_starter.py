"""Starter tasks suit any tokenizer: one token in context, equal lengths, all dropped counted."""

import json
import subprocess

import pytest
import tokenizers
import yaml

import built_tokenizers
from conftest import ROOT, quick_command
from connectome import configuration, generators, model_tasks, starter, tasks, tokenizer
from connectome.errors import ConfigError
from connectome.starter import words
from connectome.starter.words import Entry, Slot

CONTEXT = 64
DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
SCHEMA = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A folder with tokenizer.json for every style."""
    root = tmp_path_factory.mktemp("tokenizers")
    return {
        style: built_tokenizers.save(make(), start, root / style)
        for style, (make, start) in built_tokenizers.STYLES.items()
    }


def drawn(folder, generator, counts=(20, 20), seed=1, context=CONTEXT):
    fit = tasks.fit(tokenizer.load(folder), context)
    return generators.draw(generator, seed, *counts, fit)


def made(folder):
    """The tasks of a folder's tokenizer that are not refused: {generator: pairs}."""
    found = {name: drawn(folder, name) for name in starter.names()}
    return {name: some.pairs for name, some in found.items() if some.about["status"] == "ok"}


EXPECTED = {  # what the training text of each tokenizer made of the words: digits by themselves
    "gpt2": set(starter.names()),
    "neox": set(starter.names()),
    "llama": set(starter.names()) - {"starter_later_year"},
}


@pytest.mark.parametrize("style", built_tokenizers.STYLES)
def test_every_answer_is_one_token_and_lengths_are_equal_for_every_style(folders, style):
    found = made(folders[style])
    assert set(found) >= EXPECTED.get(style, {"starter_repeated_words", "starter_later_year"})
    # transformers' and our own reading are left out: the library's tokenizer itself is asked
    plain = tokenizers.Tokenizer.from_file(str(folders[style] / "tokenizer.json"))

    def ids(text):
        return plain.encode(text, add_special_tokens=False).ids

    for name, pairs in found.items():
        assert [pair["split"] for pair in pairs].count("heldout") >= 10
        for pair in pairs:
            clean, corrupted = ids(pair["clean"]), ids(pair["corrupted"])
            assert len(clean) == len(corrupted) and clean != corrupted, (name, pair)
            answers = [*pair["answers"], *pair["wrong"]]
            added = [ids(pair["clean"] + answer)[len(clean) :] for answer in answers]
            assert all(len(some) == 1 for some in added), (name, pair)
            assert len({token for some in added for token in some}) == len(answers)
            for answer in answers:
                assert ids(pair["clean"] + answer)[: len(clean)] == clean


@pytest.mark.parametrize("style", built_tokenizers.STYLES)
def test_the_pairs_pass_for_a_users_file(folders, style):
    words_of = tokenizer.load(folders[style])
    counts = {"discovery": 20, "heldout": 20}
    for name, pairs in made(folders[style]).items():
        columns = tasks.encode(tasks.of_language(pairs, name), words_of, CONTEXT, counts, 0.4, name)
        first = [ids[0] for ids in columns["clean_ids"]]
        start = words_of.start
        assert (set(first) == {start}) == (start is not None)
        held = {c for c, s in zip(columns["clean"], columns["split"], strict=True) if s[0] == "h"}
        assert len(held) >= 8


def test_candidates_that_are_not_one_token_are_counted_by_reason(folders):
    about = drawn(folders["llama"], "starter_later_year").about
    assert about["words"]["years"] == {
        "listed": 800, "kept": 0, "dropped": {"more than one token": 800}
    }  # fmt: skip
    assert about["status"] == "refused"
    assert about["reason"] == (
        "years: 0 of 800 are one token in context (dropped: 800 more than one token); "
        "the task needs 60"
    )


def test_what_is_dropped_is_what_a_count_by_hand_drops(tmp_path):
    """Five words: one whole, one unknown, one glued to the prompt, two forms, one in pieces."""
    pieces = ["[UNK]", "▁When", "▁Ann", "▁B", "▁dog", "s", "▁When▁Eve"]
    model = tokenizers.models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0)
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    loaded = tokenizer.load(built_tokenizers.save(backend, None, tmp_path))
    slot = words.slot("When", ["Ann", "Bo", "Zed", "Eve", ("dog", "dogs")], needed=1)
    kept, counts = starter._sift(slot, tasks.fit(loaded, CONTEXT))
    assert kept == [("Ann",)]
    assert counts["dropped"] == {
        "more than one token": 1, "outside the vocabulary": 2, "merged with the text before": 1
    }  # fmt: skip


def test_pairs_of_unequal_length_or_beyond_the_context_are_dropped_and_counted(folders):
    found = drawn(folders["gpt2"], "starter_indirect_object", context=8)
    assert found.pairs == [] and found.about["status"] == "refused"
    assert "only 0 discovery pairs" in found.about["reason"]
    assert "longer than the context" in found.about["reason"]


def test_discovery_follows_the_seed_and_held_out_pairs_do_not(folders):
    one, again, two = (
        drawn(folders["neox"], "starter_indirect_object", seed=seed).pairs for seed in (1, 1, 2)
    )
    assert one == again
    assert one[:20] != two[:20] and one[20:] == two[20:]
    assert not {pair["key"] for pair in one[:20]} & {pair["key"] for pair in one[20:]}


def test_years_after_the_clean_one_are_right_and_those_before_wrong(folders):
    for pair in drawn(folders["gpt2"], "starter_later_year").pairs:
        century = pair["clean"][-2:]
        [year] = [w for w in pair["clean"].split() if w.startswith(century) and len(w) == 4]
        [earlier] = [w for w in pair["corrupted"].split() if w.startswith(century) and len(w) == 4]
        assert int(earlier) <= int(year) - 20
        assert min(map(int, pair["answers"])) > int(year[2:]) >= max(map(int, pair["wrong"]))


def test_a_word_is_repeated_and_the_exchanged_one_is_asked_for(folders):
    for pair in drawn(folders["llama"], "starter_repeated_words").pairs:
        for prompt, answer in (
            (pair["clean"], pair["answers"]),
            (pair["corrupted"], pair["wrong"]),
        ):
            listed = prompt.split()[1:]
            first = listed.index(listed[-1])
            assert [f" {listed[first + 1]}"] == answer
            assert listed[first + 1] not in listed[len(set(listed)) :]


def test_no_list_has_a_word_twice_and_no_template_begins_with_a_slot():
    for name in starter.names():
        found = starter.family(name)
        for slot in found.SLOTS.values():
            assert isinstance(slot, Slot) and all(isinstance(e, Entry) for e in slot.entries)
            forms = [entry.forms for entry in slot.entries]
            assert len(set(forms)) == len(forms), name
        assert not any(text.startswith("{") for text in getattr(found, "TEMPLATES", ()))
    assert not set(words.WOMEN) & set(words.MEN)


def test_an_unknown_starter_task_is_refused():
    with pytest.raises(ConfigError, match="'starter_chess' is no starter task; known: starter_"):
        starter.draw("starter_chess", 1, 1, 1, tasks.fit(None, 1))


def tiny_llama(folders, folder):
    """A random Llama of two layers with the tokenizer of that style."""
    from transformers import LlamaConfig, LlamaForCausalLM

    loaded = tokenizer.load(folders["llama"])
    config = LlamaConfig(
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, hidden_size=16,
        intermediate_size=24, vocab_size=loaded.size, max_position_embeddings=CONTEXT,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((folders["llama"] / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def mine(folders, tmp_path_factory):
    return tiny_llama(folders, tmp_path_factory.mktemp("mine") / "model")


def completed(models, **more):
    config = configuration.complete({"models": models} | more, DEFAULTS)
    configuration.validate(config, SCHEMA)
    configuration.check(config)
    return config


def test_a_path_and_nothing_else_gives_starter_tasks(mine):
    example = configuration.read_yaml(ROOT / "config/examples/local.yaml")
    assert list(example) == ["models"] and list(example["models"]["mine"]) == ["path"]
    config = completed({"mine": {"path": str(mine)}})
    assert config["tasks"] == starter.tasks()
    assert config["attributions"]["tasks"] == list(config["tasks"])
    assert model_tasks.tasks_of(config, "mine") == list(starter.tasks())
    assert configuration.metric_of(config, "later_year") == "probability_difference"


def test_models_from_here_and_elsewhere_each_get_the_tasks_in_their_words(mine):
    config = completed({"mine": {"path": str(mine)}, "demo": {"train": {}}})
    assert model_tasks.tasks_of(config, "mine") == list(starter.tasks())
    assert model_tasks.tasks_of(config, "demo") == list(DEFAULTS["tasks"])
    assert model_tasks.mixture_of(config, "mine") == list(starter.tasks())
    assert completed({"demo": {"train": {}}})["tasks"] == DEFAULTS["tasks"]


def test_a_model_trained_here_cannot_be_given_a_starter_task():
    with pytest.raises(ConfigError, match="'x' is in the words of another model .*micro-language"):
        completed(
            {"demo": {"train": {}, "tasks": ["x"]}}, tasks={"x": {"generator": starter.names()[0]}}
        )


def test_the_literal_lines_are_planned_to_the_report(mine, tmp_path):
    """The whole of config/examples/local.yaml, with the folder that is there."""
    text = (ROOT / "config/examples/local.yaml").read_text()
    (tmp_path / "five.yaml").write_text(text.replace("/data/my-model", str(mine)))
    command = [*quick_command(tmp_path, config=str(tmp_path / "five.yaml")), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rule make_task:") == len(starter.tasks())
    assert "results/report.html" in done.stdout


@pytest.mark.slow
def test_five_lines_run_to_the_report_with_refused_tasks_named(shared_data, tmp_path):
    """On a real model of 512 tokens: most words are several tokens, so most tasks are refused."""
    quick = yaml.safe_load((ROOT / "tests/config/quick.yaml").read_text())
    sizes = ("competence", "circuits", "evaluation", "specificity", "graph", "sbm", "partitions",
             "cards")  # fmt: skip
    faster = {name: quick[name] for name in sizes} | {
        "corpus": {"language": True, "documents": 200, "tokens": 4000},
        "pairs": {"discovery": 12, "heldout": 20},
        "activations": {"sites": ["attn.1", "mlp.1"]},
        "report": {"circuits": ["heads", "rois_attribution"]},
    }
    parts = ["modules", "heads", "rois", "rois_attribution", "random"]
    for section in ("circuits", "evaluation"):
        faster[section] = {**quick[section], "partitions": parts}
    faster["circuits"]["exact"] = ["heads"]
    (tmp_path / "faster.yaml").write_text(yaml.safe_dump(faster))
    model = {"models": {"mine": {"path": str(shared_data / "stories260k")}}}
    (tmp_path / "five.yaml").write_text(yaml.safe_dump(model))
    command = quick_command(tmp_path, config=str(tmp_path / "five.yaml"))
    done = subprocess.run(
        [*command, str(tmp_path / "faster.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    judged = {
        name: json.loads((tmp_path / f"results/mine/tasks/{name}.competence.json").read_text())
        for name in starter.tasks()
    }
    assert judged["gendered_pronoun"]["competent"]
    for name in ("indirect_object", "later_year", "verb_agreement"):
        assert judged[name]["splits"]["heldout"]["pairs"] == 0
        assert "are one token in context" in judged[name]["reason"]
    page = (tmp_path / "results/report.html").read_text(encoding="utf-8")
    assert "Words of the starter tasks" in page and "the task needs 60" in page
