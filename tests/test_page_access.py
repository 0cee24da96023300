"""The page for everybody: by keyboard alone, under axe, at every width, whatever the data says.

What each view shows and does is tested in test_browser; the fixtures are from there.
"""

import csv
import importlib.resources
import itertools
import json
import os
import subprocess
import sys

import pytest

import report_chain
from conftest import SCRIPTS
from connectome import report
from connectome.report import build
from report_chain import PLAN
from synthetic_results import NASTY
from test_browser import browser, visit  # noqa: F401
from test_report import FRAGMENTS

SECTIONS = [module.__name__.rpartition(".")[2] for module in report.sections()]
WORST = ("serious", "critical")


def unfold(page, section: str, most: int) -> None:
    """Open so many of the folds of a section, also those of which one at a time is open."""
    page.evaluate(
        """([section, most]) => {
          const folds = document.querySelectorAll(`#${section} details`);
          for (const fold of [...folds].filter((f) => f.offsetParent).slice(0, most)) {
            fold.removeAttribute("name");
            fold.open = true;
          }
        }""",
        [section, most],
    )
    page.wait_for_timeout(100)


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core, from a package that only the tests need."""
    try:
        return (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()
    except ModuleNotFoundError:
        reason = "NO AXE: axe-playwright-python is not installed, access was NOT audited"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_serious_to_say_of_any_section(visit, axe, scheme):  # noqa: F811
    page = visit(color_scheme=scheme, height=2000)
    page.evaluate(axe)
    found = {}
    for name in SECTIONS:
        page.locator(f"#{name}").scroll_into_view_if_needed()
        unfold(page, name, 2)
        for violation in page.evaluate(
            """name => axe.run("#" + name, {
              resultTypes: ["violations"],
              rules: {"target-size": {enabled: true}},
            }).then(result => result.violations)""",
            name,
        ):
            if violation["impact"] in WORST:
                nodes = [node["html"][:200] for node in violation["nodes"][:3]]
                found[name, violation["id"]] = nodes
    for violation in page.evaluate(
        "axe.run({exclude: ['main']}, {resultTypes: ['violations']}).then(r => r.violations)"
    ):
        found["frame", violation["id"]] = violation["help"]
    assert not found


FOCUSED = """() => {
  const node = document.activeElement;
  if (node === document.body || node === document.documentElement) return null;
  const style = getComputedStyle(node), box = node.getBoundingClientRect();
  window.visited ??= new Map();
  const known = visited.has(node);
  const inner = node instanceof SVGElement ? box.width / 2 : 2; // a circle has no corner
  visited.set(node, true);
  return {
    section: node.closest("section")?.id ?? node.closest("nav, .skip")?.tagName.toLowerCase(),
    name: node.outerHTML.slice(0, 120),
    known,
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight
      && box.right > 0 && box.left < innerWidth,
    covered: !(node.ownerSVGElement ?? node).contains(document.elementFromPoint(
      Math.min(Math.max(box.left + inner, 0), innerWidth - 1),
      Math.min(Math.max(box.top + inner, 0), innerHeight - 1))),
  };
}"""


def test_the_tab_key_walks_through_every_section_and_out_again(visit):  # noqa: F811
    page = visit()
    path = []
    for _ in range(2000):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None or focused["known"]:
            break
        path.append(focused)
    assert focused is None or focused["name"] == path[0]["name"], "the focus is trapped"
    assert not [f["name"] for f in path if not f["ring"]]
    assert not [f["name"] for f in path if not f["seen"]]
    assert not [f["name"] for f in path if f["covered"]]  # by what sticks to the top
    sections = list(dict.fromkeys(f["section"] for f in path))
    reachable = ["a", "nav", *(name for name in SECTIONS if name in sections)]
    assert sections == reachable
    without = set(SECTIONS) - set(sections)
    assert (
        page.evaluate(
            """names => names.filter((name) => document.querySelector(
          `#${name} :is(a[href], button, input, summary, [tabindex="0"])`))""",
            list(without),
        )
        == []
    )


def test_folds_open_and_close_by_keyboard(visit):  # noqa: F811
    page = visit()
    for name in SECTIONS:
        fold = page.locator(f"#{name} details:visible").first
        if not fold.count():
            continue
        was = fold.evaluate("fold => fold.open")
        fold.locator("> summary").focus()
        page.keyboard.press("Enter")
        assert fold.evaluate("fold => fold.open") is not was, name
        page.keyboard.press("Space")
        assert fold.evaluate("fold => fold.open") is was, name


@pytest.mark.parametrize("width", [1280, 640, 360])  # 640: the wide page at twice its size
def test_nothing_scrolls_sideways_with_everything_open(visit, width):  # noqa: F811
    page = visit(width=width)
    for name in SECTIONS:
        unfold(page, name, 3)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_the_summary_of_the_first_dictionary_fits_a_screen(visit):  # noqa: F811
    first = visit().locator("#summary .model").first.bounding_box()
    assert first["y"] + first["height"] <= 900


def test_print_opens_every_section_without_controls(visit):  # noqa: F811
    page = visit()
    page.emulate_media(media="print")
    for name in SECTIONS:
        assert page.locator(f"#{name} > h2").is_visible(), name
    assert (
        page.locator("nav, .skip, .pick, .plot-tools, .search").locator("visible=true").count() == 0
    )
    figures = page.locator("figure.plot")
    assert figures.count() == page.locator("figure.plot:visible").count() > 20


# ------------------------------------------------------------------------------- hostile data

HOSTILE = [*NASTY, "\udc80 alone", "\u2028\u2029", "\x1b[31mred"]


def _hostile(value, texts):
    """The JSON value with each text in it replaced by the next hostile one."""
    if isinstance(value, list):
        return [_hostile(part, texts) for part in value]
    return next(texts) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The synthetic results with every token and every reason of every table a hostile text."""
    root = tmp_path_factory.mktemp("hostile")
    source = report_chain.results()
    (root / "figures").symlink_to(source / "figures")
    (root / "tables").mkdir()
    texts = itertools.cycle(HOSTILE)
    plain = itertools.cycle([text for text in HOSTILE if text.isprintable()])
    for path in source.glob("tables/*.csv"):
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        for row in rows:
            for i, (name, cell) in enumerate(zip(header, row, strict=True)):
                if cell[:1] in ('"', "["):
                    row[i] = json.dumps(_hostile(json.loads(cell), texts))
                elif name == "reason" and cell:
                    row[i] = next(plain)
        with open(root / "tables" / path.name, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
    page = root / "report.html"
    page.write_text(build.build(root, PLAN, FRAGMENTS), encoding="utf-8")
    return page


def test_hostile_text_is_text_in_every_section(visit, hostile):  # noqa: F811
    page = visit(page=hostile, width=360)
    said = {}
    for name in SECTIONS:
        unfold(page, name, 6)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
    page.emulate_media(media="print")  # which shows what is away from the screen as well
    page.wait_for_timeout(300)
    for name in SECTIONS:
        said[name] = page.locator(f"#{name}").text_content()
    assert page.evaluate("window.__pwned") is None
    data = "[type='application/json'], [type='text/plain']"
    assert page.locator(f"script:not({data})").count() == 1
    made = "img:not([src^='data:image/svg+xml,']), main script:not([type]), main [onerror]"
    assert page.locator(made).count() == 0
    shown = ("</script><!--<script>", '"><img src=x onerror=1>', "=1+1", "&lt;b&gt;")
    for name in ("tasks", "rois", "cards", "feature_cards", "appendix"):
        assert all(text in said[name] for text in shown), name
    for name in ("tasks", "cards", "feature_cards"):
        for mark in ("\\u{202e}", "\\u{0}", "\\u{dc80}", "\\u{2028}", "\U0001f600"):
            assert mark in said[name], (name, mark)
    everything = "".join(said.values())
    assert not set(everything) & {"\u202e", "\x00", "\u2028", "\x1b"}
    assert "a" * 400 not in "".join(said[name] for name in SECTIONS if name != "appendix")


# ---------------------------------------------------------------------------- how it is built


def test_building_the_page_loads_no_model_library():
    code = (
        "import sys\nfrom pathlib import Path\nfrom connectome.report import build\n"
        f"build.build(Path({str(report_chain.results())!r}), {PLAN!r}, Path({str(FRAGMENTS)!r}))\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'numpy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=SCRIPTS)
