"""What a paper takes along: the gallery, the methods and their references, the supplement."""

import base64
import copy
import dataclasses
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import report_chain
from conftest import ROOT, quick_command
from connectome import (
    arrays,
    bibliography,
    configuration,
    dictionary_settings,
    gallery,
    generators,
    methods,
    supplement,
    tables,
)
from connectome.errors import DataError
from connectome.plots import palette
from report_chain import PLAN
from synthetic_results import SPARSE
from test_browser import browser  # noqa: F401  # a fixture

CATALOGUE = bibliography.read(ROOT / "workflow/methods")
DEFAULTS = configuration.read_yaml(ROOT / "config/config.yaml")
SCHEMA = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
PROVENANCE = {
    "git_revision": "0123456789abcdef",
    "git_dirty": False,
    "python": "3.11.7",
    "graph_tool": "2.45",
    "packages": {
        name: f"1.{number}"
        for number, name in enumerate(CATALOGUE.methods["software"])
        if name != "graph-tool"
    },
}
NAMES = ("models", "competence", "sites", "partitions")


# The gallery


@pytest.fixture(scope="module")
def sidecars():
    paths = sorted((report_chain.results() / "figures").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


@pytest.fixture(scope="module")
def gallery_page(sidecars):
    return gallery.build(sidecars, "a run", palette.DEFAULT, ROOT / "workflow/gallery/index.html")


def test_the_gallery_shows_every_figure_with_its_caption_and_its_files(sidecars, gallery_page):
    folder = report_chain.results() / "figures"
    links = re.findall(r'href="([^"#]+)"', gallery_page)
    shown = " ".join(html.unescape(re.sub(r"<[^>]+>", "", gallery_page)).split())
    assert len(sidecars) > 10
    for record in sidecars:
        assert record["caption"] in shown and record["claim"] in shown
        assert f'<img src="{record["name"]}.svg"' in gallery_page
        for kind in gallery.FORMATS:
            assert f"{record['name']}.{kind}" in links
            assert (folder / f"{record['name']}.{kind}").is_file()
    assert set(links) - {f"{r['name']}.{k}" for r in sidecars for k in gallery.FORMATS} == {
        "../report.html"
    }


def test_the_gallery_loads_nothing_from_elsewhere_and_runs_nothing(gallery_page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', gallery_page)[1]
    assert html.unescape(policy).startswith(
        "default-src 'none'; style-src 'unsafe-inline'; img-src"
    )
    assert "script" not in policy and "<script" not in gallery_page
    assert not re.search(r'(src|href)="(https?:)?//', gallery_page)
    assert "url(" not in gallery_page and "@import" not in gallery_page


def test_hostile_claims_are_text_in_the_gallery(sidecars):
    record = sidecars[0] | {"claim": "<img src=x onerror=1>\u202e", "caption": "<b>A</b> lead. (a)"}
    page = gallery.build([record], "<i>", palette.DEFAULT, ROOT / "workflow/gallery/index.html")
    assert "<img src=x" not in page and "<b>A</b>" not in page and "\u202e" not in page
    assert "<i>" not in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_gallery_opens_offline_in_a_browser(browser, gallery_page, width, scheme):  # noqa: F811
    path = report_chain.results() / "figures" / "index.html"
    path.write_text(gallery_page)
    look_at(browser, path, width=width, color_scheme=scheme)


def look_at(browser, path, width=1280, **options):  # noqa: F811
    """Opens a page without a network: its pictures show, nothing is fetched or complained about."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
    requests, complaints = [], []
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    drawn = page.evaluate(
        "Promise.all([...document.images].filter(i => i.offsetParent).map(i => {"
        " i.loading = 'eager'; return i.decode().then(() => i.naturalWidth > 0, () => false); }))"
    )
    sideways = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert drawn and all(drawn)
    assert sideways <= width
    assert not complaints
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)


# The methods paragraph


def test_every_method_has_words_and_either_citations_or_a_reason_for_none():
    for kind, entries in CATALOGUE.methods.items():
        for name, entry in entries.items():
            assert set(entry) in ({"words", "cite"}, {"words", "own"}), (kind, name)
            assert entry["words"] and (entry.get("cite") or entry.get("own"))
            assert set(entry.get("cite", ())) <= set(CATALOGUE.works), (kind, name)


def test_every_reference_is_of_some_method_and_states_author_title_and_year():
    cited = {
        key
        for entries in CATALOGUE.methods.values()
        for entry in entries.values()
        for key in entry.get("cite", ())
    }
    assert cited == set(CATALOGUE.works) and list(CATALOGUE.works) == sorted(CATALOGUE.works)
    for key, entry in CATALOGUE.works.items():
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, flags=re.M))
        assert {"author", "title", "year"} <= set(fields), key
        assert entry.count("{") == entry.count("}") and entry.endswith("\n}"), key
        assert key.endswith(tuple("abcdefghijklmnopqrstuvwxyz")) and fields["year"] in key, key
        assert re.fullmatch(r"\d{4}", fields["year"])
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", "2403.17806"))
        assert ("eprint" in fields) == ("archiveprefix" in fields)


def test_every_name_that_the_configuration_can_ask_for_is_in_the_catalogue():
    def options(section, key):
        found = SCHEMA["properties"][section]["properties"][key]
        return found.get("enum") or found["items"]["enum"]

    task = SCHEMA["properties"]["tasks"]["additionalProperties"]["properties"]
    for kind, names in {
        "attribution": [*configuration.METHODS, "exact"],
        "partitions": configuration.PARTITIONS,
        "ablation": options("circuits", "ablation"),
        "errors": options("evaluation", "error"),
        "metrics": task["metric"]["enum"],
        "dictionaries": [*dictionary_settings.architectures(), "relu", "topk", "jumprelu", "gated"],
        "tasks": generators.names(),
        "controls": ["pca", "linear", "untrained", "mean"],
    }.items():
        assert set(names) == set(CATALOGUE.methods[kind]), kind
    with pytest.raises(DataError, match="no 'astrology' under 'attribution'"):
        CATALOGUE.said("attribution", "astrology")


def test_statistics_training_and_software_are_all_said_and_all_cited():
    source = (ROOT / "workflow/scripts/connectome/methods.py").read_text()
    asked = set(re.findall(r"""said\(["'](\w+)["'], ["']([\w-]+)["']\)""", source))
    made = [{"partition": name, "status": "ok"} for name in ("kmeans", "leiden")]
    run = dataclasses.replace(a_run(), tables={"sites": [{"status": "ok"}], "partitions": made})
    asked |= {("software", name) for name in methods._packages(run)}
    for kind in ("statistics", "training", "software"):
        assert {name for other, name in asked if other == kind} == set(CATALOGUE.methods[kind])
        assert all(entry.get("cite") for entry in CATALOGUE.methods[kind].values()), kind


def test_what_needs_no_citation_by_default_is_our_own_or_no_method():
    circuits = DEFAULTS["circuits"]
    used = {
        "attribution": [*circuits["methods"], "exact"],
        "ablation": [circuits["ablation"]],
        "partitions": {*circuits["partitions"], *configuration.PARTITIONS},
        "tasks": [task["generator"] for task in DEFAULTS["tasks"].values()],
        "dictionaries": [DEFAULTS["dictionary_training"]["architecture"]],
        "controls": CATALOGUE.methods["controls"],
    }
    plain = {
        *("modules", "heads", "features", "top_features", "rois", "rois_attribution", "random"),
        *("facts", "binding", "bias", "pronoun", "sentiment", "sva_simple"),
        *("pca", "untrained", "mean"),
    }
    named = [(kind, name) for kind, names in used.items() for name in names]
    assert {name for kind, name in named if "own" in CATALOGUE.methods[kind][name]} <= plain


def config(**changes):
    chosen = {"models": {"demo": {"train": {}}}}
    chosen["tasks"] = {name: {"generator": name} for name in PLAN["models"]["demo"]["tasks"]}
    chosen["dictionaries"] = {SPARSE: {"sites": ["mlp.1", "attn.2"], "train": {}}}
    result = configuration.complete(chosen, DEFAULTS)
    for name, section in changes.items():
        merged = isinstance(section, dict) and name != "corpus"
        result[name] = {**result[name], **section} if merged else section
    return result


def a_run(plan=PLAN, provenance=PROVENANCE, without=(), **changes):
    folder = report_chain.results() / "tables"
    names = [name for name in NAMES if name not in without]
    read = {name: [r for r in tables.read_csv(folder / f"{name}.csv") if r["model"] == "demo"]
            for name in names}  # fmt: skip
    chosen = config(**changes)
    derived = {
        "dtype": {"demo": configuration.dtype_of(chosen, "demo")},
        "metric": {task: configuration.metric_of(chosen, task) for task in chosen["tasks"]},
        "training": {"demo": chosen["training"]},
    }
    plan = {"compared": [], **plan}
    return methods.Run(chosen, derived, plan, read, provenance, CATALOGUE)


def written(**changes):
    return methods.text(a_run(**changes))


def test_the_numbers_of_the_methods_are_those_of_the_tables_and_the_configuration():
    text, run = written(), a_run()
    (model,) = run.tables["models"]
    assert f"{model['layers']} layers, {model['heads']} heads, width {model['width']}" in text
    assert f"{int(model['parameters']):,} weights" in text
    held = [row for row in run.tables["competence"] if row["split"] == "heldout"]
    able = [row["task"] for row in held if row["competent"] == "true"]
    assert f"{len(able)} of {len(held)} do ({methods.listed(able)})" in text
    samples = {
        int(row["samples"])
        for row in run.tables["sites"]
        if row["kind"] == "activation" and row["samples"]
    }
    assert f"recorded at {min(samples):,}" in text
    fitted = {
        (row["dictionary"], row["site"]) for row in run.tables["sites"] if row["status"] == "ok"
    }
    assert f"found at {len(fitted)} sites" in text
    assert f"{run.config['evaluation']['bootstrap']:,} draws over distinct prompts" in text
    assert f"held against {run.config['evaluation']['random_draws']} random circuits" in text
    assert "at revision `0123456789ab`, run by Snakemake" in text
    assert f"NumPy [@harris2020numpy] {PROVENANCE['packages']['numpy']}" in text


def test_a_sentence_about_a_dictionary_has_the_numbers_of_its_rows():
    row = {name: "" for name in ("probe_features_1",)} | {
        **{"model": "demo", "dictionary": SPARSE, "run": "dictionary", "kind": "dictionary"},
        **{"status": "ok", "architecture": "batchtopk", "activation": "jumprelu", "k": "8"},
        **{"transcoder": "false", "skip": "false", "features": "4096", "seed": "3"},
        **{"trained_tokens": "1000000", "site": "mlp.1"},
    }
    run = a_run()
    told = {**run.tables, "dictionaries": [row, row | {"site": "attn.2"}]}
    text = methods.text(dataclasses.replace(run, tables=told))
    assert (
        "at mlp.1 and attn.2 is made of BatchTopK [@bussmann2024batchtopk] sparse autoencoders "
        "with 4,096 features, 8 of them wanted on a token, trained here on 1,000,000 tokens" in text
    )
    assert "probes" not in text and "held against as many" not in text
    loaded = copy.deepcopy(run.config)
    loaded["dictionaries"][SPARSE] = {"load": {"mlp.1": {"path": "x"}}}
    skip = row | {"activation": "gated", "transcoder": "true", "skip": "true", "trained_tokens": ""}
    told = {**run.tables, "dictionaries": [skip, row | {"kind": "linear"}]}
    text = methods.text(dataclasses.replace(run, config=loaded, tables=told))
    assert "gated [@rajamanoharan2024gated] transcoders with a linear path [@paulo2025" in text
    assert "made elsewhere and loaded" in text and "[@izenman1975reduced]" in text


def test_what_is_cited_has_its_reference_and_what_was_not_used_is_not_cited():
    text = written()
    keys = bibliography.cited(text)
    assert len(keys) > 20 and set(re.findall(r"@(\w+)", text)) == set(keys)
    works = bibliography.bibtex(keys, CATALOGUE.works)
    assert list(bibliography.entries(works)) == keys
    for unused in ("peixoto2018weighted", "kuhn1955hungarian", "rajamanoharan2024gated"):
        assert unused not in keys
    with pytest.raises(DataError, match=r"references\.bib has no entry nobody1999"):
        bibliography.bibtex(["nobody1999"], CATALOGUE.works)


@pytest.mark.parametrize(
    ("changes", "gains", "loses"),
    [
        ({"circuits": {"methods": ["eap"]}}, "", "hanna2024faith"),
        ({"circuits": {"methods": ["path"]}}, "complete at every cut", "hanna2024faith"),
        ({"circuits": {"ablation": "mean"}}, "its mean over the task's", "corrupted prompt ["),
        ({"circuits": {"exact": []}}, "", "conmy2023automated"),
        ({"evaluation": {"random_draws": 0}}, "", "shi2024hypothesis"),
        ({"evaluation": {"error": ["kept"]}}, "in turn, kept from", "a node of its own"),
        ({"evaluation": {"ranking": "signed"}}, "ranked by signed score", "absolute score"),
        ({"seed": 7}, "follows from seed 7", "from seed 1."),
        ({"models": {"demo": {"path": "/data/me"}}}, "from a local folder", "loshchilov2019"),
        ({"models": {"demo": {"build": "induction"}}}, "built by hand", "loshchilov2019"),
        ({"tasks": {"ioi": {"file": "mine.csv"}}}, "`ioi` (prompts of our own)", "`ioi` (indirect"),
        ({"corpus": {"dataset": "x"}}, "of a data set.", "positions of a generated"),
        ({"without": ("sites", "partitions")}, "", "peixoto2014"),
        ({"plan": PLAN | {"compared": ["a", "b"]}}, "kuhn1955hungarian", "nothing"),
        ({"provenance": PROVENANCE | {"git_dirty": True}}, "not committed", "0123456789ab`, run"),
        ({"provenance": PROVENANCE | {"graph_tool": None}}, "", "graph-tool"),
    ],
)  # fmt: skip
def test_another_run_has_another_paragraph(changes, gains, loses):
    before, after = written(), written(**changes)
    assert gains in after and (not gains or gains not in before)
    assert not loses or loses not in after or loses == "nothing"
    assert "/data" not in after


def test_a_run_of_native_features_alone_says_nothing_of_dictionaries():
    plan = copy.deepcopy({"compared": [], **PLAN})
    del plan["models"]["demo"]["dictionaries"][SPARSE]
    text = written(plan=plan)
    assert "What a dictionary leaves out" not in text and "made of" not in text


# The supplement


def record_of(folder, name, **values):
    """One of Snakemake's records, as it lies on disk."""
    coded = base64.urlsafe_b64encode(str(name).encode()).decode()
    parts = [coded[i : i + 254] for i in range(0, len(coded), 254)]
    path = folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {"rule": "a_rule", "starttime": 1.0, "endtime": 2.5, "input": [], "params": []}
    path.write_text(json.dumps(known | {"shellcmd": f"{Path.home()}/bin/python x"} | values))


def test_records_are_told_by_names_below_the_results_and_without_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, results = tmp_path / "metadata", Path("results")
    long = "results/" + "x" * 300 + ".csv"
    cfg = repr(json.dumps({"path": "/data/me/model"}))
    sources = ["results/a.json", "/data/me/model/config.json"]
    record_of(folder, long, input=sources, params=[cfg], input_checksums={sources[1]: "sha256:1"})
    record_of(folder, "results/exports/supplement.zip")
    record_of(folder, tmp_path / "results/deep/b.csv")
    record_of(folder, "elsewhere/c.csv")
    found = supplement.records(folder, results, Path("results/exports/supplement.zip"))
    assert list(found) == ["deep/b.csv", "x" * 300 + ".csv"]
    record = found["x" * 300 + ".csv"]
    assert record["input"] == ["<path>/config.json", "a.json"]
    assert record["input_checksums"] == {"<path>/config.json": "sha256:1"}
    assert record["params"] == [{"path": "/data/me/model"}]
    assert "shellcmd" not in record and record["endtime"] == 2.5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/me/my-model", "<path>/my-model"),
        ("python=/usr/bin/python3, x", "python=<path>/python3, x"),
        ('{"graph_tool":"/usr/bin/python3"}', '{"graph_tool":"<path>/python3"}'),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("results/tables/x.csv", "results/tables/x.csv"),
        ("1/21", "1/21"),
        ("a / b", "a / b"),
        ("openai/gpt2", "openai/gpt2"),
    ],
)
def test_folders_of_the_machine_are_left_out(text, shown):
    assert supplement.without_folders({"k": [text, 1]}) == {"k": [shown, 1]}


def test_a_file_that_names_a_folder_of_the_machine_is_refused():
    supplement.check({"a.csv": b"/srv/mean"}, [Path("/srv/me")])
    with pytest.raises(DataError, match=r"a\.csv names a folder of this machine"):
        supplement.check({"a.csv": b"x,/srv/me/y"}, [Path("/srv/me")])


def write_exports(root):
    """Exports of every kind below a results folder; names of those that the workflow watches."""
    features = {f"{number}.json": f'{{"index": {number}}}\n' for number in (902, 7)}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in features.items()}
    stamp, circuit = {"cfg": "{}", "code": "{}"}, "demo.neurons.ioi.rois"
    records = {
        f"edges/{circuit}.json": {"edges": {"a0.h1->m0": 0.12}},
        "graphs/demo-neurons-ioi-0.json": {"metadata": {"scan": "demo"}, "nodes": []},
        "features/demo.neurons.json": {"scan": "demo", "files": digests},
    }
    texts = {f"features/demo/{name}": text for name, text in features.items()}
    texts[f"graphml/{circuit}.graphml"] = "<graphml/>\n"
    for name, record in records.items():
        (root / "exports" / name).parent.mkdir(parents=True, exist_ok=True)
        arrays.write_json(root / "exports" / name, record, stamp)
    for name, text in texts.items():
        (root / "exports" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "exports" / name).write_text(text)
    (root / "exports/features/demo/1.json").write_text("{}")  # left by an earlier run
    return [f"exports/{name}" for name in (*records, f"graphml/{circuit}.graphml")]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "902.json is gone"),
        (lambda path: path.write_text("{}"), "902.json is not what was written"),
    ],
)
def test_feature_files_that_are_not_as_listed_are_refused(tmp_path, spoil, said):
    write_exports(tmp_path)
    name = "exports/features/demo.neurons.json"
    assert list(supplement.listed_features(tmp_path, name)) == [
        f"exports/features/demo/{number}.json" for number in (7, 902)
    ]
    spoil(tmp_path / "exports/features/demo/902.json")
    with pytest.raises(DataError, match=f"{re.escape(said)}.*delete .*demo.neurons.json"):
        supplement.listed_features(tmp_path, name)


@pytest.fixture(scope="module")
def packed(tmp_path_factory, sidecars, gallery_page):
    """A results folder with its supplement, packed twice from another folder."""
    root = tmp_path_factory.mktemp("packed") / "results"
    report_chain.page()
    shutil.copytree(report_chain.results(), root, dirs_exist_ok=True)
    (root / "figures/index.html").write_text(gallery_page)
    (root / "provenance.json").write_text(json.dumps(PROVENANCE | {"made_by": {}}))
    text = written()
    (root / "exports").mkdir()
    (root / "exports/methods.md").write_text(text)
    works = bibliography.bibtex(bibliography.cited(text), CATALOGUE.works)
    (root / "exports/methods.bib").write_text(works)
    chosen = config(interpreters={"python": "/opt/me/bin/python"})
    cfg = {
        "config": chosen,
        "figures": [record["name"] for record in sidecars],
        "tables": [path.stem for path in sorted((root / "tables").glob("*.csv"))],
        "exports": write_exports(root),
    }
    metadata = root.parent / "metadata"
    record_of(metadata, root / "report.html", rule="build_report")
    outputs = []
    for name in ("one", "two"):
        output = root / f"exports/{name}.zip"
        subprocess.run(
            [
                *(sys.executable, str(ROOT / "workflow/scripts/pack_supplement.py")),
                *("--metadata", str(metadata), "--output", str(output), "--cfg", json.dumps(cfg)),
            ],
            check=True, env=os.environ | {"PYTHONHASHSEED": str(len(outputs))},
        )  # fmt: skip
        outputs.append(output)
    return outputs


def test_the_same_results_are_the_same_supplement(packed):
    one, two = (path.read_bytes() for path in packed)
    assert one == two
    with zipfile.ZipFile(packed[0]) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}


def test_the_supplement_has_everything_with_its_digest_and_names_no_machine(packed, sidecars):
    with zipfile.ZipFile(packed[0]) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    told = dict(
        reversed(line.split("  ")) for line in members["MANIFEST.sha256"].decode().splitlines()
    )
    assert set(told) == set(members) - {"MANIFEST.sha256"}
    for name, digest in told.items():
        assert hashlib.sha256(members[name]).hexdigest() == digest
    for name in ("README.md", "report.html", "figures/index.html", "config.json", "snakemake.json",
                 "provenance.json", "exports/methods.md", "exports/methods.bib"):  # fmt: skip
        assert name in members
    for record in sidecars:
        assert {f"figures/{record['name']}.{kind}" for kind in gallery.FORMATS} <= set(members)
    root = packed[0].parents[1]
    assert {f"tables/{path.name}" for path in (root / "tables").glob("*.csv")} <= set(members)
    made = {path.relative_to(root).as_posix() for path in (root / "exports").rglob("*.graphml")}
    made |= {path.relative_to(root).as_posix() for path in (root / "exports").rglob("*.json")}
    left = {"exports/features/demo/1.json"}
    assert left < made and made - left <= set(members) and not left & set(members)
    for name in made - left:
        assert members[name] == (root / name).read_bytes()
        folder = Path(name).parent if "/demo/" not in name else Path(name).parents[1]
        assert f"`{folder}/`" in members["README.md"].decode()
    assert json.loads(members["snakemake.json"])["report.html"]["rule"] == "build_report"
    assert json.loads(members["config.json"])["interpreters"]["python"] == "<path>/python"
    for folder in (Path.home(), root, ROOT):
        assert not [name for name in members if str(folder).encode() in members[name]]


def test_page_and_gallery_open_from_the_unpacked_supplement(packed, tmp_path, browser):  # noqa: F811
    with zipfile.ZipFile(packed[0]) as archive:
        archive.extractall(tmp_path)
    for name in ("report.html", "figures/index.html"):
        look_at(browser, tmp_path / name)


# The rules


@pytest.fixture(scope="module")
def quick_config(tmp_path_factory):
    """Writes the quick configuration with changes; each is a file."""

    def write(**changes):
        chosen = yaml.safe_load((ROOT / "tests/config/quick.yaml").read_text())
        path = tmp_path_factory.mktemp("config") / "config.yaml"
        path.write_text(yaml.safe_dump({**chosen, **changes}))
        return path

    return write


def planned(folder, config, *targets):
    """[(rule, outputs, stamp)] of all jobs; asked elsewhere, since a browser has the event loop."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import jobs; from pathlib import Path\n"
        "found = jobs.today(sys.argv[3:], [Path(sys.argv[2])])\n"
        "print(json.dumps([(job.rule, list(map(str, job.outputs)), job.stamp) for job in found]))"
    )
    words = [sys.executable, "-c", code, str(ROOT / "workflow"), str(config), *targets]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_target_figures_draws_all_that_any_rule_draws(quick_config, tmp_path):
    scripts = {path.stem for path in (ROOT / "workflow/scripts").glob("plot_*.py")}
    many = {"demo": {"train": {}}, "early": {"checkpoint": {"of": "demo", "step": 300}}}
    rules = {rule for rule, _, _ in planned(tmp_path, quick_config(models=many), "figures")}
    assert scripts <= rules and "build_gallery" in rules
    assert not {"build_report", "write_methods", "pack_supplement"} & rules


def test_another_palette_and_other_widths_change_figures_pages_and_records_alone(
    quick_config, tmp_path
):
    look = {"palette": "grey", "page_width": 7.0}
    before, after = (
        planned(tmp_path, config, "figures", "supplement")
        for config in (quick_config(), quick_config(figures=look))
    )
    stamps = [{(rule, *files): stamp for rule, files, stamp in jobs} for jobs in (before, after)]
    assert stamps[0].keys() == stamps[1].keys()
    changed = {key[0] for key, stamp in stamps[0].items() if stamps[1][key] != stamp}
    drawn = {rule for rule, _, _ in before if rule.startswith("plot_")}
    pages = {"build_report", "build_gallery", "record_provenance", "pack_supplement"}
    assert changed == drawn | pages


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ({"palette": "rainbow"}, "okabe-ito, tol-bright or grey is needed"),
        ({"column_width": 1}, "inches from 2.5 to 5 are needed"),
        ({"page_width": "wide"}, "inches from 5.5 to 14 are needed"),
    ],
)
def test_a_wrong_look_is_refused_with_what_would_be_right(look, said):
    with pytest.raises(Exception, match=re.escape(said)):
        configuration.validate(config(figures=look), SCHEMA)


def test_the_palettes_of_the_schema_are_those_that_there_are():
    allowed = SCHEMA["properties"]["figures"]["properties"]["palette"]["enum"]
    assert set(allowed) == set(palette.PALETTES)


def test_the_supplement_is_packed_from_all_that_the_target_exports_makes(quick_config, tmp_path):
    path = quick_config()
    exports = planned(tmp_path, path, "exports")
    made = {file for rule, files, _ in exports if rule.startswith("export_") for file in files}
    jobs = planned(tmp_path, path, "supplement")
    assert made and made <= {file for _, files, _ in jobs for file in files}
    (stamp,) = (stamp for rule, _, stamp in jobs if rule == "pack_supplement")
    assert {f"results/{name}" for name in json.loads(stamp["cfg"])["exports"]} == made


@pytest.mark.slow
def test_one_command_packs_a_finished_run(quick_results, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(quick_results.parent, folder)
    done = subprocess.run(
        [*quick_command(folder), "--", "supplement"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with zipfile.ZipFile(folder / "results/exports/supplement.zip") as archive:
        records = json.loads(archive.read("snakemake.json"))
        provenance = json.loads(archive.read("provenance.json"))
        text = archive.read("exports/methods.md").decode()
        archive.extract("config.json", tmp_path)
        names = archive.namelist()
        lists = [name for name in names if re.fullmatch(r"exports/features/[^/]+\.json", name)]
        for name in lists:
            listed = json.loads(archive.read(name))
            assert {f"exports/features/{listed['scan']}/{x}" for x in listed["files"]} <= set(names)
        assert lists and {"edges", "graphs", "graphml"} <= {
            name.split("/")[1] for name in names if "/" in name
        }
    assert {"tables/sizes.csv", "demo/model.json", "report.html"} <= set(records)
    assert provenance["packages"]["snakemake"] in text
    assert set(re.findall(r"@(\w+)", text)) == set(bibliography.cited(text))
    again = [*quick_command(tmp_path / "again"), "--configfile", str(tmp_path / "config.json")]
    (tmp_path / "again").mkdir()
    done = subprocess.run([*again, "--dry-run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "build_report" in done.stdout
