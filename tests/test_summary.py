"""The summary of the page: its sentences are the tables, and what it claims follows from them."""

import csv
import shutil
import statistics

import pytest

import report_chain
from connectome import tables
from connectome.report import build, marks
from connectome.report.sections import summary as section
from connectome.tabulate import summary
from report_chain import CFG, PLAN
from synthetic_results import CANNOT
from test_report import FRAGMENTS, Page

READ = ("models", "competence", "summary", "directions", "specificity_summary")


@pytest.fixture
def folder(tmp_path):
    """The tables that the section reads, to be changed."""
    (tmp_path / "tables").mkdir()
    for name in READ:
        shutil.copy(report_chain.results() / "tables" / f"{name}.csv", tmp_path / "tables")
    return tmp_path


@pytest.fixture
def shown(folder, monkeypatch):
    """Renders the section alone, from the tables as they are in the folder."""
    monkeypatch.setattr(build, "sections", lambda: [section])
    return lambda: Page(build.build(folder, PLAN, FRAGMENTS).split("<main>")[1].split("</main>")[0])


def change(folder, name, row, column, value):
    path = folder / "tables" / name
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rows[row][header.index(column)] = value
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def test_the_section_declares_what_it_reads():
    assert section.inputs(PLAN) == [f"tables/{name}.csv" for name in READ]


def test_each_number_follows_its_cell(folder, shown):
    cells = {}
    for element in shown().all("data"):
        attrs = element["attrs"]
        at = report_chain.place(attrs)
        cells.setdefault(at, []).append((attrs["value"], element["text"]))
    assert len(cells) > 100
    rows = {name: tables.read_csv(folder / "tables" / f"{name}.csv") for name in READ}
    kinds = {  # one cell of each kind
        (name, rows[name.removesuffix(".csv")][row].get("key"), column): (name, row, column)
        for name, row, column in cells
    }
    assert len(kinds) > 40
    for name, row, column in kinds.values():
        found = cells[name, row, column]
        old = found[0][0]
        new = repr(float(old) + 0.013) if "." in old else str(int(old) + 1)
        change(folder, name, row, column, new)
        moved = [
            (e["attrs"]["value"], e["text"])
            for e in shown().all("data")
            if report_chain.place(e["attrs"]) == (name, row, column)
        ]
        assert moved and all(value == new for value, _ in moved), (name, row, column)
        forms = {text for form in marks.FORMS.values() for text in [form(float(new))]}
        assert {text for _, text in moved} <= forms
        change(folder, name, row, column, old)


def of_pair(name, dictionary="neurons", **wanted):
    rows = tables.read_csv(report_chain.results() / "tables" / f"{name}.csv")
    wanted |= {"model": "demo"} | ({"dictionary": dictionary} if dictionary else {})
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def numbers(rows, column):
    return [float(row[column]) for row in rows if row[column]]


def spread(values):
    return [statistics.median(values), min(values), max(values)]


def found(key, dictionary="neurons", **names):
    (row,) = of_pair("summary", dictionary, key=key, **names)
    return [float(row[end]) if row[end] else None for end in ("value", "lo", "hi")]


def test_the_numbers_of_the_tasks_are_those_of_competence():
    heldout = of_pair("competence", None, split="heldout")
    able = [row for row in heldout if row["competent"] == "true"]
    assert found("tasks", "")[0] == len(heldout) and found("tasks_competent", "")[0] == len(able)
    for key in ("accuracy_clean", "accuracy_corrupted", "chance"):
        assert found(key, "") == spread(numbers(able, key))


@pytest.mark.parametrize("dictionary", ["neurons", "sae"])
@pytest.mark.parametrize("kind", ["activation", "attribution"])
def test_the_numbers_of_the_regions_are_those_of_their_sites(dictionary, kind):
    every = of_pair("sites", dictionary, kind=kind)
    fitted = [row for row in every if row["status"] == "ok"]
    several = [row for row in fitted if int(row["blocks"]) > 1]
    passed = [row for row in fitted if row["null_pass"] == "true"]

    def value(key):
        return found(key, dictionary, kind=kind)[0]

    assert value("sites") == len(every) and value("sites_fitted") == len(fitted)
    assert value("sites_several") == len(several)
    assert value("rois") == sum(int(row["blocks"]) for row in several)
    assert value("sites_null_pass") == len(passed)
    assert value("sites_null_fail") == len(fitted) - len(passed)
    assert value("sites_refused") == len(every) - len(fitted)
    for key in ("half_ami", "half_ami_null", "seed_ami"):
        assert found(key, dictionary, kind=kind) == pytest.approx(spread(numbers(fitted, key)))


@pytest.mark.parametrize("partition", ["heads", "rois_attribution"])
def test_the_numbers_of_the_circuits_are_those_of_their_sizes(partition):
    of_task = {
        row["task"]: row
        for row in of_pair("sizes", partition=partition, method=CFG["method"], intervention="edge")
        if row["competent"] == "true"
    }
    assert CANNOT not in of_task
    reached = {task: row for task, row in of_task.items() if row["reached"] == "true"}
    tested = [row for row in reached.values() if row["null_hi"] and row["f_lo"]]
    beaten = [row for row in tested if float(row["f_lo"]) > float(row["null_hi"])]

    def value(key):
        return found(key, partition=partition)[0]

    assert value("circuits") == len(of_task) and value("circuits_reached") == len(reached)
    assert value("circuits_missed") == len(of_task) - len(reached)
    assert value("circuits_tested") == len(tested) and value("circuits_beat_null") == len(beaten)
    assert value("circuits_meet_null") == len(tested) - len(beaten)
    rows = list(reached.values())
    shares = [int(row["edges"]) / int(row["edges_all"]) for row in rows]
    assert found("edges_share", partition=partition) == pytest.approx(spread(shares), abs=1e-6)
    for key, column, among in (
        ("edges_needed", "edges", rows),
        ("features_needed", "features", rows),
        ("faithfulness", "faithfulness", rows),
        ("null_median", "null_median", tested),
    ):
        assert found(key, partition=partition) == pytest.approx(spread(numbers(among, column)))
    if partition == "heads":
        return
    rivals = {row["text"]: row for row in of_pair("summary", key="fewer_features")}
    other = {
        row["task"]: float(row["features"])
        for row in of_pair("sizes", partition="kmeans", method=CFG["method"], intervention="edge")
        if row["competent"] == row["reached"] == "true"
    }
    both = reached.keys() & other.keys()
    fewer = sum(float(reached[task]["features"]) < other[task] for task in both)
    assert [rivals["kmeans"]["value"], rivals["kmeans"]["hi"]] == [str(fewer), str(len(both))]


def test_the_numbers_of_a_dictionary_are_those_of_its_sites():
    lines = [row for row in of_pair("dictionaries", "sae") if row["run"] == "dictionary"]
    by_kind = {
        kind: [row for row in lines if row["kind"] == kind]
        for kind in ("dictionary", "pca", "untrained")
    }
    for key in ("explained_variance", "delta", "matched"):
        own = by_kind["dictionary"]
        assert found(key, "sae", kind="") == spread(numbers(own, key))
        for kind in ("pca", "untrained"):
            if key != "matched":
                assert found(key, "sae", kind=kind) == spread(numbers(by_kind[kind], key))
    assert found("dictionary_better", "sae") == [2, None, 2]


def quality(ev, delta, kind="dictionary", site="mlp.0", **more):
    names = {"run": "dictionary", "kind": kind, "site": site, "status": "ok"}
    rest = {"recovered_mean": "", "matched": "", "explained_variance": ev, "delta": delta}
    return names | rest | more


@pytest.mark.parametrize(
    ("ev", "delta", "better"),
    [("0.9", "0.1", 1), ("0.6", "0.1", 0), ("0.9", "0.5", 0), ("0.9", "", 1)],
)
def test_a_dictionary_must_explain_more_and_cost_less_than_its_baselines(ev, delta, better):
    lines = [quality(ev, delta), quality("0.6", "0.5", "pca"), quality("0.1", "2", "untrained")]
    lines += [quality("0.5", "0.1", site="mlp.1")]  # nothing to be held against
    (row,) = [r for r in summary._dictionary_rows(lines) if r["key"] == "dictionary_better"]
    assert (row["value"], row["hi"]) == (better, 1)


def verdicts(page):
    """State of each claim of the first dictionary."""
    first = page.all("article")[0]
    return {
        h4["text"]: item["attrs"]["class"]
        for item in page.all("li")
        if first in item["above"] and item["attrs"]["class"] != "head"
        for h4 in page.all("h4")
        if item in h4["above"]
    }


def test_verdicts_and_failures_change_with_the_tables(folder, shown):
    before = verdicts(shown())
    assert before == {
        "It can do the tasks": "partly",
        "Regions are no artefact": "partly",
        "Regions come back": "holds",
        "A region is not just a wider feature": "holds",
        "Small circuits keep the tasks": "partly",
        "Random circuits do worse": "holds",
        "Regions beat other groupings": "partly",
        "Tasks have parts of their own": "holds",
    }

    def rows(name, **wanted):
        found = tables.read_csv(folder / "tables" / f"{name}.csv")
        return [i for i, row in enumerate(found) if all(row[key] == wanted[key] for key in wanted)]

    names = {"model": "demo", "dictionary": "neurons"}
    for row in rows("directions", **names, of="all", end="writing"):
        change(folder, "directions.csv", row, "parallel", "24")
    for row in rows("specificity_summary", **names, intervention="ablate", measure="f"):
        change(folder, "specificity_summary.csv", row, "separation_lo", "-0.1")
    for key, value in (("circuits_beat_null", "0"), ("circuits_meet_null", "4")):
        for row in rows("summary", **names, key=key):
            change(folder, "summary.csv", row, "value", value)
            change(folder, "summary.csv", row, "text", "ioi" if value == "4" else "")
    for row in rows("summary", **names, key="half_ami"):
        change(folder, "summary.csv", row, "hi", "0.3")
        change(folder, "summary.csv", row, "lo", "0.1")
    for row in rows("summary", **names, key="fewer_features"):
        change(folder, "summary.csv", row, "value", "0")
    for row in rows("summary", model="demo", key="tasks_competent"):
        change(folder, "summary.csv", row, "value", "0")
    page = shown()
    after = verdicts(page)
    assert {claim for claim in before if after[claim] != "fails"} == {
        "Regions are no artefact",
        "Small circuits keep the tasks",
    }
    failed = page.classed("failed")[0]["text"]
    assert f"It cannot do {CANNOT}" in failed
    assert "On ioi, the circuit was within the random ones (heads)." in failed
    assert "At attn.0, no regions could be fitted (attribution)." in failed


def test_a_run_without_failures_says_so(folder, shown):
    found = tables.read_csv(folder / "tables" / "summary.csv")
    for i, row in enumerate(found):
        if row["key"] in section.FAILURES:
            change(folder, "summary.csv", i, "value", "0")
        if row["key"] == "task_cannot":
            change(folder, "summary.csv", i, "key", "task_could")
    assert "No task, site or circuit was refused or missed." in shown().classed("failed")[0]["text"]
