"""Recording: the right values for every token, whatever the batch, the padding, the shards."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from connectome import activations, tables, transformer
from connectome.errors import ConfigError
from connectome.transformer import Batch, forward
from tiny_models import KINDS, tiny

TOKENS = [[1, 2, 3, 4, 5], [1, 7], [1, 9, 9, 4], [1, 3, 2, 1, 5, 6, 7]]  # 1 opens and recurs


def corpus():
    return pa.table({"document": list(range(4)), "tokens": TOKENS})


def recorded(model, batch_tokens, outputs=(), dtype="float32", rows=None):
    columns = activations.columns_of(model, "all", outputs)
    layout = activations.schema(columns, dtype)
    batches = activations.record(model, rows or corpus(), columns, batch_tokens, layout)
    return pa.Table.from_batches(list(batches), schema=layout)


def matrix(table, name):
    column = table[name].combine_chunks()
    return column.flatten().to_numpy().reshape(len(table), -1)


@pytest.mark.parametrize("family", KINDS)
def test_rows_are_the_tokens_and_do_not_depend_on_the_batch(family):
    _, model = tiny(family)
    alone, together = recorded(model, 1), recorded(model, 1000)
    assert alone["token"].to_pylist() == sum(TOKENS, [])
    assert alone["position"].to_pylist() == [i for ids in TOKENS for i in range(len(ids))]
    assert alone["document"].to_pylist() == [i for i, ids in enumerate(TOKENS) for _ in ids]
    for name in alone.column_names[3:]:
        np.testing.assert_allclose(matrix(alone, name), matrix(together, name), atol=1e-6)


@pytest.mark.parametrize("family", KINDS)
def test_outputs_are_the_differences_of_the_residual_stream(family):
    """The stream of transformers' own model, layer by layer."""
    from transformers import AutoModelForCausalLM

    folder, model = tiny(family)
    outputs = ["embed", "attn.0", "mlp.0", "attn.1", "mlp.1", "resid.0"]
    table = recorded(model, 9, outputs)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    rows = 0
    for ids in TOKENS:
        with torch.no_grad():
            hidden = reference(torch.tensor([ids]), output_hidden_states=True).hidden_states
        here = slice(rows, rows + len(ids))
        rows += len(ids)
        np.testing.assert_allclose(matrix(table, "embed")[here], hidden[0][0], atol=1e-5)
        np.testing.assert_allclose(matrix(table, "resid.0")[here], hidden[1][0], atol=1e-5)
        block = matrix(table, "attn.0")[here] + matrix(table, "mlp.0")[here]
        np.testing.assert_allclose(block, hidden[1][0] - hidden[0][0], atol=1e-5)


def test_features_written_out_are_the_module():
    _, model = tiny("gpt2")
    table = recorded(model, 9, ["attn.1", "mlp.1"])
    for site, name in (("attn.1", "attn.1.values"), ("mlp.1", "mlp.1.hidden")):
        written = matrix(table, name) @ model.writing(site).numpy()
        expected = matrix(table, site) - model.module(site).constant.numpy()
        np.testing.assert_allclose(written, expected, atol=1e-5)


def test_shards_cover_every_document_once_and_change_no_value():
    """Documents run in the same batches: equal to the last bit, in the float32 that is recorded."""
    model = transformer.load(tiny("gpt2")[0], torch.float32)
    table, columns = corpus(), activations.columns_of(model, "all", ["resid.1"])
    layout = activations.schema(columns, "float32")
    batch_tokens = 12
    assert len(list(activations.groups(table["tokens"].to_pylist(), batch_tokens))) == 3
    expected = recorded(model, batch_tokens, ["resid.1"])
    for shards in (1, 2, 3, 7):
        parts = [activations.shard(table, i, shards, batch_tokens) for i in range(shards)]
        assert sum((part["document"].to_pylist() for part in parts), []) == [0, 1, 2, 3]
        batches = [
            batch
            for part in parts
            for batch in activations.record(model, part, columns, batch_tokens, layout)
        ]
        assert pa.Table.from_batches(batches, schema=layout).equals(expected)


def test_half_precision_columns_are_half_as_wide():
    _, model = tiny("gpt2")
    table = recorded(model, 1000, dtype="float16")
    assert table.schema.field("mlp.0.hidden").type == pa.list_(
        pa.field("item", pa.float16(), False), 12
    )
    exact = matrix(recorded(model, 1000), "mlp.0.hidden")
    np.testing.assert_allclose(matrix(table, "mlp.0.hidden"), exact, rtol=2e-3, atol=1e-4)


def test_only_listed_sites_are_recorded():
    _, model = tiny("gpt2")
    assert activations.columns_of(model, ["mlp.1"], ["embed"]) == {"mlp.1.hidden": 12, "embed": 8}


def test_what_cannot_fit_is_refused_before_it_runs(tmp_path):
    layout = activations.schema({"mlp.0.hidden": 10**9}, "float32")
    rows = pa.table({"document": [0], "tokens": [list(range(1000))]})
    with pytest.raises(ConfigError, match="are free at .*; record fewer sites"):
        activations.check_space(tmp_path / "part.parquet", rows, layout)


def test_files_are_written_as_the_readers_want_them(tmp_path):
    _, model = tiny("gpt2")
    table = recorded(model, 1000)
    path = tmp_path / "part.parquet"
    with tables.batch_writer(path, table.schema, {"cfg": "{}", "code": "x"}) as writer:
        for batch in table.to_batches():
            writer.write_batch(batch)
    assert tables.read_meta(path)["made_by"]["code"] == "x"
    [(values, keys)] = list(tables.iter_column([path], "attn.1.values", ("position",)))
    np.testing.assert_array_equal(values, matrix(table, "attn.1.values"))
    assert keys["position"].tolist() == table["position"].to_pylist()


def test_the_start_token_is_a_place_not_an_id():
    """Token 1 opens every document and stands within them; padding is token 0."""
    _, model = tiny("gpt2")
    together = forward(model, Batch.of(TOKENS)).streams[-1]
    for row, ids in enumerate(TOKENS):
        alone = forward(model, Batch.of([ids])).streams[-1][0]
        torch.testing.assert_close(together[row, : len(ids)], alone, atol=1e-12, rtol=0)
