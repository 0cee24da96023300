"""The documents say what is: pages in step with the rules, commands, keys, files and links real."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from connectome import configuration
from test_setup import normal

README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/glossary.md"]
STAGES = ROOT / "docs/stages"
DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
SCHEMA = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """{file name: text} of the stage pages as the generator writes them now."""
    folder = tmp_path_factory.mktemp("stages")
    words = [sys.executable, str(ROOT / "workflow/document.py"), "--output", str(folder)]
    subprocess.run(words, check=True, capture_output=True, cwd=folder)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}


def section(page, rule):
    return page.split(f"\n## {rule}\n")[1].split("\n## ")[0]


def keys_of(page, rule):
    line = re.search(r"^- reads of the configuration: (.*)$", section(page, rule), re.M)
    return re.findall(r"`([^`]+)`", line[1])


def test_the_stage_pages_are_in_step_with_rules_schema_and_defaults(generated):
    kept = {path.name: path.read_text(encoding="utf-8") for path in STAGES.glob("*.md")}
    assert kept == generated, "call `make docs`"


def test_every_rule_and_every_key_has_its_place_on_a_stage_page(generated):
    rules = {
        name
        for path in (ROOT / "rules").glob("*.smk")
        for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
    }
    titles = [name for text in generated.values() for name in re.findall(r"^## (\w+)$", text, re.M)]
    assert sorted(n for n in titles if n != "Keys") == sorted(rules)
    rows = {
        key for text in generated.values() for key in re.findall(r"^\| `([\w.]+)` \|", text, re.M)
    }
    for name, value in DEFAULTS.items():
        if name in ("models", "tasks", "dictionaries"):
            assert name in rows
        elif name == "corpus":
            assert {"corpus.documents", "corpus.tokens"} <= rows
        elif isinstance(value, dict) and name not in ("pathvars", "interpreters"):
            assert {f"{name}.{key}" for key in value} - rows == set()


def test_the_keys_of_a_rule_are_those_that_its_cfg_reads(generated):
    assert set(keys_of(generated["data.md"], "make_task")) >= {"pairs", "seed", "tasks"}
    assert "competence" in keys_of(generated["data.md"], "measure_competence")
    assert "pairs" not in keys_of(generated["data.md"], "measure_competence")
    assert keys_of(generated["figures.md"], "plot_competence") == [
        f"figures.{key}" for key in ("column_width", "dpi", "page_width", "palette", "text_width")
    ]
    assert keys_of(generated["tables.md"], "tabulate_models") == []
    cards = keys_of(generated["cards.md"], "describe_rois")
    names = ("firing", "examples", "window", "tokens", "min_count", "partitions")
    assert {f"cards.{name}" for name in names} <= set(cards)
    assert "cards.logits" not in cards and "cards" not in cards


def test_no_page_names_a_path_of_the_machine_that_made_it(generated):
    for text in generated.values():
        assert str(ROOT) not in text and sys.prefix not in text and str(Path.home()) not in text


def test_every_make_target_that_a_document_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = {
        name
        for path in [*WRITTEN, STAGES / "README.md"]
        for name in re.findall(r"(?:`|^    )make ([a-z][a-z-]*)", path.read_text(), re.M)
    }
    assert {"report", "test", "verify", "docs"} <= named <= targets


def test_every_configuration_key_that_a_document_names_exists():
    from_schema = {
        f"{name}.{key}"
        for name, entry in SCHEMA["properties"].items()
        for key in entry.get("properties", {})
    }
    found = {
        key
        for path in WRITTEN
        for key in re.findall(r"`([a-z_]+\.[a-z_]+)`", path.read_text())
        if key.split(".")[0] in SCHEMA["properties"]
    } - {"report.html", "config.yaml"}
    assert found and found <= from_schema


def test_the_readme_s_configurations_pass_the_schema():
    blocks = re.findall(r"(?:^    (?!\s*#).*\n)(?:^    .*\n|^\n(?=    ))*", README, re.M)
    checked = 0
    for block in blocks:
        if block.startswith("    models:"):
            config = yaml.safe_load(block.split("\n    make")[0])
            configuration.validate(configuration.complete(config, DEFAULTS), SCHEMA)
            checked += 1
    assert checked


def test_every_snakemake_target_and_file_that_the_readme_names_exists():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for name in ("activations", "rois", "circuits", "figures", "report"):
        assert f"`{name}`" in README or f" {name}`" in README
        assert f"rule {name}:" in rules
    paths = re.findall(
        r"\b((?:config|workflow|tests|profiles|docs|benchmarks|envs)/[\w./-]+)", README
    )
    for path in {path.rstrip(".") for path in paths}:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", [*WRITTEN, STAGES / "README.md"], ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_the_picture_is_small_enough_to_carry():
    assert 10_000 < (ROOT / "docs/report.png").stat().st_size < 200_000


def test_every_direct_dependency_has_its_licence_in_the_readme():
    table = README.split("| dependency | licence |")[1].split("\n\n")[0]
    named = {normal(word) for word in re.findall(r"[\w-]+", table)}
    for line in (ROOT / "requirements.in").read_text().splitlines():
        if line and not line.startswith("#"):
            assert normal(line.split("#")[0].strip()) in named, line


def test_the_glossary_explains_the_words_in_order_and_in_short():
    text = (ROOT / "docs/glossary.md").read_text()
    entries = dict(re.findall(r"^- \*\*(.+?)\*\*: ((?:.+\n)(?:  .+\n)*)", text, re.M))
    words = list(entries)
    assert words == sorted(words, key=str.lower)
    assert {"model", "site", "dictionary", "partition", "task", "circuit"} <= set(words)
    for word, meaning in entries.items():
        sentences = re.split(r"(?<=\.)\s+", meaning.strip())
        assert meaning.strip().endswith(".") and len(sentences) <= 2, word


def test_the_citation_has_what_cff_1_2_0_requires():
    """Required: cff-version, message, title, authors; the rest must be keys that the schema has."""
    record = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(record)
    optional = {"abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords"}
    optional |= {"license", "license-url", "preferred-citation", "references", "repository", "url"}
    optional |= {"repository-artifact", "repository-code", "type", "version"}
    assert set(record) <= optional | {"cff-version", "message", "title", "authors"}
    assert record["cff-version"] == "1.2.0" and record["type"] in ("software", "dataset")
    assert record["message"].strip() and record["title"].strip()
    for author in record["authors"]:  # an entity has a name; a person any of the other keys
        assert "name" in author or {"family-names", "given-names", "alias"} & set(author)
    assert len(set(record["keywords"])) == len(record["keywords"]) > 0
    assert f'version = "{record["version"]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_licence_is_the_one_that_the_citation_names():
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License\n\nCopyright (c) 2026 The lm-connectome authors\n")
    assert "without restriction" in text and 'THE SOFTWARE IS PROVIDED "AS IS"' in text
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["license"] == "MIT"
