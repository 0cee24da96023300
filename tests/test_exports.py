"""Exports: direct effects within a prompt, their pruning, and the files that other tools read."""

import json
import re
from xml.etree import ElementTree

import jsonschema
import networkx
import numpy as np
import pyarrow as pa
import pytest
import torch

import built_chain
from conftest import ROOT
from connectome import (
    arrays,
    configuration,
    dictionary_files,
    direct_effects,
    exchange,
    feature_export,
    graph_export,
    graphml,
    influence,
    part_graphs,
    parts,
    tables,
    transformer,
)
from connectome.errors import ConfigError, DataError
from connectome.scores import Scores
from tiny_models import KINDS, dictionary, gpt2, tiny

torch.set_num_threads(1)
IDS = [0, 7, 3, 3, 15, 22]
NASTY = ["</script><!--<script>", '"><img src=x onerror=1>', "=1+1", "\u202e", "\0", "\udc80"]
NASTY += ["\U0001f600", "x" * 5000, '"(p=0.9)', "a\nb", "\ufffe", "  "]
TRANSCODED = ("gpt2_coded", "llama_coded", "gemma2_coded")  # some with a skip path
INNER = (graph_export.FEATURE, "mlp reconstruction error")
SETTINGS = {"nodes": 15, "logits": 4, "logit_share": 0.95, "node_share": 0.8, "edge_share": 0.98}


def everything(model, trace):
    """Readers of all units and of some logits, and all writers: each unit by itself."""
    units, writers = {}, {"embed": [direct_effects.embedding_writers(trace)]}
    for site in direct_effects.mlp_sites(model):
        values = direct_effects.unit_values(model, trace, site)
        units[site] = torch.ones_like(values).nonzero()
        writers[site] = [direct_effects.unit_writers(model, trace, site, units[site])]
        if site in model.dictionaries:
            rest = direct_effects.remainder(model, trace, site, units[site])
            writers[site].append(rest)
    return units, writers


def logits_of(model, trace):
    """Logits at the end less their mean, before a cap."""
    normed = transformer.normalise(trace.streams[-1], model.size).x[0, -1]
    logits = normed @ model.unembedding + model.unembedding_bias
    return logits - logits.mean()


def model_of(family):
    return direct_effects.with_transcoders(tiny(family)[1])


@pytest.mark.parametrize("family", [*sorted(KINDS), *TRANSCODED])
def test_effects_and_constant_add_up_to_what_is_read(family):
    model = model_of(family)
    assert bool(model.dictionaries) == (family in TRANSCODED)
    trace = direct_effects.frozen(model, IDS)
    units, writers = everything(model, trace)
    for site, of_site in units.items():
        readers = direct_effects.unit_readers(model, trace, site, of_site)
        found = direct_effects.effects(model, trace, readers, writers)
        total = sum(x.sum(1) for x in found.by_site.values()) + found.constant
        read = direct_effects.unit_inputs(model, trace, site, of_site)
        assert (total - read).abs().max() < 1e-9
    readers = direct_effects.logit_readers(model, trace, range(model.size.vocabulary))
    found = direct_effects.effects(model, trace, readers, writers)
    total = sum(x.sum(1) for x in found.by_site.values()) + found.constant
    assert (total - logits_of(model, trace)).abs().max() < 1e-9


def run_frozen(model, trace, removed):
    """Streams before each site where one unit, (site, position, number), writes nothing, and all
    other units write what they wrote: straight through frozen patterns and scales."""
    stream, before = trace.streams[0][0].clone(), []
    for site in model.sites:
        before.append(stream)
        module, left = model.module(site), trace.normed[site].scale[0]
        factor = trace.behind[site].scale[0] * module.gain if module.gain is not None else 1.0
        if site.startswith("attn"):
            x = before[model.reads(site)]
            x = (x - x.mean(-1, keepdim=True) if model.size.centred else x) * left
            heads = zip(
                trace.attended[site].pattern[:, 0], module.value, module.output, strict=True
            )
            written = sum(pattern @ x @ value.T @ output for pattern, value, output in heads)
        else:
            values = direct_effects.unit_values(model, trace, site).clone()
            if removed[0] == site:
                values[removed[1], removed[2]] = 0
            written = values @ module.output
        stream = stream + written * factor + module.constant
    return [*before, stream]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "gemma2"])
def test_an_effect_is_what_a_reader_loses_without_the_writer(family):
    _, model = tiny(family)
    trace = direct_effects.frozen(model, IDS)
    units, writers = everything(model, trace)
    site = direct_effects.mlp_sites(model)[1]
    readers = direct_effects.unit_readers(model, trace, site, units[site])
    found = direct_effects.effects(model, trace, readers, writers)
    scale = trace.normed[site].scale[0]
    for column in (0, 17, len(units["mlp.0"]) - 1):
        removed = ("mlp.0", *units["mlp.0"][column].tolist())
        reads = []
        for streams in (run_frozen(model, trace, ("",)), run_frozen(model, trace, removed)):
            x = streams[model.reads(site)]
            x = (x - x.mean(-1, keepdim=True) if model.size.centred else x) * scale
            reads.append((x[readers.position] * readers.vector).sum(1))
        lost = reads[0] - reads[1]
        assert (lost - found.by_site["mlp.0"][:, column]).abs().max() < 1e-9


@pytest.mark.parametrize("family", ["gpt2", "llama", *TRANSCODED])
@pytest.mark.parametrize("count", [9, 10_000])
def test_a_graph_loses_nothing_to_the_units_that_are_no_nodes(family, count):
    model = model_of(family)
    trace = direct_effects.frozen(model, IDS)
    found = direct_effects.outputs(model, trace, [4], [5], 0.9, 3)
    graph = direct_effects.graph(model, trace, IDS, found, count)
    assert np.abs(np.triu(graph.effects)).max() == 0  # sources come before targets
    assert graph.kind.count("unit") <= count
    logits = [i for i, kind in enumerate(graph.kind) if kind == "logit"]
    expected = logits_of(model, trace)[found.tokens].numpy()
    read = graph.effects[logits].sum(1) + graph.constant[logits]
    np.testing.assert_allclose(read, expected, atol=1e-9)
    for node in [i for i, kind in enumerate(graph.kind) if kind == "unit"]:
        site = direct_effects.mlp_sites(model)[graph.layer[node]]
        unit = torch.tensor([[graph.position[node], graph.number[node]]])
        wanted = direct_effects.unit_inputs(model, trace, site, unit).item()
        read = graph.effects[node].sum() + graph.constant[node]
        assert read == pytest.approx(wanted, abs=1e-9)


def layered(seed, size=40):
    """A random graph of direct effects, and weights of its last nodes."""
    rng = np.random.default_rng(seed)
    effects = np.tril(rng.normal(size=(size, size)) * (rng.random((size, size)) < 0.4), -1)
    weights = np.zeros(size)
    weights[-3:] = [0.5, 0.3, 0.2]
    effects[-3:, -3:] = 0
    return effects, weights


def test_influence_is_the_closed_form():
    for seed in range(5):
        effects, weights = layered(seed)
        normalised = influence.shares(effects)
        eye = np.eye(len(weights))
        closed = weights @ (np.linalg.inv(eye - normalised) - eye)
        np.testing.assert_allclose(influence.influence(normalised, weights), closed, atol=1e-9)
        through = influence.edge_influence(normalised, weights)
        np.testing.assert_allclose(through, normalised * (closed + weights)[:, None], atol=1e-9)


def test_pruning_keeps_shares_and_drops_what_hangs_loose():
    for seed in range(5):
        effects, weights = layered(seed)
        number = np.arange(len(weights))
        always = (number < 4) | (number >= 37)
        inner = (number >= 8) & (number < 37)
        kept = influence.prune(effects, weights, always, inner, 0.8, 0.98)
        assert kept.nodes[always].all() and kept.nodes.sum() < len(weights)
        assert not kept.edges[:, ~kept.nodes].any() and not kept.edges[~kept.nodes].any()
        for node in np.flatnonzero(kept.nodes & ~always):
            assert kept.edges[:, node].any()
            assert kept.edges[node].any() or not inner[node]
        reach = influence.influence(influence.shares(effects), weights)
        order = np.argsort(-reach, kind="stable")
        np.testing.assert_allclose(kept.cumulative[order], np.cumsum(reach[order]) / reach.sum())


def test_shares_of_a_hand_worked_graph():
    # 0 -> 1 -> 3 and 0 -> 3, 2 -> 3: the last node is the output
    effects = np.zeros((4, 4))
    effects[1, 0], effects[3, 0], effects[3, 1], effects[3, 2] = -5.0, 1.0, -2.0, 1.0
    weights = np.array([0.0, 0.0, 0.0, 1.0])
    found = influence.influence(influence.shares(effects), weights)
    np.testing.assert_allclose(found, [0.75, 0.5, 0.25, 0.0])
    assert influence.leading(found, 0.5).tolist() == [True, False, False, False]
    assert influence.leading(found, 0.51).tolist() == [True, True, False, False]
    np.testing.assert_allclose(influence.cumulative(found), [0.5, 1.25 / 1.5, 1.0, 1.0])


def text_of(token):
    return NASTY[token % len(NASTY)]


def exported(model, **changes):
    """A graph file of a tiny model, as read back from its text, and the whole graph behind it."""
    settings = SETTINGS | changes
    trace = direct_effects.frozen(model, IDS)
    found = direct_effects.outputs(
        model, trace, [4], [5], settings["logit_share"], settings["logits"]
    )
    graph = direct_effects.graph(model, trace, IDS, found, settings["nodes"])
    nodes = graph_export.Nodes(*graph[:5])
    probability = dict(zip(found.tokens, found.probability, strict=True))
    about = graph_export.About(
        slug="demo-neurons-ioi-0",
        scan="demo",
        prompt="".join(map(text_of, IDS)),
        tokens=IDS,
        layers=model.size.layers,
        probability=probability,
        targets=[4],
        text_of=text_of,
        rois={layer: np.arange(12) % 3 - 1 for layer in range(model.size.layers)},
        partition="rois_attribution",
        settings=settings,
    )
    weights = graph_export.weights_of(nodes, probability)
    kept = graph_export.keep(nodes, graph.effects, weights, settings)
    record = graph_export.record(nodes, graph.effects, kept, about)
    return json.dumps(record, sort_keys=True, allow_nan=False), about, graph, kept


def check(record, name):
    """Validate against a schema of the results; the schema itself is sound."""
    schema = configuration.read_yaml(ROOT / f"workflow/schemas/{name}.schema.yaml")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(record)


def check_graph(record):
    """What a schema cannot say of a graph."""
    check(record, "attribution_graph")
    names = [node["node_id"] for node in record["nodes"]]
    assert len(set(names)) == len(names)
    assert all(node["jsNodeId"] == node["node_id"] for node in record["nodes"])
    layer = {
        node["node_id"]: -1 if node["layer"] == "E" else int(node["layer"])
        for node in record["nodes"]
    }
    place = {node["node_id"]: node["ctx_idx"] for node in record["nodes"]}
    pairs = [(link["source"], link["target"]) for link in record["links"]]
    assert len(set(pairs)) == len(pairs)
    for source, target in pairs:
        assert layer[source] < layer[target] and place[source] <= place[target]
    moved = record["metadata"]["generation_settings"]["layers_moved_up"]
    for node in record["nodes"]:
        level, middle, position = re.fullmatch(r"(E|\d+)_(-?\d+)_(\d+)", node["node_id"]).groups()
        assert (level, int(position)) == (node["layer"], node["ctx_idx"])
        if node["feature_type"] == graph_export.FEATURE:
            found = graph_export.cantor_inverse(node["feature"])
            assert found == (int(level) - moved, int(middle))
        assert (middle == "-1") == (node["feature"] == -1)
    inner = [layer[n["node_id"]] for n in record["nodes"] if n["feature_type"] in INNER]
    assert not inner or max(inner) > 0  # Neuronpedia: "No layer found"
    # circuit-tracer reads the files of features from the folder named here, by the layer of a node
    folder = record["metadata"]["feature_details"]["folder"]
    for level in inner if record["metadata"]["scan"].startswith("custom-") else ():
        assert folder == f"../features/{record['metadata']['transcoder_list'][level]}"
    for _, *members in record["qParams"]["supernodes"]:
        assert set(members) <= set(names) and len(members) > 1


def test_a_dictionary_that_reads_what_a_module_writes_is_refused():
    with pytest.raises(DataError, match="no transcoder"):
        direct_effects.frozen(tiny("gpt2_coded")[1], IDS)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_graph_file_is_what_viewers_read(family):
    _, model = tiny(family)
    text, about, graph, kept = exported(model)
    record = json.loads(text)
    check_graph(record)
    assert text == exported(model)[0]  # same bytes twice
    kinds = [node["feature_type"] for node in record["nodes"]]
    assert kinds.count("embedding") == len(IDS)  # tokens and logits always stay
    assert kinds.count("logit") == len(about.probability)
    assert {4} == {node["feature"] for node in record["nodes"] if node["is_target_logit"]}
    assert record["qParams"]["supernodes"]
    assert len(record["links"]) == (kept.edges & (graph.effects != 0)).sum()
    assert 0 < len(record["nodes"]) < len(graph.kind)
    values = [node["influence"] for node in record["nodes"] if "influence" in node]
    kept_values = [
        node["influence"] for node in record["nodes"] if node["feature_type"] == kinds[len(IDS)]
    ]
    assert all(0 < value <= 1 for value in values) and min(kept_values) < 0.8
    for node in record["nodes"]:
        if node["feature_type"] == "logit":
            assert f"(p={node['token_prob']:.3f})" in node["clerp"]
        if node["feature_type"] == graph_export.FEATURE:
            layer, index = graph_export.cantor_inverse(node["feature"])
            roi = f" (m{layer}.r{index % 3 - 1})" if index % 3 else ""
            assert node["clerp"] == f"mlp.{layer}:{index}{roi}"


def test_a_model_of_one_layer_stands_one_layer_higher(tmp_path):
    model = transformer.load(gpt2(tmp_path, n_layer=1), torch.float64)
    record = json.loads(exported(model)[0])
    check_graph(record)
    layers = {(node["feature_type"], node["layer"]) for node in record["nodes"]}
    assert (graph_export.FEATURE, "1") in layers and ("logit", "3") in layers


def test_a_graph_pruned_to_its_first_layer_stands_one_layer_higher():
    _, about, graph, kept = exported(tiny("gpt2")[1])
    nodes = graph_export.Nodes(*graph[:5])
    above = np.array([kind in ("unit", "error") for kind in nodes.kind]) & (nodes.layer > 0)
    assert about.layers > 1 and (kept.nodes & above).any()
    edges = kept.edges & ~above[:, None] & ~above[None, :]
    pruned = kept._replace(nodes=kept.nodes & ~above, edges=edges)
    record = graph_export.record(nodes, graph.effects, pruned, about)
    check_graph(record)
    assert record["metadata"]["generation_settings"]["layers_moved_up"] == 1
    layers = {node["layer"] for node in record["nodes"]}
    assert layers == {"E", "1", str(about.layers + 2)}


def test_errors_have_ids_of_three_numbers_that_no_feature_has():
    model = model_of("gpt2_coded")
    record = json.loads(exported(model)[0])
    names = {node["node_id"] for node in record["nodes"] if node["feature"] == -1}
    assert names and all(re.fullmatch(r"\d+_-1_\d+", name) for name in names)


def test_a_prompt_that_is_not_there_is_a_graph_without_nodes_and_the_reason():
    _, about, _, _ = exported(tiny("gpt2")[1])
    record = graph_export.refused(about, "there are no more prompts")
    check_graph(record)
    assert record["nodes"] == [] and record["reason"] == "there are no more prompts"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r["nodes"][0].pop("clerp"),
        lambda r: r["nodes"][0].update(feature_type="token"),
        lambda r: r["nodes"].append(dict(r["nodes"][0])),
        lambda r: r["links"].append(dict(r["links"][0])),
        lambda r: r["links"][0].update(source="E_99_0"),
        lambda r: r["links"][0].update(
            source=r["links"][0]["target"], target=r["links"][0]["source"]
        ),
        lambda r: r["metadata"].update(prompt="\u202e"),
        lambda r: r["metadata"].pop("scan"),
    ],
)
def test_the_check_of_graph_files_sees_what_is_wrong(spoil):
    record = json.loads(exported(tiny("gpt2")[1])[0])
    spoil(record)
    with pytest.raises((AssertionError, KeyError, jsonschema.ValidationError)):
        check_graph(record)


def test_feature_numbers_are_pairs():
    numbers = [graph_export.cantor(layer, index) for layer in range(40) for index in range(40)]
    assert len(set(numbers)) == len(numbers)
    for number in [*range(500), 10**12 + 7]:
        assert graph_export.cantor(*graph_export.cantor_inverse(number)) == number
    assert graph_export.cantor(0, 41) == 902  # as circuit-tracer has it


def test_a_scan_is_the_model_or_a_digest_that_does_not_depend_on_order():
    assert graph_export.scan_of("demo", []) == "demo"
    found = graph_export.scan_of("demo", [{"site": "mlp.0"}, {"site": "mlp.1", "k": 8}])
    assert re.fullmatch("custom-[0-9a-f]{12}", found)
    assert found == graph_export.scan_of("demo", [{"k": 8, "site": "mlp.1"}, {"site": "mlp.0"}])
    assert found != graph_export.scan_of("demo", [{"site": "mlp.0"}])


def test_the_generator_has_the_version_of_the_project():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{graph_export.GENERATOR["version"]}"' in text


def test_a_feature_file_shows_the_exported_prompts():
    values = [{0: np.array([[0.5, -1.0], [2.0, 0.25]])}, {0: np.array([[3.0, 0.0]])}]
    examples = [feature_export.Example(NASTY[i : i + len(v[0])], v) for i, v in enumerate(values)]
    effect = np.array([0.0, 2.0, -1.0, 0.5, 0.1])
    found = feature_export.record(0, 0, "demo", examples, effect, text_of, 2)
    check(json.loads(json.dumps(found, allow_nan=False)), "feature_file")
    assert (found["index"], found["act_min"], found["act_max"]) == (0, 0.5, 3.0)
    shown = found["examples_quantiles"][0]["examples"]
    assert [example["tokens_acts_list"] for example in shown] == [[3.0], [0.5, 2.0]]
    assert [example["train_token_ind"] for example in shown] == [0, 1]
    assert found["top_logits"] == [graph_export.shown(text_of(t)) for t in (1, 3)]
    assert found["bottom_logits"] == [graph_export.shown(text_of(t)) for t in (2, 0)]


def edge_rows(graph, scores):
    """Rows of an edge table, as far as exports read them."""
    return [
        {
            "src": graph.names[writer],
            "dst": graph.names[graph.readers[reader].node],
            "slot": graph.readers[reader].slot,
            "score": float(scores[reader, writer]),
        }
        for reader, writer in zip(*map(np.ndarray.tolist, graph.edges), strict=True)
    ]


def part_graph(slots):
    features = {"attn.0": 8, "mlp.0": 6, "attn.1": 8, "mlp.1": 6}
    labels = {site: np.arange(count) % 3 - 1 for site, count in features.items()}
    graph = parts.labelled(labels, list(features))
    return parts.with_slots(graph) if slots else graph


@pytest.mark.parametrize("slots", [False, True])
def test_edge_scores_come_back_as_they_were(tmp_path, slots):
    graph = part_graph(slots)
    scores = np.random.default_rng(0).normal(size=graph.exists.shape) * graph.exists
    path = tmp_path / "edges.json"
    arrays.write_json(path, {"edges": exchange.by_name(graph, scores)}, {"cfg": "{}", "code": "{}"})
    check(arrays.read_json(path), "edge_scores")
    found, missing = exchange.read_exchange(path, graph)
    assert missing == 0
    np.testing.assert_array_equal(found, scores)
    heads = parts.modules({"attn.0": 8, "mlp.0": 6}, ["attn.0", "mlp.0"])
    with pytest.raises(DataError):
        exchange.read_exchange(path, heads)


@pytest.mark.parametrize("slots", [False, True])
def test_graphml_comes_back_with_types_and_the_same_numbers(tmp_path, slots):
    graph = part_graph(slots)
    scores = np.random.default_rng(0).normal(size=graph.exists.shape) * graph.exists
    edges = edge_rows(graph, scores)
    nodes = [
        {"node": name, "site": site, "kind": site.split(".")[0], "features": int(size)}
        | {"score": float(place) - 3}
        for place, (name, site, size) in enumerate(
            zip(graph.names[:-1], graph.site_of[:-1], graph.sizes, strict=True)
        )
    ]
    kept = {(row["src"], row["dst"], row["slot"]) for row in edges[::2]}
    drawn = graphml.graph_of(nodes, edges, kept, {}, {"task": "ioi"})
    path, again = tmp_path / "a.graphml", tmp_path / "b.graphml"
    graphml.write(path, drawn)
    graphml.write(again, graphml.graph_of(nodes, edges, kept, {}, {"task": "ioi"}))
    assert path.read_bytes() == again.read_bytes()
    found = networkx.read_graphml(path)
    assert found.is_directed() and found.is_multigraph() == slots
    assert found.graph["task"] == "ioi"
    assert set(found.nodes) == {*graph.names}
    total = sum(abs(row["score"]) for row in nodes)
    for row in nodes:
        node = found.nodes[row["node"]]
        assert node["score"] == row["score"] and node["size"] == row["features"]
        assert node["share"] == pytest.approx(abs(row["score"]) / total)
        assert isinstance(node["layer"], int) and node["label"] == row["node"]
        assert node["roi"] == (row["node"] if ".r" in row["node"] else "")
    assert found.nodes["logits"]["layer"] == 2 and found.nodes["input"]["layer"] == -1
    seen = {(u, v, data["slot"]): data for u, v, data in found.edges(data=True)}
    assert len(seen) == len(edges)
    for row in edges:
        ends = (row["src"], row["dst"], row["slot"])
        assert seen[ends]["score"] == row["score"]
        assert seen[ends]["weight"] == seen[ends]["abs_score"] == abs(row["score"])
        assert seen[ends]["kept"] is (ends in kept)


@pytest.mark.parametrize("slots", [False, True])
def test_graphml_declares_what_gephi_draws_by(tmp_path, slots):
    graph = part_graph(slots)
    edges = [row | {"score": 2} for row in edge_rows(graph, np.ones(graph.exists.shape))]
    nodes = [
        {"node": name, "site": "mlp.0", "kind": "mlp", "features": 1, "score": 1}
        for name in graph.names[:-1]
    ]
    path = tmp_path / "a.graphml"
    graphml.write(path, graphml.graph_of(nodes, edges, set(), {}, {"task": "ioi"}))
    space = {"g": "http://graphml.graphdrawing.org/xmlns"}
    root = ElementTree.parse(path).getroot()
    keys = {
        (key.get("for"), key.get("attr.name")): (key.get("attr.type"), key.get("id"))
        for key in root.findall("g:key", space)
    }
    # Gephi takes the type of a column from here: whole numbers must not make a weight an integer
    assert keys["edge", "weight"][0] == keys["edge", "score"][0] == "double"
    assert keys["node", "label"][0] == "string" and keys["node", "score"][0] == "double"
    (drawn,) = root.findall("g:graph", space)
    assert drawn.get("edgedefault") == "directed"
    names = [node.get("id") for node in drawn.findall("g:node", space)]
    assert names == list(graph.names) and all(re.search("[a-z]", name) for name in names)
    for edge in drawn.findall("g:edge", space):
        found = {data.get("key"): data.text for data in edge.findall("g:data", space)}
        assert float(found[keys["edge", "weight"][1]]) == 2
    for node in drawn.findall("g:node", space):
        found = {data.get("key"): data.text for data in node.findall("g:data", space)}
        assert found[keys["node", "label"][1]] == node.get("id")


def test_graphml_holds_hostile_names(tmp_path):
    nodes = [
        {"node": name, "site": "mlp.0", "kind": name, "features": 1, "score": float("nan")}
        for name in NASTY
    ]
    path = tmp_path / "a.graphml"
    drawn = graphml.graph_of(nodes, [], set(), {NASTY[0]: "\x1b"}, {"task": "\x01"})
    graphml.write(path, drawn)
    found = networkx.read_graphml(path)
    assert len(found) == len(NASTY) + 1
    assert found.nodes["\\u{0}"]["score"] == 0.0
    assert found.nodes[NASTY[0]]["roi"] == "\\u{1b}"
    assert found.nodes["\U0001f600"]["kind"] == "\U0001f600"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A built model with prompts, and ROIs drawn at random."""
    root = tmp_path_factory.mktemp("exports")
    model = built_chain.build(root, "mover")
    prompts = built_chain.make_task(model, "known_indirect_object", 4, 6)
    record = arrays.read_json(model)
    rows = [
        {"site": f"mlp.{layer}", "feature": unit, "rois_attribution": unit % 4 - 1}
        for layer in range(record["layers"])
        for unit in range(record["hidden"])
    ]
    tables.write_table(root / "partitions.parquet", pa.Table.from_pylist(rows), {})
    return root, model, prompts


def export(built, folder, number, dictionaries=()):
    root, model, prompts = built
    output = folder / f"mover-neurons-known_indirect_object-{number}.json"
    settings = SETTINGS | {"nodes": 40, "partition": "rois_attribution"}
    built_chain.call(
        "export_graph",
        {"exports": settings, "model_dtype": "float32"},
        model=model,
        dictionaries=dictionaries,
        prompts=prompts,
        partitions=root / "partitions.parquet",
        prompt=number,
        output=output,
    )
    return output


def test_the_scripts_export_prompts_and_their_features(built, tmp_path):
    graphs = [export(built, tmp_path, number) for number in (0, 1, 999)]
    for path in graphs:
        record = arrays.read_json(path)
        check_graph(record)
        assert record["metadata"]["slug"] == path.stem
        assert record["metadata"]["scan"] == "mover"
        assert ("status" in record) == (path == graphs[2])
    first = graphs[0].read_bytes()
    assert export(built, tmp_path, 0).read_bytes() == first
    _, model, prompts = built
    listed = tmp_path / "mover.neurons.json"
    (tmp_path / "mover").mkdir()
    (tmp_path / "mover/99999.json").write_text("{}")  # of an earlier run
    built_chain.call(
        "export_features",
        {"model_dtype": "float32"},
        model=model,
        graphs=graphs,
        prompts=[prompts],
        dictionaries=[],
        cards=[],
        output=listed,
    )
    found = arrays.read_json(listed)
    assert {path.name for path in (tmp_path / "mover").iterdir()} == set(found["files"])
    nodes = [node for path in graphs for node in arrays.read_json(path)["nodes"]]
    units = [node for node in nodes if node["feature_type"] == graph_export.FEATURE]
    assert {f"{node['feature']}.json" for node in units} == set(found["files"]) and units
    for node in arrays.read_json(graphs[0])["nodes"]:
        if node["feature_type"] == graph_export.FEATURE:
            record = arrays.read_json(tmp_path / f"mover/{node['feature']}.json")
            check(record, "feature_file")
            seen = [
                example["tokens_acts_list"][node["ctx_idx"]]
                for example in record["examples_quantiles"][0]["examples"]
            ]
            assert min(abs(value - node["activation"]) for value in seen) < 1e-3


def write_dictionary(built, folder, kind, code="{}"):
    """A random dictionary of mlp.0 in the files that the workflow has; their paths."""
    width = arrays.read_json(built[1])["width"]
    found = dictionary(kind, width, seed=1).to("cpu", torch.float32)
    files = dictionary_files.Files.of(folder / "mlp.0")
    dictionary_files.write(files, found, None, {}, {"cfg": "{}", "code": code})
    return sorted((folder / "mlp.0").iterdir())


def test_the_scripts_export_transcoders_with_their_cards(built, tmp_path):
    files = write_dictionary(built, tmp_path, "transcoder_skip")
    graph = export(built, tmp_path, 0, files)
    record = arrays.read_json(graph)
    check_graph(record)
    assert record["metadata"]["generation_settings"]["transcoders"] == ["mlp.0"]
    scan = record["metadata"]["scan"]
    assert set(record["metadata"]["transcoder_list"]) == {scan}
    assert re.fullmatch("custom-[0-9a-f]{12}", scan)
    again = write_dictionary(built, tmp_path / "again", "transcoder_skip", '{"a.py": "1"}')
    other = write_dictionary(built, tmp_path / "other", "transcoder")
    for same, those in ((True, again), (False, other)):
        found = arrays.read_json(export(built, tmp_path / "again", 0, those))
        assert (found["metadata"]["scan"] == scan) == same
    fired = [
        index
        for node in record["nodes"]
        if node["feature_type"] == graph_export.FEATURE
        for layer, index in [graph_export.cantor_inverse(node["feature"])]
        if layer == 0
    ]
    assert fired and max(fired) < 7
    name = {"site": "mlp.0", "feature": fired[0]}
    example = {"kind": "top", "rank": 0, "quantile": None, "at": 1}
    example |= {"tokens": NASTY[:2], "scores": [None, 2.0]}
    rows = {
        "cards": name | {"tokens": 80, "fires": 20, "highest": 2.0, "histogram": [15, 5]},
        "examples": name | example,
        "logits": name | {"side": "top", "rank": 0, "text": NASTY[4]},
    }
    for table, row in rows.items():
        tables.write_table(tmp_path / f"{table}.parquet", pa.Table.from_pylist([row]), {})
    built_chain.call(
        "export_features",
        {"model_dtype": "float32"},
        model=built[1],
        graphs=[graph],
        prompts=[built[2]],
        dictionaries=files,
        cards=[tmp_path / f"{table}.parquet" for table in rows],
        output=tmp_path / "mover.tr.json",
    )
    found = arrays.read_json(tmp_path / scan / feature_export.name_of(0, fired[0]))
    check(found, "feature_file")
    assert (found["activation_frequency"], found["act_max"]) == (0.25, 2.0)
    assert (found["histogram"], found["quantile_values"]) == ([15, 5], [0.0, 1.0, 2.0])
    assert [of["quantile_name"] for of in found["examples_quantiles"]] == [
        "Top",
        feature_export.QUANTILE,
    ]
    assert found["top_logits"] == ["\\u{0}"] and found["bottom_logits"] == []


def test_autoencoders_of_outputs_are_refused_with_the_reason(built, tmp_path):
    record = arrays.read_json(export(built, tmp_path, 0, write_dictionary(built, tmp_path, "relu")))
    check_graph(record)
    assert record["status"] == "refused" and "not linear" in record["reason"]


def test_the_script_exports_a_circuit_in_both_formats(tmp_path):
    graph, rng = part_graph(slots=False), np.random.default_rng(0)
    scores = Scores(rng.normal(size=(3, graph.writers)), rng.normal(size=(3, *graph.exists.shape)))
    found, graphs = {("rois", "eap"): scores}, {"rois": graph}
    rows = [{"site": "mlp.0", "feature": unit, "rois": 0} for unit in range(6)]
    made = {
        "nodes": part_graphs.node_table(found, graphs, "zero"),
        "edges": part_graphs.edge_table(found, graphs, "zero"),
        "partitions": pa.Table.from_pylist(rows),
    }
    paths = {name: tmp_path / f"ioi.{name}.parquet" for name in made}
    for name, table in made.items():
        tables.write_table(paths[name], table, {})
    names = {"model": "demo", "dictionary": "neurons", "task": "ioi"}
    size = {"partition": "rois", "method": "eap", "intervention": "edge", "ablation": "zero"}
    size |= {"selected": 9, "requested": 9, "ranking": "absolute", "faithfulness": 0.9}
    tables.write_csv(tmp_path / "sizes.csv", [names | size], [*names, *size])

    def run(partition):
        outputs = [tmp_path / f"{partition}.{ending}" for ending in ("json", "graphml")]
        given = {"partition": partition, "sizes": tmp_path / "sizes.csv"}
        given |= {"scores": outputs[0], "graphml": outputs[1]}
        built_chain.call(
            "export_circuit", {"method": "eap", "partition": "rois"}, **names, **paths, **given
        )
        check(arrays.read_json(outputs[0]), "edge_scores")
        return outputs

    written, drawn = run("rois")
    mean = scores.edges.mean(axis=0) * graph.exists
    np.testing.assert_allclose(exchange.read_exchange(written, graph)[0], mean)
    kept = {(u, v) for u, v, data in networkx.read_graphml(drawn).edges(data=True) if data["kept"]}
    circuit = parts.top_edges(graph, mean, 9, "absolute", fill=False).mask
    assert kept == {tuple(r[k] for k in ("src", "dst")) for r in edge_rows(graph, mean)} & {
        (graph.names[writer], graph.names[graph.readers[reader].node])
        for reader, writer in zip(*map(np.ndarray.tolist, np.nonzero(circuit)), strict=True)
    }
    assert kept
    written, drawn = run("heads")  # never scored
    assert arrays.read_json(written)["status"] == "refused"
    assert len(networkx.read_graphml(drawn)) == 0


def test_a_task_that_is_not_there_is_named():
    defaults = configuration.read_yaml(ROOT / "config/config.yaml")
    config = configuration.complete({"exports": {"tasks": ["ioi", "oii"]}}, defaults)
    with pytest.raises(ConfigError, match=r"exports\.tasks: 'oii' is no task.*ioi"):
        configuration.check(config, conda=True)


def test_effects_do_not_depend_on_how_many_are_traced_at_a_time(monkeypatch):
    _, model = tiny("llama")
    trace = direct_effects.frozen(model, IDS)
    found = direct_effects.outputs(model, trace, [4], [5], 0.9, 3)
    whole = direct_effects.graph(model, trace, IDS, found, 20)
    monkeypatch.setattr(direct_effects, "ROOM", 1)
    np.testing.assert_allclose(
        direct_effects.graph(model, trace, IDS, found, 20).effects, whole.effects, atol=1e-12
    )
