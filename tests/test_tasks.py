"""Prompt files: the same rows from every format, every faulty row named, disjoint splits."""

import json

import pytest

from connectome import corpus, tasks
from connectome.errors import DataError
from connectome.language import PIECE
from connectome.tasks import Pair

WORDS = ["NA", "None", "null", "nan", "True", "inf", "Inf", "NULL"]
COUNTS = {"discovery": 100, "heldout": 100}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A small word-level tokenizer made by the product's own builder."""
    from connectome import tokenizer as module

    folder = tmp_path_factory.mktemp("tokenizer")
    words = [" the", " cat", " dog", " sees", " likes", " a", " b", " c", " d", "."]
    backend = module.build([*words, *(f" {word}" for word in WORDS)], PIECE)
    module.save(backend, folder, context=16)
    return module.load(folder)


def rows():
    ends = (" a", " b", " c", " d", " the", " a a", " b b", " c c")
    return [
        {
            "clean": f"the cat sees{end}",
            "corrupted": f"the dog sees{end}",
            "answers": f" {word}",
            "wrong": " cat",
        }
        for end, word in zip(ends, WORDS, strict=True)
    ]


def write(path, records, bom=False):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path
    quote = {
        record: '"' + record.replace('"', '""') + '"' for row in records for record in row.values()
    }
    lines = ["clean,corrupted,answers,wrong"]
    lines += [",".join(quote[row[name]] for name in row) for row in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig" if bom else "utf-8")
    return path


def test_words_stay_words_in_every_format(tmp_path):
    plain = tasks.read_pairs(write(tmp_path / "a.csv", rows()))
    spreadsheet = tasks.read_pairs(write(tmp_path / "b.csv", rows(), bom=True))
    lines = tasks.read_pairs(write(tmp_path / "c.jsonl", rows()))
    assert [pair.answers for pair in plain] == [(f" {word}",) for word in WORDS]
    strip = [(p.clean, p.corrupted, p.answers, p.wrong) for p in plain]
    for other in (spreadsheet, lines):
        assert [(p.clean, p.corrupted, p.answers, p.wrong) for p in other] == strip


def test_encoded_pairs_fall_into_disjoint_splits(tmp_path, tokenizer):
    pairs = [
        Pair(f"the{x}{y} sees", f"the{y}{x} likes", (x,), (y,), place=f"{x}{y}")
        for x in (" a", " b", " c", " d", " cat", " dog")
        for y in (" a", " b", " c", " d", " cat", " dog")
        if x != y
    ]
    columns = tasks.encode(pairs, tokenizer, 16, COUNTS, 0.4, "test")
    split_of = dict(zip(columns["clean"], columns["split"], strict=True))
    assert len(split_of) == len(pairs) == len(columns["pair"])
    assert 0.15 < columns["split"].count("heldout") / len(pairs) < 0.65
    fewer = tasks.encode(pairs, tokenizer, 16, {"discovery": 3, "heldout": 2}, 0.4, "test")
    assert fewer["split"] == ["discovery"] * 3 + ["heldout"] * 2
    assert fewer["clean"][:3] == columns["clean"][:3]


def test_every_faulty_row_is_named_in_one_message(tokenizer):
    good = Pair("the cat", "the dog", (" a",), (" b",), "discovery", place="row 2")
    faulty = [
        good,
        Pair("the cat sees", "the dog", (" a",), (" b",), place="row 3"),
        Pair("the cat", "the dog", ("a",), (" b",), place="row 4"),
        Pair("the zebra", "the dog", (" a",), (" b",), place="row 5"),
        Pair("the cat", "the dog", (" a",), (" b",), "discovery", place="row 6"),
        Pair("the cat" + " a" * 20, "the dog" + " a" * 20, (" a",), (" b",), place="row 7"),
        Pair("the cat", "the dog", (" a", " b"), (" b",), "discovery", place="row 8"),
        Pair("the cat", "the cat", (" a",), (" c",), "discovery", place="row 9"),
        Pair("the cat", "the dog", (" d",), (" c",), "heldout", place="row 10"),
    ]
    with pytest.raises(DataError) as caught:
        tasks.encode(faulty, tokenizer, 16, COUNTS, 0.4, "file.csv")
    message = str(caught.value)
    assert message.startswith("file.csv: 8 faulty rows")
    for place, fault in {
        "row 3": "unequal|equal lengths",
        "row 4": "blank",
        "row 5": "zebra",
        "row 6": "the same pair as row 2",
        "row 7": "context is 16",
        "row 8": "both a right and a wrong",
        "row 9": "are the same",
        "row 10": "both splits",
    }.items():
        [line] = [line for line in message.splitlines() if line.strip().startswith(f"{place}:")]
        assert any(word in line for word in fault.split("|")), line
    assert "row 2:" not in message


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"answers": []}, "row 1: 'answers' is empty"),
        ({"wrong": None}, "row 1: 'wrong' is missing"),
        ({"answers": 5}, "neither text nor a list"),
        ({"split": "test"}, "neither 'discovery' nor 'heldout'"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, keys, said):
    path = tmp_path / "task.jsonl"
    row = {"clean": "a", "corrupted": "b", "answers": " x", "wrong": " c"}
    path.write_text(json.dumps({**row, **keys}))
    with pytest.raises(DataError, match=said):
        tasks.read_pairs(path)


@pytest.mark.parametrize(
    ("text", "said"), [("not json", "row 1: not a JSON object"), ("", "holds no prompt pairs")]
)
def test_a_file_that_holds_no_pairs_is_refused(tmp_path, text, said):
    (tmp_path / "task.jsonl").write_text(text)
    with pytest.raises(DataError, match=said):
        tasks.read_pairs(tmp_path / "task.jsonl")


def test_an_empty_split_is_refused(tokenizer):
    pair = Pair("the cat", "the dog", (" a",), (" b",), "heldout", place="row 2")
    with pytest.raises(DataError, match="no pair fell into the split 'discovery'"):
        tasks.encode([pair], tokenizer, 16, COUNTS, 0.4, "file.csv")


def test_documents_are_paragraphs(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\ufeffOne day,\nit rained.\n\n\n  \nThe end.")
    assert [found.text for found in corpus.read_documents(path)] == [
        "One day, it rained.",
        "The end.",
    ]


@pytest.mark.parametrize("content", [b"", b" \n\n ", b"\xff\xfe\x00"])
def test_an_empty_or_unreadable_corpus_is_refused(tmp_path, content):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match="text.txt"):
        list(corpus.read_documents(path))


def test_a_corpus_stops_at_its_limits_and_cuts_at_the_context(tokenizer):
    texts = ["the cat sees", "the dog", "a b c d a b c d", "the cat"]
    made = [(text, f"kind {len(text)}") for text in texts]
    columns = corpus.encode(corpus.generated(made), tokenizer, 6, documents=9, tokens=14)
    assert [len(ids) for ids in columns["tokens"]] == [4, 3, 6]
    assert columns["text"] == texts[:3]
    assert columns["label"] == ["kind 12", "kind 7", "kind 15"]
    assert corpus.encode(corpus.generated(made), tokenizer, 6, 2, 99)["document"] == [0, 1]
    with pytest.raises(DataError, match="corpus is empty"):
        corpus.encode([], tokenizer, 6, 2, 99)
