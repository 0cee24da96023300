"""The page in a real browser: offline, silent, usable by keyboard, at every width.

Chromium is looked for on PATH. Without one these tests skip, and fail where CI is set.
"""

import random

import pytest

import browsers
import report_chain
from synthetic_results import CANNOT, NASTY

SECTIONS = [
    "summary",
    "tasks",
    "dictionaries",
    "covariance",
    "rois",
    "cards",
    "feature_cards",
    "circuits",
    "faithfulness",
    "appendix",
]


@pytest.fixture(scope="module")
def browser():
    report_chain.page()
    with browsers.launched("the page") as chromium:
        yield chromium


@pytest.fixture
def visit(browser):
    """Opens the page offline; at the end nothing was fetched and nothing was complained about."""
    contexts, complaints, requests = [], [], []

    def open_page(hash_="", width=1280, height=900, page=None, **options):
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, offline=True, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto((page or report_chain.results() / "report.html").as_uri() + hash_)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert requests and all(url.startswith(("file:", "data:", "blob:")) for url in requests)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 360])
def test_every_section_shows_and_nothing_scrolls_sideways(visit, width, scheme):
    page = visit("#task=ioi&site=mlp.0", width=width, color_scheme=scheme)
    for name in SECTIONS:
        section = page.locator(f"#{name}")
        section.scroll_into_view_if_needed()
        assert section.is_visible() and section.locator("h2").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn = page.evaluate(
        "Promise.all([...document.images].filter(i => i.offsetParent)"
        ".map(i => i.decode().then(() => i.naturalWidth > 0, () => false)))"
    )
    assert len(drawn) == 11 and all(drawn)  # a map stands for one picture


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visit, scheme):
    page = visit(color_scheme=scheme)
    worst = page.evaluate(
        """() => {
          const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
          const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
            .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
          const ground = (node) => {
            for (; node; node = node.parentElement) {
              const colour = rgb(getComputedStyle(node).backgroundColor);
              if (colour.length < 4 || colour[3] === 1) return colour;
            }
            return [255, 255, 255];
          };
          const found = [];
          for (const node of document.querySelectorAll("body *")) {
            if (!node.offsetParent || ![...node.childNodes].some((c) =>
              c.nodeType === 3 && c.data.trim())) continue;
            const pair = [light(rgb(getComputedStyle(node).color)), light(ground(node))]
              .sort((a, b) => b - a);
            found.push([(pair[0] + .05) / (pair[1] + .05), node.className + " " + node.tagName]);
          }
          return found.sort((a, b) => a[0] - b[0])[0];
        }"""
    )
    assert worst[0] >= 4.5, worst


def test_one_selection_moves_all_pictures_and_lives_in_the_address(visit):
    page = visit()
    page.locator("#circuits").get_by_role("radio", name=CANNOT).click()
    page.locator("#circuits").get_by_role("radio", name="rois_attribution").click()
    shown = f"circuit.demo.neurons.{CANNOT}.rois_attribution"
    assert page.locator("#circuits figure:visible").get_attribute("id") == shown
    followed = page.locator("#faithfulness .picker[data-facets*=dictionary] > figure:visible")
    assert followed.get_attribute("id") == f"faithfulness.demo.neurons.{CANNOT}"
    units = page.locator("#faithfulness figure[id^=units]:visible")
    assert units.get_attribute("id") == f"units.demo.{CANNOT}"
    assert page.locator(".live").text_content() == "partition: rois_attribution"
    page.wait_for_timeout(300)  # the address is written at most five times a second
    address = page.evaluate("location.hash")
    assert address == f"#task={CANNOT}&partition=rois_attribution"
    again = visit(address)
    assert again.locator("#circuits figure:visible").get_attribute("id") == shown
    again.goto(again.url.split("#")[0] + "#task=ioi&site=mlp.0")
    assert "ioi" in again.locator("#circuits figure:visible").get_attribute("id")
    assert "mlp.0" in again.locator("#covariance figure:visible").get_attribute("id")


def test_cards_follow_the_site_and_hold_their_content_only_while_open(visit):
    page = visit()
    shown = page.locator("#cards figure:visible")
    shown.get_by_role("heading", name="What tasks lose").first.wait_for()
    page.locator("#cards").get_by_role("radio", name="mlp.0").click()
    cards = shown.locator(".card")
    assert shown.get_attribute("id") == "hierarchy.demo.neurons.mlp.0" and cards.count() == 12
    assert "mlp.0" in page.locator("#covariance figure:visible").get_attribute("id")
    assert shown.locator(".card h5").count() == 4  # the first card alone is open
    for i in range(1, 6):
        cards.nth(i).locator("summary").click()
        cards.nth(i).locator(".losses").wait_for()
    is_open = cards.evaluate_all("cards => cards.map(card => card.open)")
    assert is_open[:6] == [False] * 2 + [True] * 4
    shown.locator(".card h5").nth(15).wait_for()
    assert shown.locator(".card h5").count() == 16
    page.locator("#cards").get_by_role("radio", name="attn.2").click()
    assert page.locator("#cards .deck .card:visible").count() == 6
    page.locator("#cards").get_by_role("radio", name="mlp.0").click()
    assert shown.locator(".card h5").count() == 16  # as it was left


def test_malformed_addresses_are_ignored_part_by_part(visit):
    rng = random.Random(1)
    pieces = ["task=ioi", "task=%", "site=%ZZ", "kind=nope", "x" * 900, "&&=", "model=%00", "<b>"]
    page = visit("#" + "&".join(pieces))
    assert "ioi" in page.locator("#circuits figure:visible").get_attribute("id")
    for _ in range(60):
        text = "".join(rng.choice("task=&site.%0#<\"'é\u202e") for _ in range(rng.randint(0, 60)))
        page.evaluate("text => { location.hash = text; }", text)
    for name in ("circuits", "covariance"):
        assert page.locator(f"#{name} figure:visible").count() == 1


def test_the_keyboard_reaches_everything(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    first = page.locator("#circuits [aria-label=task] [aria-checked=true]")
    before = first.text_content()
    first.focus()
    page.keyboard.press("ArrowRight")
    after = page.evaluate("document.activeElement.textContent")
    assert after != before
    assert after in page.locator("#circuits figure:visible").get_attribute("id")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent") == before
    page.locator("body").press("/")
    page.wait_for_function("document.activeElement.type == 'search'")
    small = page.evaluate(
        "[...document.querySelectorAll('button, summary, nav a, a.button')]"
        ".filter(e => e.offsetParent && e.getBoundingClientRect().height < 23.9).length"
    )
    assert small == 0


def test_a_whole_table_is_filtered_sorted_and_downloaded(visit, tmp_path):
    page = visit()
    details = page.locator("details[data-table='sizes.csv']")
    details.locator("summary").click()
    source = report_chain.results() / "tables" / "sizes.csv"
    count = len(source.read_text().splitlines()) - 1
    details.get_by_text(f"50 of {count} rows").wait_for()
    details.get_by_role("searchbox").fill("demo pronoun heads exact")
    details.get_by_text("2 of 2 rows").wait_for()
    details.get_by_role("searchbox").fill("")
    details.get_by_role("button", name="edges", exact=True).click()
    column = details.locator("thead th").all_text_contents().index("edges") + 1
    cells = details.locator(f"tbody td:nth-child({column})").all_text_contents()
    values = [int(cell) for cell in cells]
    assert values == sorted(values) and len(values) == 50
    with page.expect_download() as download:
        details.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "sizes.csv")
    assert (tmp_path / "sizes.csv").read_bytes() == source.read_bytes()


def test_a_table_of_a_section_sorts_by_value_with_undefined_last(visit):
    page = visit()
    table = page.locator("#rois table[data-table='sites.csv']").first
    table.get_by_role("button", name="halves").click()
    index = table.locator("thead th").all_text_contents().index("halves")
    shown = table.locator(f"tbody tr td:nth-child({index + 1})").all_text_contents()
    defined = [float(text) for text in shown if text != "not defined"]
    assert shown[-1] == "not defined" and defined == sorted(defined)


def test_hostile_tokens_stay_text_after_everything_was_opened(visit):
    page = visit()
    for details in page.locator("details").all():
        details.locator("> summary").click()
    assert page.evaluate("document.querySelectorAll('*').length") <= 6000
    assert page.evaluate("window.__pwned") is None
    assert page.locator("img[src='x'], b:text-is('x')").count() == 0
    page.locator("#tasks table").first.scroll_into_view_if_needed()
    page.locator("#tasks td .token").first.wait_for()
    shown = page.locator("#tasks .token").all_text_contents()
    assert any(NASTY[1] in text for text in shown)
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 1


def test_without_scripts_everything_but_comfort_is_there(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("#summary .lead data").first.is_visible()
    assert (
        page.locator("#circuits figure").count() == page.locator("#circuits figure:visible").count()
    )
    assert page.locator("#rois table tbody tr").first.is_visible()
    details = page.locator("details[data-table='models.csv']")
    details.locator("summary").click()
    assert details.locator("pre").is_visible()
    assert page.locator(".pick, .plot-tools").count() == 0


def test_the_page_is_light_when_it_opens(visit):
    page = visit()
    assert page.evaluate("document.querySelectorAll('*').length") <= 3000


def test_print_shows_every_figure(visit):
    page = visit()
    page.emulate_media(media="print")
    page.locator("#circuits figure >> nth=-1").wait_for()  # what pickers put away comes back
    figures = page.locator("#circuits figure")
    assert figures.count() == page.locator("#circuits figure:visible").count()
    assert not page.locator("nav").is_visible()
