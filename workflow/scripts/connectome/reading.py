"""Finished results by name, for notebooks: tables as DataFrames, masks of circuits, runs of them.

    results = connectome.open("results")
    circuit = results.model("demo").circuit("ioi", partition="rois")
    circuit.nodes, circuit.edges, circuit.curves       # DataFrames
    mask = circuit.mask(edges=40)
    circuit.run(mask, "When Anna and Ben ...", ablation="mean")

Nothing is computed but what is asked for, and nothing is written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from connectome import arrays, models, moments, part_graphs, parts, prompts, tables
from connectome.errors import DataError, did_you_mean
from connectome.parts import PartGraph

SPLITS = ("discovery", "heldout")


def open(root: str | Path) -> "Results":
    """The results folder `root`. Raises DataError where it holds no model."""
    results = Results(Path(root))
    if not results.models:
        raise DataError(f"{root}: no results here: no folder in it has a model.json")
    return results


def _checked(name: str, known: Sequence[str], kind: str) -> str:
    if name not in known:
        raise DataError(f"{kind} {name!r} is not among the results; {did_you_mean(name, known)}")
    return name


@dataclass(frozen=True)
class Results:
    """A results folder."""

    root: Path

    @cached_property
    def models(self) -> list[str]:
        """Short names of the models."""
        return sorted(path.parent.name for path in self.root.glob("*/model.json"))

    @cached_property
    def tables(self) -> list[str]:
        """Names of the tables behind the page."""
        return sorted(path.stem for path in self.root.glob("tables/*.csv"))

    def table(self, name: str) -> pd.DataFrame:
        """A table behind the page, such as "faithfulness"; empty cells are NaN."""
        path = self.root / "tables" / f"{_checked(name, self.tables, 'table')}.csv"
        return pd.read_csv(path, keep_default_na=False, na_values=[""], encoding="utf-8")

    def model(self, name: str, dictionary: str = "neurons") -> "Model":
        """A model, its sites written as the features of a dictionary."""
        folder = self.root / _checked(name, self.models, "model")
        known = sorted(path.parent.name for path in folder.glob("*/partitions.parquet"))
        _checked(dictionary, known, f"dictionary of model {name!r}")
        return Model(folder, dictionary)


@dataclass(frozen=True)
class Model:
    """Results of a model and a dictionary."""

    folder: Path
    dictionary: str

    @property
    def own(self) -> Path:
        """Folder of what was made on this dictionary."""
        return self.folder / self.dictionary

    @cached_property
    def handle(self) -> models.Handle:
        """Where its files lie, and what model.json says of them."""
        return models.open_handle(self.folder / "model.json")

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks that have circuits."""
        ends = ".nodes.parquet"
        found = (self.own / "circuits").glob(f"*{ends}")
        return sorted(path.name.removesuffix(ends) for path in found)

    @cached_property
    def _partitions(self) -> Any:
        return tables.read_table(self.own / "partitions.parquet")

    @property
    def partitions(self) -> pd.DataFrame:
        """Part of every feature of every site under each partition (-1 ungrouped, -2 dead)."""
        return self._partitions.to_pandas()

    @property
    def sites(self) -> list[str]:
        """Mapped sites, in the order of the forward pass."""
        return list(dict.fromkeys(self._partitions["site"].to_pylist()))

    def competence(self, task: str) -> Mapping[str, Any]:
        """What the model can do of a task."""
        return arrays.read_json(self.folder / "tasks" / f"{task}.competence.json")

    def prompts(self, task: str) -> pd.DataFrame:
        """Prompt pairs of a task."""
        return tables.read_table(self.folder / "tasks" / f"{task}.parquet").to_pandas()

    def correlation(self, site: str, kind: str = "activation") -> np.ndarray:
        """Correlation (features, features) of a site's activations or attributions."""
        path = self.own / "covariance" / f"{_checked(site, self.sites, 'site')}.{kind}.npz"
        return moments.correlations(moments.full(arrays.read_npz(path)[0]))

    def activations(self, column: str) -> tuple[pd.DataFrame, np.ndarray]:
        """A recorded column such as "mlp.0.hidden": keys of the tokens, values (tokens, width).

        It is read into memory as a whole.
        """
        found = sorted(
            (self.folder / "activations.parquet").glob("part-*.parquet"),
            key=lambda path: int(path.name.split("-")[1]),
        )
        keys = ("document", "position", "token")
        batches = list(tables.iter_column(found, column, keys))
        index = {key: np.concatenate([batch[1][key] for batch in batches]) for key in keys}
        return pd.DataFrame(index), np.concatenate([batch[0] for batch in batches])

    def circuit(
        self, task: str, partition: str = "rois", method: str = "eap-ig-inputs"
    ) -> "Circuit":
        """Scores and runs of a task on the parts of a partition. Raises DataError for what the
        results do not have."""
        _checked(task, self.tasks, "task")
        nodes = tables.read_table(self.own / "circuits" / f"{task}.nodes.parquet")
        _checked(partition, nodes["partition"].unique().to_pylist(), "partition")
        of_partition = part_graphs.rows_of(nodes, partition)
        _checked(method, of_partition["method"].unique().to_pylist(), "method")
        return Circuit(self, task, partition, method)


@dataclass(frozen=True)
class Circuit:
    """Scores of the parts of one partition for one task, by one method."""

    model: Model
    task: str
    partition: str
    method: str

    def _table(self, kind: str) -> Any:
        return tables.read_table(self.model.own / "circuits" / f"{self.task}.{kind}.parquet")

    def _rows(self, kind: str) -> Any:
        return part_graphs.rows_of(self._table(kind), self.partition, self.method)

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """Node scores, one row per part."""
        return self._rows("nodes").to_pandas()

    @cached_property
    def edges(self) -> pd.DataFrame:
        """Edge scores, one row per edge; none for partitions that run as nodes alone."""
        return self._rows("edges").to_pandas()

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Faithfulness on held-out prompts, one row per size, mode and intervention."""
        found = tables.read_table(self.model.own / "evaluation" / f"{self.task}.parquet")
        return part_graphs.rows_of(found, self.partition, self.method).to_pandas()

    @cached_property
    def graph(self) -> PartGraph:
        """The part graph whose readers and writers the axes of a mask are."""
        about = arrays.read_meta(self._scores)
        built = part_graphs.build(
            [self.partition],
            self.model._partitions,
            seed=_cfg(about)["seed"],
            chosen=about["top_features"],
            slots=[self.partition] if any(self.edges["slot"]) else [],
            **part_graphs.layout_of(about),
        )
        return built[self.partition]

    @property
    def _scores(self) -> Path:
        folder = self.model.own / "circuits" / f"{self.task}.scores"
        return min(folder.glob("part-0-of-*.npz"))

    @cached_property
    def scores(self) -> np.ndarray:
        """Mean edge scores (readers, writers)."""
        return part_graphs.edge_matrix(self._rows("edges"), self.graph)

    def mask(
        self, edges: int | None = None, share: float | None = None, ranking: str = "absolute"
    ) -> np.ndarray:
        """The circuit of the strongest edges as a mask, bool (readers, writers).

        `edges`, or this `share` of all that exist, after those that lead nowhere are left out.
        """
        if (edges is None) == (share is None):
            raise DataError("mask: say how large, by `edges` or by `share`")
        size = edges if edges is not None else max(1, round(share * self.graph.edge_count))  # type: ignore[operator]
        return parts.top_edges(self.graph, self.scores, size, ranking, fill=True).mask

    def names(self, mask: np.ndarray) -> list[str]:
        """Edges of a mask by name."""
        pairs = zip(*(x.tolist() for x in np.nonzero(mask)), strict=True)
        return [parts.edge_name(self.graph, reader, writer) for reader, writer in pairs]

    def run(
        self,
        mask: np.ndarray,
        prompt: str,
        corrupted: str | None = None,
        ablation: str | None = None,
        top: int = 5,
    ) -> pd.DataFrame:
        """Next tokens after a prompt of yours, in the whole model and in a circuit.

        Errors of dictionaries are parts like others (policy `in-graph`). Edges outside `mask` carry
        what the `corrupted` prompt gives (it has equally many tokens); without one the mean over
        the task's discovery prompts, or with `ablation="zero"` nothing.
        One row for each of the `top` tokens of either: token, logit_model, logit_circuit, p_model,
        p_circuit.
        """
        import torch

        from connectome import ablation as runs
        from connectome import site_dictionaries, tokenizer, transformer

        kind = ablation or ("mean" if corrupted is None else "counterfactual")
        handle = self.model.handle
        about = arrays.read_meta(self._scores)
        folder = self.model.own / "dictionary"
        files = [folder / site / "cfg.json" for site in about["beside"]]
        network = transformer.load(
            *(handle.directory, _cfg(about)["model_dtype"], "cpu"), site_dictionaries.read(files)
        )
        words = tokenizer.load(handle.directory)
        ids = [tokenizer.encode_prompt(words, prompt)]
        others = [tokenizer.encode_prompt(words, corrupted)] if corrupted is not None else ids
        pair = prompts.of_lists(ids, others, [[0]], [[0]])
        table = tables.read_table(self.model.folder / "tasks" / f"{self.task}.parquet")
        ablated = runs.ablated_values(network, pair, kind, prompts.of_table(table, "discovery"))
        logits = torch.stack(
            [
                transformer.answers(network, pair.clean)[0],
                runs.run_edges(network, pair, self.graph, mask[None], ablated)[0, 0],
            ]
        ).double()
        chosen = dict.fromkeys(logits.topk(top, dim=-1).indices.flatten().tolist())
        rows = {name: logits[i, list(chosen)].tolist() for i, name in enumerate(_RUNS)}
        shares = logits.softmax(-1)
        rows |= {
            name.replace("logit", "p"): shares[i, list(chosen)].tolist()
            for i, name in enumerate(_RUNS)
        }
        return pd.DataFrame({"token": [tokenizer.piece(words, number) for number in chosen]} | rows)


_RUNS = ("logit_model", "logit_circuit")


def _cfg(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration slice that a file was made with."""
    return json.loads(meta["made_by"]["cfg"])
