"""The page: complete, true to its tables, inert, and the same bytes twice."""

import base64
import io
import json
import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import report_chain
import synthetic_results
from conftest import ROOT, SCRIPTS
from connectome import report, tables
from connectome.errors import DataError
from connectome.report import build, drawing, marks
from connectome.report.reader import Results
from report_chain import PLAN
from synthetic_results import CANNOT, NASTY

FRAGMENTS = ROOT / "workflow" / "report"
VOID = {"meta", "img", "input", "br", "hr", "link"}


class Page(HTMLParser):
    """Elements in order, with their attributes, all text inside, own text, and ancestors."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": "", "above": list(self.open)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data
        if self.open:
            self.open[-1].setdefault("own", []).append(data)

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]

    def classed(self, name):
        return [e for e in self.elements if name in (e["attrs"].get("class") or "").split()]


@pytest.fixture(scope="module")
def page():
    return Page(report_chain.page())


def code_of(page):
    """The one script of the page that runs; the others hold data."""
    return next(e["text"] for e in page.all("script") if "type" not in e["attrs"])


def tables_of(page):
    """The JSON of the tables in the page."""
    return next(e["text"] for e in page.all("script") if e["attrs"].get("id") == "tables-data")


def section(page, name):
    return next(e for e in page.all("section") if e["attrs"]["id"] == name)


def test_every_section_stands_in_the_order_of_its_rank(page):
    modules = report.sections()
    assert [m.RANK for m in modules] == sorted(m.RANK for m in modules)
    names = [m.__name__.rpartition(".")[2] for m in modules]
    assert [e["attrs"]["id"] for e in page.all("section")] == names
    assert [e["text"] for e in page.all("h2")] == [m.TITLE for m in modules]
    files = {p.stem for p in (SCRIPTS / "connectome/report/sections").glob("[!_]*.py")}
    assert set(names) == files == {p.stem for p in (FRAGMENTS / "sections").glob("*.html")}


def test_every_number_is_the_rounded_cell_of_the_table_it_names(page):
    cells = page.all("data")
    assert len(cells) > 200
    found = {}
    for cell in cells:
        attrs = cell["attrs"]
        name, row, column = report_chain.place(attrs)
        if name not in found:
            found[name] = tables.read_csv(report_chain.results() / "tables" / name)
        exact = found[name][row][column]
        assert exact == attrs["value"]
        shown = cell["text"].replace("\u2212", "-").replace(",", "")
        percent = shown.endswith("\u00a0%")
        digits = shown.removesuffix("\u00a0%")
        step = 10.0 ** -len(digits.partition(".")[2])
        value = float(exact) * (100 if percent else 1)
        assert abs(float(digits) - value) <= step / 2 + 1e-9, attrs


def test_sentences_hold_no_number_beside_those_cells(page):
    sentences = [
        e
        for e in page.elements
        if e["tag"] in ("p", "figcaption", "dd", "dt", "li", "h2", "h4", "span", "strong", "b")
        and not any(a["tag"] in ("pre", "table", "nav") for a in e["above"])
    ]
    assert len(page.classed("claim")) > 20
    for element in sentences:
        if {"code", "bdi"} & {above["tag"] for above in element["above"]}:
            continue
        own = "".join(element.get("own", []))
        own = re.sub(r"\b[am]\d+(\.\w+)?\b|\b(attn|mlp)\.\d+\b|\|r\| = [\d.]+", "", own)
        if "notice" not in (element["attrs"].get("class") or ""):
            assert not re.search(r"\d", own), own


def test_a_task_the_model_cannot_do_is_named_wherever_it_stands(page):
    assert f"It cannot do {CANNOT}" in section(page, "summary")["text"]
    for name in ("circuits", "faithfulness"):
        figures = [
            e
            for e in page.all("figure")
            if e["attrs"].get("data-task") == CANNOT and section(page, name) in e["above"]
        ]
        assert figures
        for figure in figures:
            assert "cannot do this task" in figure["text"]


def test_refused_sites_show_their_reason_and_undefined_numbers_are_words(page):
    text = section(page, "rois")["text"]
    assert "No regions at attn.0 by attribution" in text and "above the threshold" in text
    assert "mlp.2 by activation fails its null" in text
    assert "the classical model gives every feature a block of its own" in text
    assert "not defined" in text
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", report_chain.page().split("tables-data")[0])


def test_verdicts_follow_the_numbers():
    from connectome.report.sections import summary

    def find(values):
        return lambda key, **names: {"value": "", "lo": "", "hi": ""} | values.get(key, {})

    able = find({"tasks": {"value": "5"}, "tasks_competent": {"value": "5"}})
    some = find({"tasks": {"value": "5"}, "tasks_competent": {"value": "2"}})
    none = find({"tasks": {"value": "5"}, "tasks_competent": {"value": "0"}})
    halves = {"half_ami": {"value": "0.7", "lo": "0.4", "hi": "0.8"}}
    tested = {"circuits_beat_null": {"value": "3"}, "circuits_tested": {"value": "3"}}
    verdicts = [summary._verdicts(m, find(halves | tested), ["heads"]) for m in (able, some, none)]
    assert [v["able"] for v in verdicts] == ["holds", "partly", "fails"]
    assert verdicts[0]["stable"] == "partly" and verdicts[0]["null"] == "holds"
    assert verdicts[0]["rois"] == verdicts[0]["faithful"] == "untested"
    reached = {"circuits": {"value": "3"}, "circuits_reached": {"value": "3"}}
    for low, high, state in ((0.1, 0.5, "holds"), (0.1, 1.0, "partly"), (0.6, 1.0, "fails")):
        share = {"edges_share": {"lo": str(low), "hi": str(high)}}  # 1: the whole graph
        assert summary._verdicts(able, find(reached | share), ["heads"])["faithful"] == state
    null = {"sites_null_pass": {"value": "4"}, "sites_fitted": {"value": "4"}}
    for regions, state in (("0", "untested"), ("6", "holds")):  # no region is no artefact
        found = find(null | {"rois": {"value": regions}})
        assert summary._verdicts(able, found, [])["rois"] == state


def test_what_is_missing_is_said_with_the_command_that_makes_it(page, tmp_path):
    missing = f"results/figures/faithfulness.demo.neurons.{synthetic_results.TASKS[0]}.svg"
    assert f"snakemake --cores 2 {missing}" in page.elements[0]["text"]
    empty = Page(build.build(tmp_path, PLAN, FRAGMENTS))
    assert len(empty.all("section")) == len(report.sections())
    for module in report.sections():
        name = module.__name__.rpartition(".")[2]
        assert "snakemake --cores 2 results/" in section(empty, name)["text"], name


def test_the_page_reads_nothing_but_its_declared_inputs(monkeypatch):
    read = set()
    table, figure, sidecar = Results._read, Results.drawing, Results.sidecar
    columns = Results.columns
    monkeypatch.setattr(
        Results, "_read", lambda self, n: read.add(f"tables/{n}.csv") or table(self, n)
    )
    monkeypatch.setattr(
        Results, "drawing", lambda self, n: read.add(f"figures/{n}.svg") or figure(self, n)
    )
    monkeypatch.setattr(
        Results, "sidecar", lambda self, n: read.add(f"figures/{n}.json") or sidecar(self, n)
    )
    monkeypatch.setattr(Results, "columns", lambda self, p: read.add(p) or columns(self, p))
    build.build(report_chain.results(), PLAN, FRAGMENTS)
    assert read == set(report.inputs(PLAN))


def test_nothing_is_loaded_from_anywhere(page):
    policy = next(e for e in page.all("meta") if "http-equiv" in e["attrs"])["attrs"]["content"]
    assert policy.startswith("default-src 'none'") and "connect-src" not in policy
    for element in page.elements:
        for name, value in element["attrs"].items():
            assert not name.startswith("on"), element
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert value.startswith(("data:image/svg+xml,<svg", "#")), value[:60]
    style = page.all("style")[0]["text"]
    assert "url(" not in style and "@import" not in style
    assert not page.all("link") and not page.all("iframe")
    kinds = [e["attrs"].get("type") for e in page.all("script")]
    assert kinds.count(None) == 1 and set(kinds) == {None, "application/json", "text/plain"}
    script = code_of(page)
    for word in (
        "innerHTML",
        "eval(",
        "localStorage",
        "fetch(",
        "XMLHttpRequest",
        "insertAdjacent",
    ):
        assert word not in script


def test_hostile_tokens_are_text(page):
    text = report_chain.page()
    assert "<img src=x" not in text and NASTY[0] not in text and "\u202e" not in text
    data = tables_of(page)
    assert "<" not in data
    shown = [e["text"] for e in page.classed("token")]
    assert 'When Mary and "><img src=x onerror=1> went' in shown
    assert "\\u{202e}abc" in shown
    assert page.elements[0]["text"].count("\x00") == 0


def test_tables_in_the_page_are_the_files_field_by_field(page):
    data = {
        name: json.loads(zlib.decompress(base64.b64decode(packed)))
        for name, packed in json.loads(tables_of(page)).items()
    }
    read = {path.removeprefix("tables/") for path in report.inputs(PLAN) if "tables/" in path}
    assert set(data) == read - {"edge_scores.csv"}  # that one is in typed arrays
    for name, columns in data.items():
        rows = tables.read_csv(report_chain.results() / "tables" / name)
        for column in columns:
            numbers = column.get("at", range(len(column["words"])))
            assert [column["words"][i] for i in numbers] == [row[column["name"]] for row in rows]


def test_structure_serves_readers_without_a_mouse_or_a_screen(page):
    assert page.all("html")[0]["attrs"]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == 1
    levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch(r"h[1-6]", e["tag"])]
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert page.all("a")[0]["attrs"] == {"class": "skip", "href": "#summary"}
    for image in page.all("img"):
        assert len(image["attrs"]["alt"]) > 20
    for cell in page.all("th"):
        assert cell["attrs"]["scope"] in ("row", "col")
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert len(ids) == len(set(ids))
    for figure in page.all("figure"):
        assert figure["text"].strip()


def test_page_code_and_file_stay_within_their_budgets(page, monkeypatch):
    code = sum(len(e["text"].encode()) for e in (*page.all("style"), {"text": code_of(page)}))
    assert code <= 60_000
    assert len(report_chain.page().encode()) <= 5_000_000
    monkeypatch.setattr(build, "_LARGEST", 100_000)
    with pytest.raises(DataError, match=r"largest blocks: section cards 0\.\d MB, "):
        build.build(report_chain.results(), PLAN, FRAGMENTS)


def test_the_hash_seed_changes_no_byte(tmp_path):
    pages = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        for name in ("tables", "figures"):
            (folder / name).symlink_to(report_chain.results() / name)
        output = folder / "report.html"
        subprocess.run(
            [
                sys.executable, str(SCRIPTS / "build_report.py"),
                *("--output", str(output), "--cfg", json.dumps(PLAN)),
            ],
            check=True, env=os.environ | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        pages.append(output.read_bytes())
    assert pages[0] == pages[1] == report_chain.page().encode()


def test_the_list_of_inputs_needs_nothing_but_the_standard_library():
    code = (
        "import sys; known = set(sys.modules)\n"
        "from connectome import report\n"
        f"report.inputs({PLAN!r})\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - known}\n"
        "assert new <= set(sys.stdlib_module_names) | {'connectome'}, new\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=SCRIPTS)


def test_a_damaged_table_is_an_error_that_names_it(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "models.csv").write_text("model,layers\ndemo\n")
    with pytest.raises(DataError, match=r"models\.csv: not a readable table"):
        build.build(tmp_path, PLAN, FRAGMENTS)


def test_heat_maps_keep_every_pixel_in_fewer_bytes():
    colours = [(90 + 3 * shade, 20, 250 - shade, 255) for shade in range(31)]
    pixels = np.random.default_rng(1).integers(31, size=(64, 64))
    image, file = Image.new("RGBA", (64, 64)), io.BytesIO()
    image.putdata([colours[number] for number in pixels.ravel()])
    image.save(file, "PNG")
    before = base64.b64encode(file.getvalue()).decode()
    after = drawing.indexed(before)
    shown = Image.open(io.BytesIO(base64.b64decode(after))).convert("RGBA")
    assert shown.tobytes() == image.tobytes() and len(after) < 0.7 * len(before)


def test_figures_follow_the_colour_scheme_but_their_text_is_never_touched():
    hostile = '#ffffff 1.23456 x="1.23456" style="fill: #ffffff" id="m1" url(#m2) a: b'
    svg = (
        '<?xml version="1.0"?><svg width="72pt" height="36pt"><g id="a">'
        '<path d="M 1.23456 2.000 \nL 0.5 10 " style="fill: #ffffff; stroke: #1b1f24"/>'
        f'<text x="1.23456" transform="rotate(-0 1.23456 2)">{hostile}</text></g></svg>'
    )
    themed = drawing.themed(svg)
    assert ".s0{fill:var(--paper);stroke:var(--ink)}" in themed
    assert f">{hostile}<" in themed and "d='M1.23 2L0.5 10' class='s0'" in themed
    assert "<text x='1.23'>" in themed
    assert 'width="96" height="48"' in drawing.image(svg, "x")


def test_a_figure_is_the_same_drawing_in_fewer_bytes():
    style = 'style="fill: none; stroke: #1b1f24"'
    svg = (
        '<svg width="72pt" height="36pt" xmlns:xlink="x"><defs><path id="m12ab01234" d="M 0 0 \n'
        'L -1.000 2.500"/><clipPath id="p3401234567"><rect/></clipPath></defs>\n'
        '<g id="figure_1"><g id="text_1" '
        f'transform="translate(1 2)"><path {style} clip-path="url(#p3401234567)"/></g>'
        f'<use xlink:href="#m12ab01234" {style} transform="rotate(-0 1 2)"/></g></svg>'
    )
    small = drawing.themed(svg)
    rules = small.index(".s0{clip-path:url(#i0)")
    assert small[rules:] == (
        ".s0{clip-path:url(#i0);fill:none;stroke:var(--ink)}.s1{fill:none;stroke:var(--ink)}</style>"
        "<defs><path id='i1' d='M0 0L-1 2.5'/>"
        "<clipPath id='i0'><rect/></clipPath></defs><g transform='translate(1 2)'>"
        "<path class='s0'/></g><use href='#i1' class='s1'/></svg>"
    )


def test_the_figures_of_the_page_are_drawings_of_half_their_size(page):
    taken = 0
    for image in page.all("img"):
        text = unquote(image["attrs"]["src"].partition(",")[2])
        ElementTree.fromstring(text)  # well formed
        taken += len(text)
    svg = {path for path in report.inputs(PLAN) if path.startswith("figures/")}
    files = [report_chain.results() / path for path in svg]
    assert taken < 0.6 * sum(file.stat().st_size for file in files if file.is_file())


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        ("0.987", "percent", "99\u00a0%"),
        ("-0.0004", "share", "0.00"),
        ("-1234.5", "fine", "\u22121,234.500"),
        ("28.5", "size", "28.5"),
        ("28.0", "size", "28"),
    ],
)
def test_numbers_are_rounded_as_their_form_says(value, form, shown):
    assert f">{shown}</data>" in marks.number(value, form, "t.csv", 0, "c")


def test_an_empty_or_infinite_cell_is_not_defined():
    for text in ("", "nan", "inf"):
        assert "not defined" in marks.number(text, "share", "t.csv", 0, "c")


def test_models_stand_side_by_side():
    plan = synthetic_results.plan()
    both = Page(build.build(report_chain.results(), plan, FRAGMENTS))
    assert [e["text"].split()[0] for e in both.all("h3")[:3]] == ["demo", "demo", "other"]
    facets = {e["attrs"].get("data-model") for e in both.all("figure")} - {None}
    assert facets == {"demo", "other"}
    assert "figures/competence.other.svg is missing" in section(both, "tasks")["text"]
