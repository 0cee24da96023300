"""Any number of shards gives the same activations, covariance, graphs, circuits and evaluation."""

import copy

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny_models
from built_chain import DEFAULTS, call
from connectome import (
    ablation,
    activations,
    arrays,
    attribution,
    bench,
    circuit_runs,
    circuits,
    configuration,
    evaluation,
    moments,
    part_graphs,
    prompts,
    scores,
    shards,
    stability,
    tables,
    transformer,
)
from connectome.errors import DataError
from connectome.statistics import bootstrap_weights

NUMBERS = (1, 2, 3, 7)
METRIC = "logit_difference"
STAMP = {"cfg": "{}", "code": ""}
CIRCUITS = {
    "partitions": ["heads", "modules", "features", "top_features"],
    "top_features": 5,
    "slots": ["modules"],
    "methods": ["eap", "eap-ig-inputs"],
    "steps": 2,
    "exact": ["heads"],
    "exact_pairs": 5,
    "batch_pairs": 2,
    "stability_draws": 6,
    "stability_sizes": [0.2],
}
EVALUATION = {
    "partitions": ["heads", "features", "top_features"],
    "methods": ["eap"],
    "ranking": "absolute",
    "sizes": [0.2, 0.5, 1.0],
    "random_draws": 3,
    "random_sizes": [0.2],
    "random_pairs": 7,
    "complement_pairs": 3,
    "batch_pairs": 2,
    "memory_mb": 1,
}


@given(total=st.integers(0, 60), batch=st.integers(1, 9), number=st.integers(1, 12))
def test_every_row_is_in_one_shard_in_order_and_no_batch_is_split(total, batch, number):
    taken = [shards.rows(total, batch, i, number) for i in range(number)]
    assert sum((list(range(total))[rows] for rows in taken), []) == list(range(total))
    assert all(rows.start % batch == 0 for rows in taken if rows.start < total)
    counts = [-(-(rows.stop - rows.start) // batch) for rows in taken]
    assert max(counts) - min(counts) <= 1
    assert counts[0] == max(counts)


def model_of(dtype):
    """The tiny model in the precision of a run, or in float64."""
    return transformer.load(tiny_models.tiny("gpt2")[0], dtype)


def pairs(count=13):
    """Prompts of one split; some share their clean text."""
    columns = tiny_models.prompt_lists(count, seed=4)
    columns[0][3], columns[1][3] = columns[0][2], columns[1][2]
    return prompts.of_lists(*columns)


def graphs_of(model, names):
    features = {site: model.features(site) for site in model.sites}
    return part_graphs.build(
        names, pa.table({}), features, model.size.head_width, 1, slots=CIRCUITS["slots"]
    )


def recorded(folder, number):
    """Part files of 60 short documents: keys and the features of mlp.1."""
    rng = np.random.default_rng(2)
    tokens = [[0, *rng.integers(1, 23, rng.integers(2, 9)).tolist()] for _ in range(60)]
    corpus = pa.table({"document": list(range(60)), "tokens": tokens})
    model = model_of(torch.float32)
    columns = activations.columns_of(model, ["mlp.1"], [])
    layout = activations.schema(columns, "float32")
    for i in range(number):
        path = folder / f"part-{i}-of-{number}.parquet"
        part = activations.shard(corpus, i, number, batch_tokens=40)
        with tables.batch_writer(path, layout, STAMP) as writer:
            for batch in activations.record(model, part, columns, 40, layout):
                writer.write_batch(batch)
        yield path


def covariance(folder, number):
    """Covariance and graph of mlp.1 as the scripts make them, and the rows they are made of."""
    samples = list(recorded(folder, number))
    cfg = {"skip_start": True, "batch_rows": 50}
    about = {"site": "mlp.1", "kind": "activation", "dictionary": "neurons"}
    files = samples
    if number > 1:
        files = [folder / "moments" / f"{path.stem}.npz" for path in samples]
        for path, output in zip(samples, files, strict=True):
            call("compute_covariance", cfg, samples=[path], output=output, **about)
    target, graph = folder / "covariance.npz", folder / "graph.npz"
    call("compute_covariance", cfg, samples=files, output=target, **about)
    settings = DEFAULTS["graph"] | {"block_rows": 64, "min_active": 2}
    cfg = {"graph": settings, "seed": 1}
    call("build_graph", cfg, samples=samples, covariance=target, output=graph)
    return arrays.read_npz(target), arrays.read_npz(graph), samples


def assert_near(found, expected):
    """Equal to 1e-12 of the largest value; whole numbers and text equal."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if values.dtype.kind == "f":
            scale = np.abs(values).max(initial=0)
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12 * scale)
        else:
            np.testing.assert_array_equal(found[name], values)


def test_covariance_and_graph_with_rolled_nulls_do_not_depend_on_shards(tmp_path):
    folders = {number: tmp_path / str(number) for number in NUMBERS}
    found = {number: covariance(folder, number) for number, folder in folders.items()}
    (content, meta), (graph, about), samples = found[1]
    rows = tables.read_table(samples[0])
    kept = rows.filter(pa.compute.greater(rows["position"], 0))
    x = kept["mlp.1.hidden"].combine_chunks().flatten().to_numpy().reshape(len(kept), -1)
    expected = np.cov(x.T.astype(np.float64))
    np.testing.assert_allclose(moments.covariance(moments.full(content)), expected, atol=1e-12)
    assert (meta["documents"], meta["samples"]) == (60, len(kept))
    for number in NUMBERS[1:]:
        (other, other_meta), (other_graph, other_about), parts_of = found[number]
        assert pa.concat_tables(map(tables.read_table, parts_of)).equals(rows)
        assert_near(other, content)
        assert_near(other_graph, graph)
        assert {**other_meta, "made_by": 0} == {**meta, "made_by": 0}
        assert other_about.keys() == about.keys()
        for name, value in about.items():
            assert other_about[name] == (
                pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            )


def test_a_shard_of_start_tokens_alone_refuses_nothing_for_the_others():
    """One part without a row that counts: the refusal is of all samples, not of a part."""
    origin = {"site": "mlp.0", "kind": "activation", "dictionary": "neurons", "skip_start": True}
    x = np.random.default_rng(0).standard_normal((30, 4))
    some = moments.accumulate([(x, np.arange(30))], origin)
    none = moments.accumulate([(x[:0], np.arange(0))], origin)
    assert none[1]["status"] == "refused"
    content, meta = moments.gather([none, some, none], origin)
    assert (meta["status"], meta["reason"], meta["documents"]) == ("ok", None, 30)
    assert_near(content, some[0])
    assert moments.gather([none, none], origin)[1]["status"] == "refused"


def scored(model, number, ablated):
    settings = CIRCUITS | {"ablation": ablated}
    of_all = graphs_of(model, settings["partitions"])
    found = [
        circuits.score(model, pairs(), of_all, settings, METRIC, i, number) for i in range(number)
    ]
    assert len({tuple(some.top_features) for some in found}) == 1
    content = [scores.scatter(some.scores, some.graphs) for some in found]
    gathered = scores.gather(content, list(found[0].scores), found[0].graphs)
    return found[0].graphs, gathered


def circuit_tables(of_graphs, found):
    return [
        part_graphs.node_table(found, of_graphs, "mean"),
        part_graphs.edge_table(found, of_graphs, "mean"),
        stability.table(found, of_graphs, pairs().groups, CIRCUITS, seed=1),
    ]


@pytest.mark.parametrize("ablated", ["counterfactual", "mean"])
def test_scores_and_stability_are_the_same_bytes_for_any_number_of_shards(ablated):
    """In float32, as they run; seven batches, so that seven shards hold one each."""
    model = model_of(torch.float32)
    expected = circuit_tables(*scored(model, 1, ablated))
    assert expected[0]["n"].to_pylist()[0] == 13
    for number in (*NUMBERS[1:], 9):
        assert circuit_tables(*scored(model, number, ablated)) == expected


@pytest.mark.parametrize("ablated", ["counterfactual", "mean"])
def test_gathered_scores_are_those_of_all_prompts_at_once(ablated):
    model = model_of(torch.float64)
    of_graphs, found = scored(model, 3, ablated)
    few = pairs().rows(slice(5))
    whole = attribution.attribute(
        *(model, pairs(), of_graphs, CIRCUITS["methods"], METRIC, ablated, 2),
        nodes_only=["features"],
    )
    whole["heads", "exact"] = attribution.exact(
        model, few, of_graphs["heads"], METRIC, ablated, discovery=pairs()
    )
    assert whole.keys() == found.keys()
    for key, expected in whole.items():
        scale = np.abs(expected.nodes).max()
        np.testing.assert_allclose(found[key].nodes, expected.nodes, atol=1e-12 * scale)
        assert (expected.edges is None) == (found[key].edges is None)
        if expected.edges is not None:
            kept = expected.edges * of_graphs[key[0]].exists
            np.testing.assert_allclose(found[key].edges, kept, atol=1e-12 * scale)


def test_shards_that_chose_other_top_features_are_refused(tmp_path):
    names = [tmp_path / f"part-{i}-of-2.npz" for i in (0, 1)]
    about = [{"top_features": ["m0.n1"]}, {"top_features": ["m0.n2"]}]
    scores.check_alike({names[0]: about[0], names[1]: about[0]})
    with pytest.raises(DataError, match="part-1-of-2.npz: its top features .* machines of one"):
        scores.check_alike(dict(zip(names, about, strict=True)))


@pytest.fixture(scope="module")
def selected():
    """Graphs, and the tables of scores that circuits are selected by."""
    model = model_of(torch.float64)
    of_graphs, found = scored(model, 1, "counterfactual")
    tables_of = circuit_tables(of_graphs, found)
    return of_graphs, *tables_of[:2]


def measured(model, selected, number, ablated):
    heldout, discovery, found = pairs(), pairs(5), []
    plan = circuit_runs.plan(*selected, EVALUATION, seed=1)
    for i in range(number):
        again = circuit_runs.plan(*selected, EVALUATION, seed=1)
        for run, other in zip(plan.runs, again.runs, strict=True):
            np.testing.assert_array_equal(run.kept, other.kept)
        rows = shards.rows(len(heldout), EVALUATION["batch_pairs"], i, number)
        values = circuit_runs.measure(
            model, heldout, discovery, rows, again.runs, METRIC, ablated, EVALUATION
        )
        found.append(values | {"groups": heldout.groups})
    about = {"curves": plan.curves, "nulls": plan.nulls}
    return plan, evaluation.gather(found, about)


def evaluated(found):
    weights = bootstrap_weights(found.groups, 50, 1)
    return evaluation.tables(evaluation.all_curves(found, weights), **evaluation.counts(found))


@pytest.mark.parametrize("ablated", ["counterfactual", "mean"])
def test_evaluation_is_the_same_bytes_for_any_number_of_shards(selected, ablated):
    """Curves, intervals and p values against random circuits, in float32, as they run."""
    model = model_of(torch.float32)
    expected = evaluated(measured(model, selected, 1, ablated)[1])
    tested = [row for row in expected[0].to_pylist() if row["p"] is not None]
    assert {(row["mode"], row["null_pairs"]) for row in tested} == {
        ("circuit", 7),
        ("complement", 3),
    }
    for number in (*NUMBERS[1:], 9):
        assert evaluated(measured(model, selected, number, ablated)[1]) == expected


@pytest.mark.parametrize("ablated", ["counterfactual", "mean"])
def test_gathered_runs_are_those_of_all_prompts_at_once(selected, ablated):
    model = model_of(torch.float64)
    plan, found = measured(model, selected, 3, ablated)
    values = ablation.ablated_values(model, pairs(), ablated, pairs(5))
    on = bench.prepare(model, pairs(), values, METRIC, np.zeros((0, 13)), 10**9)
    assert_near(
        {"model": found.reference.model, "empty": found.reference.empty},
        {"model": on.reference.model, "empty": on.reference.empty},
    )
    for run in plan.runs:
        few = on if run.pairs is None else on.part(run.pairs)
        expected = getattr(few, {"edge": "edges", "node": "nodes"}[run.intervention])
        for name, whole in expected(run.graph, run.kept).items():
            if name in run.measures:
                scale = max(1, np.abs(whole).max())
                got = found.values[f"{run.name}/{name}"]
                np.testing.assert_allclose(got, whole, rtol=0, atol=1e-12 * scale)


def write_parts(folder, number, rows=24):
    """Parts of `number` shards as the recording script leaves them, one after the other."""
    for i in range(number):
        path = folder / f"part-{i}-of-{number}.parquet"
        mine = list(range(rows))[shards.rows(rows, 1, i, number)]
        tables.write_table(path, {"row": mine}, STAMP)
        shards.keep_only(path)
        yield sorted(found.name for found in folder.iterdir())


def test_from_four_shards_to_three_three_parts_are_left_and_every_row_is_read_once(
    tmp_path,
):
    *_, names = write_parts(tmp_path, 4)
    assert len(names) == 4
    first, second, names = write_parts(tmp_path, 3)
    assert (len(first), len(second)) == (5, 6)  # a set that is not whole removes nothing
    assert names == [f"part-{i}-of-3.parquet" for i in range(3)]
    found = pyarrow.dataset.dataset(tmp_path).to_table()
    assert sorted(found["row"].to_pylist()) == list(range(24))


def test_what_is_no_part_stays(tmp_path):
    for name in ("part-0-of-2.npz", "part-1-of-2.npz", "notes.txt", ".part-0-of-1.npz.77.tmp"):
        (tmp_path / name).touch()
    shards.keep_only(tmp_path / "notes.txt")
    assert len(list(tmp_path.iterdir())) == 4
    (tmp_path / "part-0-of-1.npz").touch()
    shards.keep_only(tmp_path / "part-0-of-1.npz")
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"part-0-of-1.npz", "notes.txt", ".part-0-of-1.npz.77.tmp"}


@pytest.mark.parametrize("section, split", [("circuits", "discovery"), ("evaluation", "heldout")])
def test_shards_without_prompts_are_refused_before_anything_runs(section, split):
    config = copy.deepcopy(DEFAULTS)
    config["pairs"][split], config[section]["batch_pairs"] = 90, 40
    config[section]["shards"] = 3
    assert not list(configuration._shard_faults(config))
    config[section]["shards"] = 4
    [fault] = configuration._shard_faults(config)
    assert fault.startswith(f"{section}.shards: 4 shards are more than the 3 batches of 40")
