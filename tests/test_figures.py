"""Figures: pure functions of the CSV beside them, true to the results, the same bytes twice."""

import hashlib
import html
import importlib
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import report_chain
from conftest import ROOT, SCRIPTS
from connectome import moments, tables
from connectome.plots import circuit, covariance, faithfulness, palette, style, units
from connectome.plots.literal import visible
from connectome.report import build, drawing
from report_chain import CFG, SUFFIXES
from synthetic_results import CANNOT, DICTIONARY, ERRORS, NASTY, SPARSE

KINDS = [
    *("ablation", "circuit", "competence", "covariance", "faithfulness", "hierarchy"),
    *("partitions", "rois", "specificity", "training", "units"),
]
SVG = "{http://www.w3.org/2000/svg}"


def csv_of(kind, part=""):
    folder = report_chain.results() / "figures"
    return next(path for path in sorted(folder.glob(f"{kind}.*.csv")) if part in path.name)


def texts(path):
    root = ElementTree.parse(path.with_suffix(".svg")).getroot()
    return ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_is_rebuilt_from_its_csv_alone_byte_by_byte(kind, tmp_path):
    source = csv_of(kind)
    assert all(source.with_suffix(suffix).is_file() for suffix in SUFFIXES)
    module = importlib.import_module(f"connectome.plots.{kind}")
    rows = tables.read_csv(source)
    assert tuple(rows[0]) == module.COLUMNS
    style.save(module.draw(rows), tmp_path / source.name, CFG)
    for suffix in SUFFIXES[1:]:
        rebuilt = (tmp_path / source.name).with_suffix(suffix).read_bytes()
        assert rebuilt == source.with_suffix(suffix).read_bytes(), suffix


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        ("ablation", "edges", "3"),
        ("circuit", "score", "123.0"),
        ("competence", "value", "0.77"),
        ("covariance", "r", "0.123"),
        ("faithfulness", "f_ratio", "0.123"),
        ("hierarchy", "features", "7"),
        ("partitions", "ami", "0.123"),
        ("rois", "saved", "0.123"),
        ("specificity", "f", "0.123"),
        ("training", "value", "0.123"),
        ("units", "f_ratio", "0.123"),
    ],
)
def test_another_number_in_the_csv_is_another_figure(kind, column, value, tmp_path):
    source = csv_of(kind, "ioi" if kind == "circuit" else "")
    module = importlib.import_module(f"connectome.plots.{kind}")
    rows = tables.read_csv(source)
    row = [row for row in rows if row[column]][-1]
    row[column] = value
    style.save(module.draw(rows), tmp_path / source.name, CFG)
    for suffix in SUFFIXES[1:]:
        changed = (tmp_path / source.name).with_suffix(suffix).read_bytes()
        assert changed != source.with_suffix(suffix).read_bytes(), suffix


def test_vector_files_hold_text_as_text_and_no_date():
    for path in sorted((report_chain.results() / "figures").glob("*.pdf")):
        content = path.read_bytes()
        assert b"CreationDate" not in content and b"Producer" not in content
        assert b"/Type3" not in content
        svg = path.with_suffix(".svg").read_text()
        assert "<dc:date>" not in svg and "<text" in svg


def test_the_hash_seed_changes_nothing(tmp_path):
    folder = report_chain.results() / "tables"
    digests = []
    for seed in ("1", "2"):
        output = tmp_path / seed / "circuit.demo.neurons.ioi.rois_attribution.csv"
        names = ("circuits", "roi_scores", "sizes", "competence", "prompts")
        subprocess.run(
            [
                sys.executable, str(SCRIPTS / "plot_circuit.py"),
                "--tables", *[str(folder / f"{name}.csv") for name in names],
                *("--model", "demo", "--dictionary", "neurons", "--task", "ioi"),
                *("--output", str(output), "--cfg", '{"method": "eap-ig-inputs", "dpi": 50}'),
            ],
            check=True, env=os.environ | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        digests.append([output.with_suffix(kind).read_bytes() for kind in (*SUFFIXES, ".json")])
    assert digests[0] == digests[1]


def test_the_covariance_figure_shows_the_matrix_in_block_order():
    r = np.array([[1, 0.1, 0.8, 0.2], [0.1, 1, 0.3, -0.7], [0.8, 0.3, 1, 0.4], [0.2, -0.7, 0.4, 1]])
    fit = {"status": "ok", "reason": None, "levels": [[1, 0, 1, 0], [0, 0, 0, 0]]}
    rows = covariance.select(moments.Moments(10, r[0], r, r[0]), fit, "prompts", bins=10)
    shown = {(row["i"], row["j"]): row["r"] for row in rows if row["mark"] == "cell"}
    assert len(shown) == 10
    order = [1, 3, 0, 2]
    assert all(shown[i, j] == r[order[i], order[j]] for i, j in shown)
    parts = [
        (row["level"], row["part"], row["start"], row["stop"])
        for row in rows
        if row["mark"] == "part"
    ]
    assert parts == [(0, 0, 0.0, 2.0), (0, 1, 2.0, 4.0), (1, 0, 0.0, 4.0)]


def test_large_sites_are_averaged_in_equal_bins_and_dead_features_are_left_out():
    rng = np.random.default_rng(0)
    r = np.corrcoef(rng.standard_normal((9, 40)))
    fit = {"status": "ok", "reason": None, "levels": [[0] * 8 + [-2]]}
    rows = covariance.select(moments.Moments(10, r[0], r, r[0]), fit, "prompts", bins=4)
    shown = {(row["i"], row["j"]): row["r"] for row in rows if row["mark"] == "cell"}
    assert len(shown) == 10
    assert shown[0, 1] == pytest.approx(r[:2, 2:4].mean(), abs=5e-4)
    assert shown[0, 0] == pytest.approx(r[0, 1], abs=5e-4)
    assert next(row["text"] for row in rows if row["mark"] == "cell size") == (
        "mean of 2 by 2 features"
    )


def test_a_site_without_regions_says_why():
    assert any("no ROIs" in text for text in texts(csv_of("covariance", "attn.0.attribution")))


def test_circuits_are_drawn_upwards_from_the_input_to_the_logits():
    rows = tables.read_csv(csv_of("circuit", "ioi.rois_attribution"))
    lines = [row["name"] for row in rows if row["mark"] == "row"]
    assert lines == [
        "input", "attn.0", "mlp.0", "attn.1", "mlp.1", "attn.2", "mlp.2", "logits",
    ]  # fmt: skip
    nodes = {row["name"]: row for row in rows if row["mark"] == "node"}
    edges = [row for row in rows if row["mark"] == "edge"]
    assert edges
    for edge in edges:
        assert int(nodes[edge["name"]]["row"]) < int(nodes[edge["dst"]]["row"])
    largest = max(edges, key=lambda row: abs(float(row["score"])))
    assert largest["width"] == "2"
    places = [(row["row"], row["x"]) for row in nodes.values()]
    assert len(set(places)) == len(places)
    table = tables.read_csv(report_chain.results() / "tables" / "circuits.csv")
    wanted = {
        (row["src"], row["dst"], row["score"])
        for row in table
        if (row["model"], row["task"], row["partition"]) == ("demo", "ioi", "rois_attribution")
        and row["dictionary"] == DICTIONARY
    }
    assert {(row["name"], row["dst"], row["score"]) for row in edges} == wanted


def test_a_circuit_without_edges_is_drawn_as_such():
    facts = {"title": "none", "cannot": "chance"}
    rows = circuit.select([], [], facts)
    as_text = [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]
    shown = [text.get_text() for text in circuit.draw(as_text).axes[0].texts]
    assert "no edge is left" in shown


def test_figures_of_a_task_the_model_cannot_do_say_so():
    for kind in ("circuit", "faithfulness"):
        shown = " ".join(texts(csv_of(kind, CANNOT)))
        assert "cannot do this task" in shown
    for kind in ("competence", "ablation", "specificity"):
        assert any("cannot do" in text for text in texts(csv_of(kind)))


def test_faithfulness_plots_the_rows_of_its_task_and_method_only():
    table = tables.read_csv(report_chain.results() / "tables" / "faithfulness.csv")
    rows = tables.read_csv(csv_of("faithfulness", "ioi"))
    expected = [
        row
        for row in table
        if (row["model"], row["task"], row["method"]) == ("demo", "ioi", "eap-ig-inputs")
        and row["dictionary"] == DICTIONARY
        and row["mode"] in ("circuit", "complement")
        and (row["intervention"], row["mode"]) != ("node", "complement")
        and row["f_ratio"]
    ]
    assert [row["f_ratio"] for row in rows] == [row["f_ratio"] for row in expected]
    assert {row["partition"] for row in rows} == {row["partition"] for row in expected}


def test_all_units_stand_on_one_axis_with_shares_of_their_own_features():
    table = {
        name: [
            row
            for row in tables.read_csv(report_chain.results() / "tables" / f"{name}.csv")
            if (row["model"], row["task"], row["method"]) == ("demo", "ioi", "eap-ig-inputs")
            and (row["intervention"], row["mode"]) == ("node", "circuit")
        ]
        for name in ("faithfulness", "errors")
    }
    rows = tables.read_csv(csv_of("units", "ioi"))
    assert {(row["dictionary"], row["partition"]) for row in rows} == {
        *((DICTIONARY, name) for name in units.PARTITIONS),
        *((SPARSE, name) for name in ("features", "rois", "rois_attribution", "random")),
    }
    for row in rows:
        same = [
            other
            for other in table[row["table"]]
            if all(other[name] == row[name] for name in ("dictionary", "partition", "error"))
        ]
        assert row["f_ratio"] in {r["f_ratio"] for r in same if r["features"] == row["features"]}
        every = max(int(r["features"]) for r in same)
        assert float(row["share"]) == pytest.approx(int(row["features"]) / every)
        assert row["native"] == ("true" if row["dictionary"] == DICTIONARY else "false")
    policies = {(row["table"], row["error"]) for row in rows if row["dictionary"] == SPARSE}
    assert policies == {("faithfulness", "in-graph"), *(("errors", policy) for policy in ERRORS)}


def test_the_policies_for_error_nodes_have_panels_of_their_own():
    rows = tables.read_csv(csv_of("units", "ioi"))
    figure = units.draw(rows)
    assert len(figure.axes) == 4
    for policy, line in zip(ERRORS, figure.axes[2].lines, strict=False):
        wanted = [
            row
            for row in rows
            if (row["table"], row["dictionary"], row["partition"], row["error"])
            == ("errors", SPARSE, "features", policy)
        ]
        assert line.get_ydata().tolist() == [float(row["f_ratio"]) for row in wanted]
        assert line.get_xdata().tolist() == [float(row["nodes"]) for row in wanted]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words.count("single features") == 2 and {DICTIONARY, SPARSE} <= set(words)
    native = units.draw([row for row in rows if row["dictionary"] == DICTIONARY])
    assert len(native.axes) == 2


def test_units_of_several_dictionaries_never_look_alike():
    names = ["neurons", "a", "b", "c"]
    every = [(name, partition) for name in names for partition in ("features", "rois", "random")]
    found = palette.unit_series(every, {"neurons"})
    looks = {look[1:] for look in found.values()}
    assert len(looks) == len(every)
    assert found["neurons", "rois"] == palette.SERIES["rois"]
    with pytest.raises(KeyError, match="6 dictionaries, 5 styles"):
        palette.unit_series([(name, "rois") for name in "abcdef"], ())


def test_runaway_ratios_do_not_stretch_the_axes_and_are_counted():
    rows = tables.read_csv(csv_of("faithfulness", CANNOT))
    figure = faithfulness.draw(rows)
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert low >= -0.5 and high <= 1.5
    assert "outside the axes" in figure._supxlabel.get_text()


def test_hostile_text_is_drawn_literally(tmp_path):
    facts = {"title": "x", "clean": " ".join(NASTY[:7]), "answers": "$\\frac{1}{2}$"}
    rows = [
        {k: "" if v is None else str(v) for k, v in row.items()}
        for row in circuit.select([], [], facts)
    ]
    figure = circuit.draw(rows)
    for kind in ("svg", "pdf"):
        figure.savefig(tmp_path / f"nasty.{kind}")
    root = ElementTree.parse(tmp_path / "nasty.svg").getroot()
    assert {node.tag for node in root.iter() if "script" in node.tag or "img" in node.tag} == set()
    shown = " ".join("".join(node.itertext()) for node in root.iter(f"{SVG}text"))
    assert "$\\frac{1}{2}$" in shown and "\u202e" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" Mary ", "\u2423Mary\u2423"),
        ("a b", "a b"),
        ("a\n\tb\r", "a\u23ce\u2192b\u21b5"),
        ("\u202eabc", "\\u{202e}abc"),
        ("\x00", "\\u{0}"),
        ("\ud83d", "\\u{d83d}"),
        ("&lt;", "&lt;"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_invisible_characters_are_shown(text, shown):
    assert visible(text) == shown


def test_long_text_keeps_both_ends_and_says_how_long_it_was():
    shown = visible("x" + "a" * 5000 + "y", longest=40)
    assert shown.startswith("xaaa") and shown.endswith("aaay") and "(5002 characters)" in shown
    assert len(shown) < 80


def test_characters_that_the_font_lacks_are_named_in_figures():
    assert style.printable("漢é") == "\\u{6f22}é"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_series_differs_in_marker_and_passes_the_contrast_of_marks():
    looks = list(palette.SERIES.values())
    assert len({look.marker for look in looks}) == len(looks)
    for look in looks:
        assert max(contrast(look.colour, palette.PAPER), contrast(look.outline, "#ffffff")) >= 3
    dark = {name: colour for name, _, colour in palette.THEME}
    for name in ("ink", "muted"):
        assert contrast(dark[name], dark["paper"]) >= 4.5
        light = next(row[1] for row in palette.THEME if row[0] == name)
        assert contrast(light, palette.PAPER) >= 4.5
    for name in ("blue", "vermillion", "green", "purple"):
        assert contrast(dark[name], dark["paper"]) >= 3


def test_partitions_from_files_get_styles_of_their_own_never_one_twice():
    found = palette.series_of(["mine", "rois", "yours"])
    assert list(found) == ["rois", "mine", "yours"]
    assert found["mine"].label == "mine" and found["mine"] != found["yours"]
    with pytest.raises(KeyError, match="5 partitions from files"):
        palette.series_of(["a", "b", "c", "d", "e"])


def test_tables_figures_and_page_import_no_model_code():
    code = (
        "import importlib, pkgutil, sys\n"
        "import connectome.plots, connectome.tabulate, connectome.report.build\n"
        "connectome.report.sections()\n"
        "for package in (connectome.plots, connectome.tabulate):\n"
        "    for found in pkgutil.iter_modules(package.__path__):\n"
        "        importlib.import_module(f'{package.__name__}.{found.name}')\n"
        "assert not {'torch', 'transformers', 'graph_tool', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "workflow" / "scripts")


# Machado, Oliveira and Fernandes 2009, severity 1: linear RGB as seen without one kind of cone.
SEEN_WITHOUT = {
    "long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
             [-0.003882, -0.048116, 1.051998]],
    "middle": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "short": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
              [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour, seen=None):
    """CIE L*a*b* (D65) of a colour, as somebody without one kind of cone sees it."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    if seen is not None:
        linear = np.clip(np.array(SEEN_WITHOUT[seen]) @ linear, 0, 1)
    ratio = TO_XYZ @ linear / (TO_XYZ @ np.ones(3))
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen", [None, *SEEN_WITHOUT])
@pytest.mark.parametrize("name", palette.PALETTES)
def test_colours_of_every_palette_stay_apart_for_every_colour_vision(name, seen):
    hues = {row[0]: row[1] for row in palette.theme(name)}
    kept = ["ink", *(hue for hue in hues if hue not in ("muted", "rule", "band", "paper", "ink"))]
    for i, one in enumerate(kept):
        for other in kept[:i]:
            apart = np.linalg.norm(lab(hues[one], seen) - lab(hues[other], seen))
            assert apart > 8.5, (one, other, apart)


@pytest.mark.parametrize("name", palette.PALETTES)
def test_marks_of_every_palette_stand_out_or_have_an_outline_that_does(name):
    swaps = palette.swaps(name)
    dark_paper = next(row[2] for row in palette.theme(name) if row[0] == "paper")
    for look in palette.SERIES.values():
        shown = [swaps.get(colour, colour) for colour in (look.colour, look.outline)]
        assert max(contrast(colour, palette.PAPER) for colour in shown) >= 3, look
    for row in palette.theme(name):
        if row[0] in ("ink", "muted"):
            paper = next(other for other in palette.theme(name) if other[0] == "paper")
            assert contrast(row[1], paper[1]) >= 4.5 and contrast(row[2], paper[2]) >= 4.5
        if row[0] in ("blue", "vermillion", "green", "purple", "sky", "orange"):
            assert contrast(row[2], dark_paper) >= 3, row


def colours_of(path):
    """Fixed colours in the style attributes of an SVG."""
    styles = re.findall(r'style="([^"]*)"', path.read_text())
    return {colour for style in styles for colour in re.findall(r"#[0-9a-f]{6}", style)}


@pytest.mark.parametrize("kind", ["faithfulness", "covariance", "hierarchy", "circuit"])
def test_a_palette_changes_colours_and_nothing_else(kind, tmp_path):
    module = importlib.import_module(f"connectome.plots.{kind}")
    source = csv_of(kind)
    rows = tables.read_csv(source)
    style.save(module.draw(rows), tmp_path / "grey.csv", CFG | {"palette": "grey"})
    grey = colours_of(tmp_path / "grey.svg")
    assert grey and all(colour[1:3] == colour[3:5] == colour[5:7] for colour in grey)
    assert texts(tmp_path / "grey.svg") == texts(source.with_suffix(".svg"))
    assert not colours_of(source.with_suffix(".svg")) <= grey


def test_the_configured_width_is_that_of_the_files(tmp_path):
    for kind, key in (("covariance", "column_width"), ("competence", "text_width")):
        module = importlib.import_module(f"connectome.plots.{kind}")
        figure = module.draw(tables.read_csv(csv_of(kind)))
        style.save(figure, tmp_path / "wide.csv", CFG | {key: 5.0})
        root = ElementTree.parse(tmp_path / "wide.svg").getroot()
        assert root.attrib["width"] == "360pt"


def test_a_sidecar_says_what_the_figure_shows_and_what_it_is_made_of():
    folder = report_chain.results() / "figures"
    for path in sorted(folder.glob("*.csv")):
        record = json.loads(path.with_suffix(".json").read_text())
        rows = tables.read_csv(path)
        module = importlib.import_module(f"connectome.plots.{path.name.partition('.')[0]}")
        assert record["name"] == path.stem and record["rule"] == f"plot_{path.name.split('.')[0]}"
        assert (record["caption"], record["claim"]) == (module.caption(rows), module.claim(rows))
        assert record["claim"].endswith(".") and not re.search(r"\d", record["caption"])
        assert module.caption([]) and isinstance(module.claim([]), str)
        for kind, digest in record["files"].items():
            content = path.with_suffix(f".{kind}").read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest
        assert record["sources"]
        for name, digest in record["sources"].items():
            content = (report_chain.results() / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest
        assert record["config_sha256"].encode() in path.with_suffix(".pdf").read_bytes()
        assert record["config_sha256"] in path.with_suffix(".svg").read_text()


def test_no_caption_names_a_colour_that_another_palette_has_not():
    colours = r"\b(blue|orange|green|purple|red|vermillion|yellow|sky)\b"
    for path in (SCRIPTS / "connectome/plots").glob("*.py"):
        module = importlib.import_module(f"connectome.plots.{path.stem}")
        if hasattr(module, "caption"):
            assert not re.search(colours, module.caption([]).lower()), path.stem


def test_the_numbers_of_a_claim_are_those_of_the_tables():
    table = tables.read_csv(report_chain.results() / "tables" / "sizes.csv")
    row = next(
        row
        for row in table
        if (row["model"], row["dictionary"], row["task"]) == ("demo", DICTIONARY, "ioi")
        and (row["partition"], row["method"]) == ("heads", "eap-ig-inputs")
        and row["intervention"] == "edge"
    )
    claim = json.loads(csv_of("circuit", "ioi.heads").with_suffix(".json").read_text())["claim"]
    assert (
        f"{row['edges']} of {row['edges_all']} edges keep {float(row['faithfulness']):.2f}" in claim
    )
    table = tables.read_csv(report_chain.results() / "tables" / "competence.csv")
    rows = [row for row in table if (row["model"], row["split"]) == ("demo", "heldout")]
    able = sum(row["competent"] == "true" for row in rows)
    claim = json.loads(csv_of("competence").with_suffix(".json").read_text())["claim"]
    assert f"can do {able} of {len(rows)} tasks" in claim


def test_the_page_has_the_captions_of_the_sidecars(tmp_path):
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", report_chain.page())).split())
    for path in (report_chain.results() / "figures").glob("*.json"):
        assert json.loads(path.read_text())["caption"] in text, path.name


def test_the_page_follows_the_palette_of_its_figures():
    svg = '<svg width="72pt" height="36pt"><path style="stroke: #3d3d3d"/></svg>'
    themed = drawing.themed(svg, "grey")
    assert "stroke:var(--blue)" in themed.replace(" ", "") and "--blue:#3d3d3d" in themed
    assert "var(--blue)" not in drawing.themed(svg)
    plan = report_chain.PLAN | {"palette": "grey"}
    page = build.build(report_chain.results(), plan, ROOT / "workflow/report")
    assert "--blue:#3d3d3d" in page and "--blue:#0072b2" not in page
