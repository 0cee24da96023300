"""How much each job has to do, from the sizes of model, text and prompts: standard library alone.

Only the leading term of each rule is counted.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jobs

from connectome import configuration, dictionary_config, known, lineage
from connectome.errors import ConnectomeError

Config = dict[str, Any]


class Sizes(NamedTuple):
    """What the work on a model depends on."""

    layers: int
    width: int
    attention: int  # features of an attention site
    hidden: int  # and of an MLP
    context: int


@dataclass(frozen=True)
class Work:
    """How much a job has to do, in units that mean something only beside another job's."""

    config: Config

    def sizes(self, model: str) -> Sizes | None:
        """Sizes of a model; None where they are not known before it was fetched."""
        model = lineage.origin_of(self.config, model)
        source = self.config["models"][model]
        if "train" in source:
            settings = configuration.training_of(self.config, model)
            width = settings["width"]
            return Sizes(settings["layers"], width, width, 4 * width, settings["context"])
        try:
            found = configuration.size_of(self.config, model)
        except ConnectomeError:
            return None
        size = known.of_name(source["build"]).SIZE if found is None else found
        attention = size.heads * size.head_width
        return Sizes(size.layers, size.width, attention, size.hidden, size.context)

    def numbers(self, model: str) -> float:
        """Weights of the body of a model, an MLP taken to have a gate; 0 where not known."""
        size = self.sizes(model)
        if size is None:
            return 0.0
        return float(size.layers * size.width * (4 * size.attention + 3 * size.hidden))

    def tokens(self, model: str) -> float:
        """Most tokens that the corpus can have: its documents are cut at the context."""
        size, corpus = self.sizes(model), self.config["corpus"]
        longest = math.inf if size is None else size.context * corpus["documents"]
        return float(min(corpus["tokens"], longest))

    def features(self, model: str, site: str) -> float:
        """Native features of a site; 0 where not known."""
        size = self.sizes(model)
        if size is None:
            return 0.0
        return float(size.attention if site.startswith("attn") else size.hidden)

    def run(self, names: Mapping[str, str]) -> Config:
        """Settings of a run of a dictionary; of one made elsewhere those of training by default."""
        name = names.get("dictionary", dictionary_config.NATIVE)
        if not dictionary_config.is_trained(self.config, name):
            return self.config["dictionary_training"]
        runs = dictionary_config.runs_of(self.config, name)
        return runs[names.get("run", dictionary_config.MAIN)]

    def features_in(self, names: Mapping[str, str]) -> float:
        """Features of a site in a dictionary."""
        if names.get("dictionary", dictionary_config.NATIVE) == dictionary_config.NATIVE:
            return self.features(names["model"], names["site"])
        return float(self.run(names)["features"])

    def encoding(self, names: Mapping[str, str]) -> float:
        """Products of a token with all features of a dictionary, there and back."""
        size = self.sizes(names["model"])
        return 0.0 if size is None else size.width * self.features_in(names)

    def of(self, job: jobs.Job) -> float:
        """Work of a job; 1 for those that take their start-up and little more."""
        found = UNITS.get(job.rule)
        return 1.0 if found is None else found(self, job.wildcards)


def _samples(work: Work, names: Mapping[str, str]) -> float:
    config = work.config
    if names.get("kind") == "attribution":
        return float(len(config["attributions"]["tasks"]) * config["pairs"]["discovery"])
    return work.tokens(names["model"]) / config["activations"]["shards"]


def _moments(work: Work, names: Mapping[str, str]) -> float:
    """Products of pairs of features; of sparse ones those that fire together."""
    sparse = names.get("dictionary", dictionary_config.NATIVE) != dictionary_config.NATIVE
    if sparse and names.get("kind", "activation") == "activation":
        return _samples(work, names) * float(work.run(names)["k"]) ** 2
    return _samples(work, names) * work.features_in(names) ** 2


def _training(work: Work, names: Mapping[str, str]) -> float:
    settings = configuration.training_of(work.config, names["model"])
    rows = settings["steps"] * settings["batch_rows"] * settings["context"]
    return float(rows * work.numbers(names["model"]))


def _scoring(work: Work, names: Mapping[str, str]) -> float:
    circuits = work.config["circuits"]
    runs = len(circuits["methods"]) * len(circuits["partitions"]) / circuits["shards"]
    return work.config["pairs"]["discovery"] * runs * work.numbers(names["model"])


def _running(work: Work, names: Mapping[str, str]) -> float:
    section = work.config["evaluation"]
    runs = len(section["partitions"]) * len(section["sizes"]) / section["shards"]
    return work.config["pairs"]["heldout"] * runs * work.numbers(names["model"])


UNITS: dict[str, Callable[[Work, Mapping[str, str]], float]] = {
    "train_model": _training,
    "train_dictionary": lambda work, names: work.run(names)["tokens"] * work.encoding(names),
    "encode_features": lambda work, names: _samples(work, names) * work.encoding(names),
    "evaluate_dictionary": lambda work, names: (
        work.config["dictionary_quality"]["loss_tokens"] * work.numbers(names["model"])
        + work.config["dictionary_quality"]["tokens"] * work.encoding(names)
    ),
    "describe_model": lambda work, names: work.numbers(names["model"]),
    "record_activations": lambda work, names: _samples(work, names) * work.numbers(names["model"]),
    "record_attributions": lambda work, names: (
        _samples(work, {**names, "kind": "attribution"}) * work.numbers(names["model"])
    ),
    "measure_competence": lambda work, names: (
        sum(work.config["pairs"][split] for split in ("discovery", "heldout"))
        * work.numbers(names["model"])
    ),
    "compute_covariance": _moments,
    "compute_moments": _moments,
    "build_graph": _moments,
    "fit_sbm": lambda work, names: (
        work.features_in(names)
        * (work.config["sbm"]["seeds"] + 3 * work.config["sbm"]["control_seeds"])
    ),
    "score_prompts": _scoring,
    "run_circuits": _running,
    "ablate_across_tasks": lambda work, names: (
        len(work.config["tasks"]) ** 2
        * work.config["specificity"]["pairs"]
        * work.numbers(names["model"])
    ),
    "ablate_rois": lambda work, names: (
        len(work.config["tasks"]) * work.config["cards"]["pairs"] * work.numbers(names["model"])
    ),
}
