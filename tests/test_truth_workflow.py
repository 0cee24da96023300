"""The truth configuration through the whole workflow: the report names the known heads."""

import re
import subprocess

import pytest

from conftest import quick_command
from connectome import known, tables

pytestmark = pytest.mark.slow

CONFIG = "config/examples/truth.yaml"
BUILDS = {"induction_heads": "induction", "object_heads": "indirect_object"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    done = subprocess.run(
        quick_command(folder, CONFIG), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return folder / "results/truth"


def test_both_models_can_do_their_task_and_only_theirs(results):
    rows = [row for row in tables.read_csv(results / "tables/competence.csv")]
    assert {(row["model"], row["task"]) for row in rows} == {
        ("induction_heads", "known_induction"),
        ("object_heads", "known_object"),
    }
    assert {row["competent"] for row in rows} == {"true"}


def test_every_method_but_the_gradient_at_the_clean_prompt_names_heads_and_edges(results):
    for row in tables.read_csv(results / "tables/truth.csv"):
        if row["partition"] == "heads" and row["truth"] == "label" and row["kind"] != "nodes":
            missed = int(row["positives"]) - int(row["found"])
            at_clean = row["method"] in ("eap", "clean-corrupted") and row["kind"] == "edges"
            assert missed == (1 if at_clean and row["model"] == "object_heads" else 0), row


def test_the_smallest_faithful_circuit_of_heads_is_the_one_that_was_built(results):
    """Circuits are drawn by scores and size alone; these hold every intended edge and no other."""
    rows = tables.read_csv(results / "tables/circuits.csv")
    for model, build in BUILDS.items():
        drawn = {
            f"{row['src']}->{row['dst']}"
            for row in rows
            if row["model"] == model and row["partition"] == "heads"
        }
        assert drawn == set(known.of_name(build).EDGES)


def test_the_report_names_the_known_heads(results):
    page = re.sub("<[^>]+>", "", (results / "report.html").read_text(encoding="utf-8"))
    for build in BUILDS.values():
        for head, role in known.of_name(build).ROLES.items():
            assert f"{head} ({role}) attends" in page
    assert "built by hand" in page


def test_a_second_run_does_nothing(results):
    done = subprocess.run(
        [*quick_command(results.parents[1], CONFIG), "--dry-run"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Nothing to be done" in done.stdout + done.stderr
