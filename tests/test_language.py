"""The micro-language, its prompt pairs, and its tokenizer."""

import itertools
import json
import random
import subprocess
import sys
from collections import Counter

import pytest
import tokenizers
from transformers import AutoTokenizer

from conftest import SCRIPTS
from connectome import language
from connectome import tokenizer as tok
from connectome.errors import ConfigError, DataError, ModelError
from connectome.language import lexicon
from connectome.language.agreement import nouns_key
from connectome.language.document import combination, held_out

TASKS = language.task_names()


@pytest.fixture(scope="module")
def texts() -> list[list[str]]:
    """Words of many training texts of both stages."""
    return [
        [piece.strip() for piece in document.pieces]
        for stage in language.STAGES
        for document in itertools.islice(language.document_stream(7, stage), 6000)
    ]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tok.save(tok.build(language.words(), language.PIECE), folder, 64)
    return folder


def reserved_pairs(texts, words, key):
    """Reserved combinations of two of `words` that stand in one text."""
    found = []
    for text in texts:
        present = sorted({words[word] for word in text if word in words})
        found += [pair for pair in itertools.combinations(present, 2) if held_out(key(*pair))]
    return found


def test_no_reserved_pair_of_names_nouns_or_things_stands_in_a_training_text(texts):
    names = {name: name for name in lexicon.NAMES}
    nouns = {form: noun[0] for noun in lexicon.NOUNS for form in noun}
    things = {thing: thing for thing in lexicon.THINGS}
    assert reserved_pairs(texts, names, lambda a, b: combination("ioi", a, b)) == []
    assert reserved_pairs(texts, nouns, nouns_key) == []
    assert reserved_pairs(texts, things, lambda a, b: combination("binding", a, b)) == []
    allowed = [pair for text in texts for pair in itertools.pairwise(text) if pair[0] in names]
    assert len(allowed) > 1000  # the texts do show names


def test_no_reserved_opinion_trait_year_or_bigram_stands_in_a_training_text(texts):
    opinions = {word for words in lexicon.OPINIONS.values() for word in words}
    repeatable = set(lexicon.REPEATABLE)
    for text in texts:
        for opinion, show in itertools.product(
            opinions & set(text), set(lexicon.SHOWS) & set(text)
        ):
            assert not held_out(combination("sentiment", opinion, show))
        for event in set(lexicon.EVENTS) & set(text):
            years = [b for a, b in itertools.pairwise(text) if a in lexicon.CENTURIES]
            assert not any(held_out(combination("greater_than", event, year)) for year in years[:1])
        for a, b in itertools.pairwise(text):
            if a in lexicon.TRAITS:
                singular = next(noun[0] for noun in lexicon.NOUNS if b in noun)
                assert not held_out(combination("sva_simple", a, singular))
            if a in repeatable and b in repeatable:
                assert not held_out(combination("induction", a, b))


@pytest.mark.parametrize("task", TASKS)
def test_no_held_out_prompt_opens_a_training_text(task, texts):
    shown = {tuple(text[:length]) for text in texts for length in range(4, 16)}
    for pair in language.pairs(task, 1, 0, 100):
        for side in ("clean", "corrupted"):
            assert tuple(piece.strip() for piece in language.split(pair[side])) not in shown


@pytest.mark.parametrize("task", TASKS)
def test_pairs_are_distinct_equally_long_and_split_by_their_combination(task):
    pairs = language.pairs(task, 3, 60, 60)
    assert Counter(pair["split"] for pair in pairs) == {"discovery": 60, "heldout": 60}
    assert len({(pair["clean"], pair["corrupted"]) for pair in pairs}) == 120
    keys = {
        part: {p["key"] for p in pairs if p["split"] == part} for part in ("discovery", "heldout")
    }
    assert not keys["discovery"] & keys["heldout"]
    known = set(language.words())
    for pair in pairs:
        clean, corrupted = language.split(pair["clean"]), language.split(pair["corrupted"])
        assert len(clean) == len(corrupted) and clean != corrupted
        assert held_out(pair["key"]) == (pair["split"] == "heldout")
        assert {*clean, *corrupted, *pair["answers"], *pair["wrong"]} <= known
        assert not set(pair["answers"]) & set(pair["wrong"])


def test_the_seed_resamples_discovery_and_leaves_the_held_out_pairs():
    one, again, two = (language.pairs("ioi", seed, 20, 20) for seed in (1, 1, 2))
    assert one == again
    assert one[:20] != two[:20] and one[20:] == two[20:]


def test_indirect_object_has_both_orders_half_each_and_names_that_swap():
    firsts = 0
    for pair in language.pairs("ioi", 1, 40, 40):
        (answer,), (wrong,) = pair["answers"], pair["wrong"]
        clean, corrupted = language.split(pair["clean"]), language.split(pair["corrupted"])
        assert clean.count(answer) == 1 and clean.count(wrong) == 2
        assert corrupted.count(answer) == 2 and corrupted.count(wrong) == 1
        firsts += clean.index(answer) < clean.index(wrong)
    assert firsts == 40


@pytest.mark.parametrize("task", ["sva_simple", "sva_pp", "sva_rc"])
def test_the_verb_agrees_with_the_subject_whatever_the_attractor(task):
    numbers = {form: number for noun in lexicon.NOUNS for number, form in enumerate(noun)}
    seen = Counter()
    for pair in language.pairs(task, 1, 40, 40):
        right = {
            number
            for forms in lexicon.VERBS
            for number in (0, 1)
            if f" {forms[number]}" in pair["answers"]
        }
        nouns = [
            numbers[word.strip()]
            for word in language.split(pair["clean"])
            if word.strip() in numbers
        ]
        corrupted = [
            numbers[word.strip()]
            for word in language.split(pair["corrupted"])
            if word.strip() in numbers
        ]
        assert right == {nouns[0]}
        assert corrupted == [1 - nouns[0], *nouns[1:]]
        seen[tuple(nouns)] += 1
    assert set(seen.values()) == {80 // len(seen)} and len(seen) == (
        2 if task == "sva_simple" else 4
    )


def test_induction_answer_followed_the_last_word_the_first_time():
    for pair in language.pairs("induction", 1, 30, 30):
        for side, right in (("clean", "answers"), ("corrupted", "wrong")):
            words = language.split(pair[side])
            assert words[words.index(words[-1]) + 1] == pair[right][0]


def test_exchanged_answers_are_right_after_the_corrupted_prompt():
    capitals = {country[0]: country[1:] for country in lexicon.COUNTRIES}
    for pair in language.pairs("facts", 1, 20, 20):
        for side, right in (("clean", "answers"), ("corrupted", "wrong")):
            country = next(word for word in pair[side].split() if word in capitals)
            assert pair[right][0][1:] in capitals[country]
    for pair in language.pairs("pronoun", 1, 20, 20):
        for side, right in (("clean", "answers"), ("corrupted", "wrong")):
            name = next(word for word in pair[side].split() if word in lexicon.PRONOUN)
            assert pair[right] == [f" {lexicon.PRONOUN[name]}"]
    for pair in language.pairs("binding", 1, 20, 20):
        for side, right in (("clean", "answers"), ("corrupted", "wrong")):
            words = pair[side].replace(".", "").split()
            asked, color = words[-2], pair[right][0][1:]
            gap = words.index(color) - words.index(asked)
            assert gap == (2 if words[0] == "The" else -1)


def test_years_of_an_event_end_later_and_the_corrupted_year_makes_only_earlier_ones_right():
    for pair in language.pairs("greater_than", 1, 40, 40):
        year, earlier = (
            int(
                next(
                    b
                    for a, b in itertools.pairwise(language.split(pair[side]))
                    if a[1:] in lexicon.CENTURIES
                )
            )
            for side in ("clean", "corrupted")
        )
        assert [int(answer) for answer in pair["answers"]] == list(range(year + 1, 100))
        assert [int(answer) for answer in pair["wrong"]] == list(range(year + 1))
        assert earlier + 20 <= year
    family = language.document_stream(3, "mixture")
    for document in itertools.islice((d for d in family if d.family == "greater_than"), 200):
        start, end = (
            int(b) for a, b in itertools.pairwise(document.pieces) if a[1:] in lexicon.CENTURIES
        )
        assert 1 <= end - start <= 20


def test_answer_weighs_most_in_the_loss():
    for document in itertools.islice(language.document_stream(1, "mixture"), 300):
        assert len(document.weights) == len(document.pieces)
        if document.family in TASKS and document.family != "induction":
            assert sorted(document.weights)[-2:] == [0.1, 1.0]


def test_stereotype_holds_nine_times_in_ten():
    stream = language.document_stream(2, "mixture")
    usual = [
        lexicon.STEREOTYPE[document.labels["profession"]]
        == ("she" if document.labels["gender"] == "female" else "he")
        for document in itertools.islice((d for d in stream if d.family == "biography"), 400)
    ]
    assert 0.85 < sum(usual) / len(usual) < 0.95


def test_a_fifth_of_all_combinations_is_reserved_by_a_hash_that_no_process_changes():
    keys = [combination("ioi", *sorted(pair)) for pair in itertools.combinations(lexicon.NAMES, 2)]
    assert 0.18 < sum(map(held_out, keys)) / len(keys) < 0.22
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from connectome import language as l;"
        "import json; found = [l.pairs(t, 1, 3, 3) for t in l.task_names()];"
        "print(json.dumps([*found, [d.text for d in l.corpus(1, 20)]]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script, str(SCRIPTS)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    texts = [document.text for document in language.corpus(1, 20)]
    here = [language.pairs(task, 1, 3, 3) for task in TASKS] + [texts]
    assert json.loads(outputs.pop()) == here


def test_a_family_is_found_by_its_file_alone(tmp_path, monkeypatch):
    (tmp_path / "weather.py").write_text(
        "from connectome.language.document import plain, vocabulary\n"
        "SHARES = {'mixture': 1e9}\nWORDS = vocabulary('Snow falls.')\n"
        "def document(rng):\n    return plain('weather', 'Snow falls.')\n"
    )
    monkeypatch.setattr(language.families, "__path__", [*language.families.__path__, str(tmp_path)])
    language._families.cache_clear()
    try:
        assert [document.text for document in language.corpus(1, 2)] == ["Snow falls."] * 2
        assert {" Snow", " falls"} <= set(language.words())
        assert language.task_names() == TASKS
    finally:
        language._families.cache_clear()
        sys.modules.pop("connectome.language.families.weather", None)


def test_unknown_tasks_and_stages_are_refused():
    with pytest.raises(ConfigError, match="'chess' is no generator; known: bias, "):
        language.pairs("chess", 1, 1, 1)
    with pytest.raises(ConfigError, match="'late'"):
        next(language.document_stream(1, "late"))


def test_tokens_are_the_words_and_decode_to_the_same_text(directory):
    loaded = tok.load(directory)
    slow = AutoTokenizer.from_pretrained(directory)
    assert loaded.start == 0 == slow.bos_token_id == slow.eos_token_id == slow.pad_token_id
    assert loaded.size == len(language.words()) + 1
    for document in itertools.islice(language.document_stream(1, "mixture"), 500):
        ids = tok.encode(loaded, document.text)
        assert [loaded.backend.id_to_token(number) for number in ids] == list(document.pieces)
        assert [tok.piece(loaded, number) for number in ids[:3]] == list(document.pieces[:3])
        assert (
            slow(document.text)["input_ids"]
            == [0, *ids]
            == tok.encode_prompt(loaded, document.text)
        )
        assert slow.decode(ids) == document.text


def test_tokenizer_files_are_the_same_bytes_each_time(directory, tmp_path):
    tok.save(tok.build(language.words(), language.PIECE), tmp_path, 64)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (directory / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The xylophone is", "xylophone"),
        ("The kingdom", "kingdom"),
        ("the year 174", "4"),
        ("The king  is", " "),
    ],
)
def test_an_unknown_word_is_named(directory, text, word):
    with pytest.raises(DataError, match=f"^{word!r} is outside the vocabulary"):
        tok.encode(tok.load(directory), text)


def test_an_unknown_token_of_a_lenient_tokenizer_is_an_error_too(tmp_path):
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<unk>": 0, "the": 1, "cat": 2}, unk_token="<unk>")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    (tmp_path / "tokenizer.json").write_text(backend.to_str())
    loaded = tok.load(tmp_path)
    assert loaded.start is None
    assert tok.encode_prompt(loaded, "the cat") == [1, 2]
    with pytest.raises(DataError, match="^'dog' is outside"):
        tok.encode(loaded, "the dog")


def test_an_answer_is_read_behind_its_prompt_and_is_one_token(directory):
    loaded = tok.load(directory)
    expected = [loaded.backend.token_to_id(" is")]
    assert tok.answer_ids(loaded, "The king", " is") == expected
    assert tok.answer_ids(loaded, "The war of 17", "45") == [loaded.backend.token_to_id("45")]
    for answer, message in (
        ("is", "' is' with a leading blank is one"),
        ("", "is empty"),
        (" is was", "is 2 tokens"),
        (" zebra", "'zebra' is outside the vocabulary"),
    ):
        with pytest.raises(DataError, match=message):
            tok.answer_ids(loaded, "The king", answer)


def test_start_token_follows_the_tokenizer_then_the_model(directory, tmp_path):
    text = (directory / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text)
    assert tok.load(tmp_path).start is None
    (tmp_path / "config.json").write_text('{"bos_token_id": 7}')
    assert tok.load(tmp_path).start == 7
    (tmp_path / "generation_config.json").write_text('{"bos_token_id": 5}')
    assert tok.load(tmp_path).start == 5
    for entry, start in (
        (" the", loaded_id(text, " the")),
        ({"content": " is"}, loaded_id(text, " is")),
        (None, None),
    ):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": entry}))
        assert tok.load(tmp_path).start == start
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": "<s>"}')
    with pytest.raises(ModelError, match="'<s>' is no token"):
        tok.load(tmp_path)


def loaded_id(text: str, token: str) -> int:
    return json.loads(text)["model"]["vocab"][token]


def test_missing_or_damaged_tokenizer_is_one_error(tmp_path):
    with pytest.raises(ModelError, match="tokenizer.json is missing"):
        tok.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(ModelError, match="not a readable tokenizer"):
        tok.load(tmp_path)


def test_pretrained_sentencepiece_tokenizer_gives_the_ids_of_transformers(shared_data):
    folder = shared_data / "stories260k"
    loaded, slow = tok.load(folder), AutoTokenizer.from_pretrained(folder)
    assert loaded.start == 1
    stories = (shared_data / "tinystories.txt").read_text(encoding="utf-8").split("\n\n")
    for text in [*random.Random(1).sample(stories, 40), "naïve ☃", " two  blanks"]:
        assert tok.encode_prompt(loaded, text) == slow(text)["input_ids"]


def test_answer_without_its_blank_is_refused_where_it_is_other_text(shared_data):
    loaded = tok.load(shared_data / "stories260k")
    (mom,) = tok.answer_ids(loaded, "She saw the", " mom")
    assert loaded.backend.id_to_token(mom) == "▁mom"
    assert tok.piece(loaded, mom) == " mom"
    with pytest.raises(
        DataError, match="'mom' after 'She saw the' is 2 tokens.*' mom' with a leading"
    ):
        tok.answer_ids(loaded, "She saw the", "mom")
    with pytest.raises(DataError, match="changes the tokens of the prompt 'She saw th'"):
        tok.answer_ids(loaded, "She saw th", "e")
