"""The page of a run that failed: what there is, what went wrong, and nothing that is not so."""

import json

import pytest

import report_chain
import test_travel
import tiny_models
import toy_workflow
from conftest import ROOT
from connectome import report
from connectome.report import build, unfinished
from connectome.report.unfinished import Failure, Unfinished
from report_chain import PLAN
from test_report import FRAGMENTS, Page, section

SMALL = PLAN | {
    "models": {
        "demo": PLAN["models"]["demo"]
        | {"tasks": ["ioi"], "dictionaries": {"neurons": {"tasks": ["ioi"], "sites": ["mlp.0"]}}}
    }
}
# Two rules that copy what the page reads, and the page's own rule and handler.
COPYING = """
include: "rules/common.smk"

pathvars:
    logs="<results>/log",
    benchmarks="<results>/benchmark",

with open("plan.json") as file:
    PLAN = json.load(file)

rule copy_table:
    input: "source.txt"
    output: "<results>/tables/{name}.csv"
    log: "<logs>/copy_table/{name}.log"
    shell: "sh copy.sh {wildcards.name} {output:q} > {log:q} 2>&1"

rule copy_figure:
    input: "<results>/tables/rois.csv"
    output: "<results>/figures/{name}.{kind}"
    wildcard_constraints: kind="svg|json|csv"
    shell: "sh copy_figure.sh {wildcards.name} {wildcards.kind} {output:q}"

include: "rules/report.smk"
include: "rules/unfinished.smk"
"""
COPY = r"""
if grep -qx -e "$1" -e all broken.txt; then
    echo "reading $PWD/results/$1 and /srv/ann/work/$1.npz"
    printf '\r 10%%\r\033[31m 20%%\033[0m done\n'
    printf 'error: no \001 </pre><b>%s</b> with token=abcdef123 for %s\n' "$1" "$HF_TOKEN"
    exit 1
fi
cp "$(head -n 1 source.txt)/$1.csv" "$2"
"""

# The drawing of that name, or, of a site that the synthetic results have not, of another site.
COPY_FIGURE = r"""
of="$(head -n 1 source.txt)/../figures"
cp "$of/$1.$2" "$3" 2>/dev/null || cp "$(ls "$of"/covariance.*."$2" | head -n 1)" "$3"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkout in a folder with a blank and a quote that copies synthetic results to a page."""
    folder = toy_workflow.make(tmp_path_factory.mktemp("run") / "it's a run")
    (folder / "Snakefile").write_text(COPYING)
    (folder / "envs").mkdir()
    for name in (
        *("rules/report.smk", "rules/unfinished.smk"),
        *("workflow/scripts/build_report.py", "envs/connectome.yaml"),
    ):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "workflow/report").symlink_to(FRAGMENTS)
    (folder / "plan.json").write_text(json.dumps(SMALL))
    (folder / "copy.sh").write_text(COPY)
    (folder / "copy_figure.sh").write_text(COPY_FIGURE)
    (folder / "source.txt").write_text(str(report_chain.results() / "tables"))
    return folder


def test_a_failed_run_leaves_a_page_and_the_next_one_takes_it_away(folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a secret of mine")
    (folder / "broken.txt").write_text("sites\nroi_cards\n")
    left = folder / "results" / "report.unfinished.html"
    said = toy_workflow.run(folder, "--keep-going", "report", ok=False)
    assert "What there is stands in results/report.unfinished.html" in said
    assert not (folder / "results/report.html").exists()
    page = Page(left.read_text())
    assert "unfinished" in page.all("title")[0]["text"]
    assert page.all("section")[0]["attrs"]["id"] == "unfinished"
    assert "2 jobs failed" in section(page, "unfinished")["text"]
    ends = [e["text"] for e in page.classed("log")]
    assert len(ends) == 2
    assert ends[1].splitlines() == [
        "reading results/sites and \u2026/sites.npz",
        " 20% done",
        "error: no \\u{1} </pre><b>sites</b> with token=<secret> for <secret>",
    ]
    for known in ("a secret", "abcdef123", "/srv", str(folder), folder.name):
        assert known not in left.read_text()
    assert "copy_table failed (name sites): error: no" in section(page, "rois")["text"]
    assert "copy_table failed (name roi_cards): error: no" in section(page, "cards")["text"]
    assert "no regions to describe" not in section(page, "cards")["text"]  # nobody looked
    assert "Not finished" not in section(page, "tasks")["text"]  # all that it shows is there
    assert "copy_table failed (name sites)" not in section(page, "cards")["text"]
    assert "results/tables/sites.csv" in section(page, "rois")["text"]

    (folder / "broken.txt").write_text("nothing\n")
    jobs = toy_workflow.jobs(toy_workflow.run(folder, "report"))
    assert jobs == ["copy_table", "copy_table", "build_report", "report"]
    assert not left.exists()
    assert "unmade" not in (folder / "results/report.html").read_text()


def test_without_keep_going_the_rest_was_not_reached(folder):
    (folder / "broken.txt").write_text("nothing\n")
    toy_workflow.run(folder, "report")
    with open(folder / "source.txt", "a") as file:
        file.write("newer\n")
    (folder / "broken.txt").write_text("all\n")
    toy_workflow.run(folder, "report", ok=False)
    page = Page((folder / "results/report.unfinished.html").read_text())
    sections = [element["text"] for element in page.all("section")]
    assert len(page.classed("log")) == 1
    assert any("The run ended before they were reached" in text for text in sections)
    # what the run before left is there, and is not shown: this run was to make it anew
    assert len(list(folder.glob("results/tables/*.csv"))) > 20
    assert not page.all("data") and not page.all("img")


def test_a_run_for_another_target_leaves_no_page(folder):
    (folder / "results/report.unfinished.html").unlink(missing_ok=True)
    (folder / "broken.txt").write_text("all\n")
    said = toy_workflow.run(folder, "--force", "results/tables/sites.csv", ok=False)
    assert "What there is" not in said
    assert not (folder / "results/report.unfinished.html").exists()


def test_another_workflow_calls_the_handler_of_its_module(tmp_path):
    tiny_models.gpt2(tmp_path / "mine")  # it has no tokenizer
    config = {"models": {"heads": {"path": "mine"}}, "tasks": {"t": {"generator": "induction"}}}
    handler = "onerror:\n    connectome.onerror()\n"
    test_travel.importing(tmp_path, ROOT / "Snakefile", config, handler)
    said = toy_workflow.run(tmp_path, "connectome_report", ok=False)
    assert "stands in maps/results/report.unfinished.html" in said
    text = (tmp_path / "maps/results/report.unfinished.html").read_text()
    assert "<code>connectome_describe_model</code> failed" in text
    assert "tokenizer" in text and str(tmp_path) not in text


def test_the_end_of_a_log_is_what_a_terminal_shows_without_what_it_gives_away(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_API_KEY", "value of the key")
    log = tmp_path / "a.log"
    lines = [f"line {i}" for i in range(30)]
    lines += [
        f'{tmp_path}/results/x.csv and /srv/people/ann/my.txt, File "/usr/lib/python3/a.py"',
        "https://ann:pass@example.org/a hf_AbCdEf123456 Authorization: Bearer abc.def-ghi",
        "password = 'opensesame' value of the key; tokens: 20000, 3/4 done",
        "x" * 5000,
        "\u202eevil \x00\ttab",
    ]
    log.write_bytes("\n".join(lines).encode() + b" \xff\n\n")
    shown = unfinished.tail(log)
    assert len(shown) == 20 and shown[0] == "line 15"
    assert shown[15] == 'results/x.csv and \u2026/my.txt, File "\u2026/a.py"'
    assert shown[16] == "https://<secret>@example.org/a <secret> Authorization: Bearer <secret>"
    assert shown[17] == "password = '<secret>' <secret>; tokens: 20000, 3/4 done"
    assert len(shown[18]) < 450
    assert shown[19] == "\\u{202e}evil \\u{0}\u2192tab \\xff"
    assert unfinished.tail(tmp_path / "none.log") == ()
    log.write_text("\n \n")
    assert unfinished.tail(log) == ()


def left(*unmade: str) -> Unfinished:
    """A run in which one job failed and kept these files away."""
    failure = Failure("fit_sbm", {"site": "mlp.0"}, "results/log/fit_sbm.log", ("error: no",))
    return Unfinished((failure,), dict.fromkeys(unmade, (0,)))


@pytest.mark.parametrize(
    "module", report.sections(), ids=lambda module: module.__name__.rpartition(".")[2]
)
def test_a_section_without_its_files_says_why_and_no_number_it_has_not(module):
    paths = module.inputs(SMALL)
    if not paths:
        return  # the guide: what the others read
    text = build.build(report_chain.results(), SMALL, FRAGMENTS, left(*paths))
    name = module.__name__.rpartition(".")[2]
    shown = text.split(f'<section id="{name}"')[1].split("</section>")[0]
    assert "<code>fit_sbm</code> failed (site <bdi>mlp.0</bdi>): <q>error: no</q>" in shown
    assert "snakemake --cores 2 results/" in shown
    assert "<data" not in shown and "<img" not in shown


def test_any_one_table_may_be_missing_and_no_section_concludes_from_that():
    for path in report.inputs(SMALL):
        if not path.startswith("tables/"):
            continue
        text = build.build(report_chain.results(), SMALL, FRAGMENTS, left(path))
        for module in report.sections():
            name = module.__name__.rpartition(".")[2]
            if path in module.inputs(SMALL) and name != "summary":
                body = text.split(f'<section id="{name}"')[1].split("</section>")[0]
                assert "fit_sbm" in body and "<data" not in body, (path, name)


def test_a_section_without_a_figure_shows_the_rest():
    path = "figures/covariance.demo.neurons.mlp.0.activation.svg"
    text = build.build(report_chain.results(), SMALL, FRAGMENTS, left(path))
    body = text.split('<section id="covariance"')[1].split("</section>")[0]
    assert "fit_sbm" in body and "<data" in body and 'data-kind="attribution"' in body


def test_a_finished_page_has_nothing_of_it():
    text = report_chain.page()
    assert text == build.build(report_chain.results(), PLAN, FRAGMENTS)
    assert "unfinished" not in text and "unmade" not in text
