"""A small configuration with one shard and with three: equal files; which jobs a change runs."""

import collections
import json
import shutil
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pytest

import stranger_model
from conftest import quick_command
from connectome import arrays, tables
from toy_workflow import jobs

pytestmark = pytest.mark.slow

TARGET = "results/one/neurons/evaluation/ten.parquet"
COVARIANCE = "results/one/neurons/covariance/mlp.0.activation.npz"
SIZES = {"corpus": {"documents": 8}, "activations": {"batch_tokens": 100}}
SIZES |= {"circuits": {"batch_pairs": 4}, "evaluation": {"batch_pairs": 4}}


def with_shards(**numbers):
    """Changes of the configuration: documents in four batches, prompts in three."""
    changes = {section: dict(keys) for section, keys in SIZES.items()}
    for section, number in numbers.items():
        changes[section]["shards"] = number
    return changes


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Results with one shard and with three, of the same model, text and prompts."""
    found = {}
    for number in (1, 3):
        folder = found[number] = tmp_path_factory.mktemp(f"shards_{number}")
        if number > 1:
            shutil.copytree(found[1] / "model", folder / "model")
        text = "\n\n".join(stranger_model.document(first) for first in range(8))
        (folder / "text.txt").write_text(text, encoding="utf-8")
        changes = with_shards(activations=number, circuits=number, evaluation=number)
        stranger_model.run(folder, changes, TARGET)
    # Snakemake's own records of the first, by which it sees that inputs are others
    command = quick_command(found[1], config=str(found[1] / "small.json"))
    words = [*command, "--touch", "--forceall", TARGET]
    subprocess.run(words, check=True, capture_output=True)
    return found


def activations_of(folder):
    paths = sorted((folder / "results/one/activations.parquet").iterdir())
    return [tables.read_table(path) for path in paths]


def test_three_shards_give_the_same_activations_covariance_graphs_and_partitions(folders):
    [whole], parts = activations_of(folders[1]), activations_of(folders[3])
    assert len(parts) == 3 and all(len(part) for part in parts)
    assert pa.concat_tables(parts).equals(whole)
    one, three = (folders[number] / "results/one/neurons" for number in (1, 3))
    compared = 0
    for path in [*one.glob("covariance/*.npz"), *one.glob("graph/*.npz")]:
        other, _ = arrays.read_npz(three / path.relative_to(one))
        for name, values in arrays.read_npz(path)[0].items():
            atol = 1e-12 * np.abs(values).max(initial=0) if values.dtype.kind == "f" else 0
            np.testing.assert_allclose(other[name], values, rtol=0, atol=atol)
            compared += values.size
    assert compared > 1000
    partitions = "partitions.parquet"
    assert tables.read_table(three / partitions).equals(tables.read_table(one / partitions))


def test_three_shards_give_the_same_circuits_and_evaluation(folders):
    one, three = (folders[number] / "results/one/neurons" for number in (1, 3))
    files = [f"circuits/ten.{of}.parquet" for of in ("nodes", "edges", "stability")]
    files += [f"evaluation/ten.{of}parquet" for of in ("", "summaries.")]
    for name in files:
        table = tables.read_table(one / name)
        assert len(table) > 0
        assert tables.read_table(three / name).equals(table), name
    assert len(list(three.glob("circuits/ten.scores/*"))) == 3
    assert len(list(three.glob("evaluation/ten.runs/*"))) == 3


def planned(folder, changes, target=TARGET):
    """Jobs that a dry run with these changes would start, counted by rule."""
    config = json.loads((folder / "small.json").read_text())
    for section, keys in changes.items():
        config[section] = config[section] | keys
    (folder / "changed.json").write_text(json.dumps(config))
    command = quick_command(folder, config=str(folder / "changed.json"))
    done = subprocess.run([*command, "--dry-run", target], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return collections.Counter(jobs(done.stdout))


def test_another_number_of_shards_runs_its_own_stage_again_and_what_lies_below(folders):
    folder = folders[1]
    found = planned(folder, {"evaluation": {"shards": 3}})
    assert found == {"run_circuits": 3, "evaluate_circuit": 1}
    found = planned(folder, {"circuits": {"shards": 2}})
    below = {"run_circuits": 1, "evaluate_circuit": 1}
    assert found == {"score_prompts": 2, "attribute_circuit": 1, **below}
    found = planned(folder, {"activations": {"shards": 3}}, COVARIANCE)
    assert found == {"record_activations": 3, "compute_moments": 3, "compute_covariance": 1}


def test_from_four_parts_to_three_the_run_leaves_three_and_the_same_covariance(folders):
    """Through Snakemake itself: moments of parts are used up, and a second call does nothing."""
    folder = folders[1]
    expected, _ = arrays.read_npz(folder / COVARIANCE)
    rows = len(activations_of(folder)[0])
    config = json.loads((folder / "small.json").read_text())
    for number in (4, 3):
        config["activations"]["shards"] = number
        (folder / "parts.json").write_text(json.dumps(config))
        command = quick_command(folder, config=str(folder / "parts.json"))
        done = subprocess.run([*command, "--", COVARIANCE], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        names = sorted(path.name for path in (folder / "results/one/activations.parquet").iterdir())
        assert names == [f"part-{i}-of-{number}.parquet" for i in range(number)]
        data = pyarrow.dataset.dataset(folder / "results/one/activations.parquet")
        assert data.count_rows() == rows
        assert not list(folder.glob("results/one/neurons/covariance/*.parts/*"))
        content, _ = arrays.read_npz(folder / COVARIANCE)
        for name, values in expected.items():
            atol = 1e-12 * np.abs(values).max()
            np.testing.assert_allclose(content[name], values, rtol=0, atol=atol)
        words = [*command, "--dry-run", COVARIANCE]
        again = subprocess.run(words, capture_output=True, text=True, check=True)
        assert "Nothing to be done" in again.stdout + again.stderr
