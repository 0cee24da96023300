"""Corpora of every format: the same documents, labels carried along, every faulty row named."""

import json
import re
import subprocess
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import built_tokenizers
from conftest import ROOT, SCRIPTS
from connectome import arrays, configuration, corpus, language, tables, text_rows, tokenizer
from connectome.errors import ConfigError, DataError

DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
SCHEMA = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
TEXTS = ["NA", "a line\nand another", "tést “x”", "null", "the end."]
LABELS = ["sport", None, "art", "sport", "art"]
ROWS = [{"body": text, "topic": label} for text, label in zip(TEXTS, LABELS, strict=True)]
COLUMNS = {"text": "body", "label": "topic", "classes": ["sport", "art"]}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bytes")
    return tokenizer.load(built_tokenizers.save(built_tokenizers.gpt2(300), None, folder))


def lines(rows, end="\n"):
    return "".join(json.dumps(row) + end for row in rows)


def write(path, rows):
    """A file or data set folder of rows in each form that the configuration can name."""
    if path.name == "bom.jsonl":
        path.write_bytes(b"\xef\xbb\xbf" + lines(rows, "\r\n").encode())
        return {"file": str(path)}
    if path.suffix == ".jsonl":
        path.write_text(lines(rows), encoding="utf-8")
        return {"file": str(path)}
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
        return {"file": str(path)}
    path.mkdir()
    for split, some in (("train", rows), ("test", rows[:1])):
        if path.name == "folder":
            pq.write_table(pa.Table.from_pylist(some), path / f"{split}.parquet")
        else:
            (path / f"{split}.jsonl").write_text(lines(some))
    return {"dataset": str(path)}


FORMS = ("a.jsonl", "bom.jsonl", "a.parquet", "folder", "of_jsonl")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_documents_and_labels(tmp_path, form):
    settings = write(tmp_path / form, ROWS) | COLUMNS
    found = list(corpus.read(settings))
    assert [document.text for document in found] == TEXTS
    assert [document.label for document in found] == LABELS
    assert [document.place for document in found][:2] == ["row 1", "row 2"]


def test_a_split_of_a_data_set_is_read_alone(tmp_path):
    settings = write(tmp_path / "folder", ROWS) | {"split": "test", "text": "body"}
    assert [document.text for document in corpus.read(settings)] == TEXTS[:1]


def test_class_numbers_of_a_data_set_become_its_names(tmp_path):
    import datasets

    feature = datasets.Features(
        {"body": datasets.Value("string"), "topic": datasets.ClassLabel(names=["art", "sport"])}
    )
    rows = {"body": ["x", "y"], "topic": [1, 0]}
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_dict(rows, features=feature).to_parquet(tmp_path / "set/train.parquet")
    found = corpus.read({"dataset": str(tmp_path / "set")} | COLUMNS)
    assert [document.label for document in found] == ["sport", "art"]


def test_an_id_is_read_from_the_snapshot_in_the_local_cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "datasets--me--mine"
    (place / "refs").mkdir(parents=True)
    (place / "refs/main").write_text(commit)
    (place / "snapshots").mkdir()
    write(place / "snapshots" / commit, ROWS)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for revision in ({}, {"revision": commit}):
        found = corpus.read({"dataset": "me/mine", "text": "body"} | revision)
        assert [document.text for document in found] == TEXTS


def test_blank_texts_are_left_out_and_whole_numbers_may_be_classes(tmp_path):
    rows = [{"text": text, "label": i % 2} for i, text in enumerate(["a", "", " \n", "b"])]
    settings = write(tmp_path / "a.jsonl", rows) | {"label": "label", "classes": [0, 1]}
    assert [(d.text, d.label) for d in corpus.read(settings)] == [("a", "0"), ("b", "1")]


def test_all_faulty_rows_are_named_in_one_message(tmp_path):
    good = json.dumps({"body": "x", "topic": "art"}).encode()
    path = tmp_path / "bad.jsonl"
    path.write_bytes(
        b"\n".join(
            [
                good,
                b'{"body": "x", "topic": "chess"}',
                b'{"body": 5}',
                b'{"topic": "art"}',
                b"not json",
                b'["x"]',
                b'{"body": "\xff\xfe"}',
                b'{"body": null}',
                b"",
                good,
            ]
        )
    )
    with pytest.raises(DataError) as caught:
        list(corpus.read({"file": str(path)} | COLUMNS))
    message = str(caught.value)
    assert message.startswith(f"{path}: 7 faulty rows")
    for place, fault in {
        "row 2": "label 'chess' is none of corpus.classes: sport, art",
        "row 3": "'body' is not text: 5",
        "row 4": "'body' is missing; the row has topic",
        "row 5": "not a JSON object",
        "row 6": "not a JSON object: ['x']",
        "row 7": "not UTF-8",
        "row 8": "'body' is not text: None",
    }.items():
        [line] = [line for line in message.splitlines() if line.strip().startswith(f"{place}:")]
        assert fault in line
    assert "row 1:" not in message and "row 10:" not in message


def test_many_faulty_rows_are_named_up_to_a_limit(tmp_path):
    settings = write(tmp_path / "a.jsonl", [{"other": i} for i in range(500)])
    with pytest.raises(DataError) as caught:
        list(corpus.read(settings))
    assert "the first 20 faulty rows" in str(caught.value)
    assert str(caught.value).count("\n") == 20


@pytest.mark.parametrize("form", ["a.parquet", "folder"])
def test_a_missing_column_is_named_with_those_that_are_there(tmp_path, form):
    settings = write(tmp_path / form, ROWS) | {"text": "texts"}
    with pytest.raises(DataError, match="has no column 'texts'; it has body, topic"):
        list(corpus.read(settings))


def test_what_is_not_there_is_one_sentence_and_nothing_is_asked_of_a_network(tmp_path):
    """In an interpreter of its own, whose environment says nothing of being offline."""
    write(tmp_path / "folder", ROWS)
    code = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from connectome import corpus\n"
        "from connectome.errors import DataError\n"
        "for name, split in (('no/such-set', 'train'), ('folder', 'dev')):\n"
        "    try:\n"
        "        list(corpus.read({'dataset': name, 'split': split, 'text': 'body'}))\n"
        "    except DataError as error:\n"
        "        print(error)\n"
        "import huggingface_hub.constants as c\n"
        "print(c.HF_HUB_OFFLINE)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "PATH": "/usr/bin:/bin"},
        timeout=60,
    )  # fmt: skip
    missing, split, offline = done.stdout.splitlines()
    assert "'no/such-set', split 'train', is neither a folder here nor readable in the" in missing
    assert "'folder', split 'dev', cannot be read: Bad split: dev. Available splits" in split
    assert offline == "True"


def test_formats_that_can_hold_code_are_refused(tmp_path):
    import pandas

    for name in ("pickled", "script", "archive"):
        (tmp_path / name).mkdir()
    pandas.DataFrame({"text": ["x"]}).to_pickle(tmp_path / "pickled/train.pkl")
    (tmp_path / "script/script.py").write_text("raise SystemExit('run')\n")
    with tarfile.open(tmp_path / "archive/train.tar", "w") as archive:
        archive.add(tmp_path / "pickled/train.pkl", "a.pkl")
    for name, said in {
        "pickled": "No .* data files found",
        "script": "scripts are no longer supported",
        "archive": "is held as 'webdataset', which is not read here",
    }.items():
        with pytest.raises(DataError, match=f"corpus.dataset: .*{name}.*{said}"):
            list(corpus.read({"dataset": str(tmp_path / name)}))


def test_reading_stops_at_the_limits(tmp_path, words):
    """The faulty row behind the limit is never reached, so a large file is not read to its end."""
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"text": "a b"}] * 50) + "not json\n")
    columns = corpus.encode(corpus.read({"file": str(path)}), words, 64, 20, 1000)
    assert columns["document"] == list(range(20))
    with pytest.raises(DataError, match="row 51"):
        corpus.encode(corpus.read({"file": str(path)}), words, 64, 100, 1000)
    pq.write_table(pa.table({"text": ["x y z"] * 5000}), tmp_path / "a.parquet", row_group_size=100)
    rows = text_rows.read_parquet(tmp_path / "a.parquet", ["text"])
    assert next(rows) == ("row 1", {"text": "x y z"})


def test_documents_with_words_that_have_no_token_are_named(tmp_path):
    made = built_tokenizers.unigram()
    loaded = tokenizer.load(built_tokenizers.save(made, None, tmp_path))
    rows = [corpus.Document(text, place=f"row {i}") for i, text in enumerate(["the", "Ж", "щ"], 1)]
    with pytest.raises(DataError) as caught:
        corpus.encode(rows, loaded, 16, 9, 99, "my.jsonl")
    assert "my.jsonl: 2 faulty rows" in str(caught.value)
    assert re.search(r"row 2: 'Ж' is outside the vocabulary", str(caught.value))


def test_windows_line_ends_and_marks_make_the_same_paragraphs(tmp_path):
    plain, windows = tmp_path / "a.txt", tmp_path / "b.txt"
    plain.write_bytes("One day,\nit rained.\n\nThe énd.".encode())
    windows.write_bytes("\ufeffOne day,\r\nit rained.\r\n\r\nThe énd.\r\n".encode())
    found = [[d.text for d in corpus.read({"file": str(path)})] for path in (plain, windows)]
    assert found[0] == found[1] == ["One day, it rained.", "The énd."]


def make(folder, words, settings):
    """The corpus that the script makes for a model of a byte-level tokenizer."""
    (folder / "model").mkdir()
    built_tokenizers.save(words.backend, None, folder / "model")
    record = {"directory": "model", "context": 8, "layers": 1}
    arrays.write_json(folder / "model.json", record, {})
    cfg = json.dumps({"corpus": settings, "seed": 1})
    command = [sys.executable, str(SCRIPTS / "make_corpus.py"), "--model", "model.json",
               "--output", "corpus.parquet", "--cfg", cfg, "--code", "{}"]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tables.read_table(folder / "corpus.parquet")


def test_make_corpus_writes_labels_and_classes(tmp_path, words):
    settings = write(tmp_path / "a.jsonl", ROWS) | COLUMNS | {"documents": 4, "tokens": 100}
    table = make(tmp_path, words, settings)
    assert table["label"].to_pylist() == LABELS[:4]
    assert table.schema.field("label").type == pa.string()
    assert tables.read_meta(tmp_path / "corpus.parquet")["classes"] == ["sport", "art"]


def test_documents_of_the_micro_language_are_labelled_by_their_kind(tmp_path, words):
    table = make(tmp_path, words, {"language": True, "documents": 40, "tokens": 400})
    made = [(document.text, document.family) for document in language.corpus(1, 40)]
    assert list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)) == made
    kinds = tables.read_meta(tmp_path / "corpus.parquet")["classes"]
    assert kinds == sorted({kind for _, kind in made}) and len(kinds) > 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"file": "a.txt", "text": "body"}, "corpus.text: only JSONL and Parquet files and data"),
        ({"file": "a.jsonl", "split": "x"}, "corpus.split: only a `dataset` has one"),
        ({"file": "a.jsonl", "label": "x"}, "corpus: .*label and classes stand together"),
        ({"dataset": "x", "classes": ["a", "b"]}, "corpus: .*label and classes stand together"),
        ({"dataset": "x", "file": "a.jsonl"}, "corpus: .*exactly one of language"),
        ({"dataset": "x", "label": "l", "classes": ["a"]}, "corpus.classes: .*at least two"),
        ({"dataset": "x", "label": "l", "classes": [True, False]}, "corpus.classes.0: true .*quot"),
        ({"dataset": "~/x"}, "corpus.dataset: '~/x' cannot be used"),
        ({"file": "no.parquet"}, "corpus.file: 'no.parquet' is missing"),
    ],
)
def test_keys_that_do_not_fit_are_named_before_any_job(tmp_path, monkeypatch, changes, said):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "a.jsonl"):
        (tmp_path / name).write_text("x")
    config = configuration.complete({"corpus": {"documents": 1, "tokens": 1} | changes}, DEFAULTS)
    with pytest.raises(ConfigError) as caught:
        configuration.validate(config, SCHEMA)
        configuration.check(config)
    assert re.search(said, str(caught.value)), str(caught.value)
