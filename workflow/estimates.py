"""What a job will cost, from the sizes of its model, text and prompts: standard library alone.

`work` says by how much more the model of one configuration has to do than that of another; its unit
cancels out. `CALIBRATED` says what the embedded default took. Only the leading term of each rule is
counted, so an estimate far from the default's sizes is an order of magnitude, not a promise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectome import configuration, known, language, lineage
from connectome.errors import ConnectomeError

Config = Mapping[str, Any]

# Seconds of a job of each rule: the mean over the benchmark files of one run of the embedded
# default, one job at a time on a core of an x86-64 machine with other work, without a card.
CALIBRATED = {
    "ablate_across_tasks": 11.4,
    "ablate_rois": 26.9,
    "attribute_circuit": 4.51,
    "build_graph": 1.07,
    "build_report": 0.96,
    "compute_covariance": 0.60,
    "compute_moments": 0.60,  # the same script
    "describe_model": 1.56,
    "describe_rois": 2.37,
    "evaluate_circuit": 20.6,
    "fit_sbm": 5.58,
    "make_corpus": 0.66,
    "make_partitions": 3.66,
    "make_task": 0.67,
    "measure_competence": 2.81,
    "plot_ablation": 1.27,
    "plot_circuit": 1.81,
    "plot_competence": 1.16,
    "plot_covariance": 1.06,
    "plot_faithfulness": 1.99,
    "plot_hierarchy": 1.18,
    "plot_partitions": 1.77,
    "plot_rois": 1.49,
    "plot_specificity": 3.57,
    "plot_training": 1.97,
    "record_activations": 5.00,
    "record_attributions": 2.31,
    "record_provenance": 0.33,
    "tabulate_agreement": 1.17,
    "tabulate_cards": 1.05,
    "tabulate_circuits": 0.51,
    "tabulate_competence": 0.42,
    "tabulate_faithfulness": 1.21,
    "tabulate_models": 0.16,
    "tabulate_partitions": 0.61,
    "tabulate_rois": 1.43,
    "tabulate_sites": 0.18,
    "tabulate_specificity": 1.04,
    "tabulate_summary": 0.16,
    "tabulate_training": 0.50,
    "train_model": 89.3,
}
UNMEASURED = 5.0  # seconds of a job of a rule that the default does not run: a guess
# Seconds in which a job starts: these do not grow. With torch, almost all of the default's
# describe_model; without, a guess.
TORCH_START, START = 1.55, 0.3
_TORCH = (
    *("train_model", "describe_model", "measure_competence", "record_activations"),
    *("record_attributions", "score_prompts", "run_circuits"),
    *("ablate_across_tasks", "ablate_rois"),
)


@dataclass(frozen=True)
class Size:
    """Sizes of a model that its cost follows."""

    layers: int
    width: int
    attention: int  # value directions of a layer: heads x width of a head
    hidden: int
    vocabulary: int
    context: int

    @property
    def weights(self) -> int:
        """Numbers that a token is multiplied by, within a few percent the parameters."""
        layer = self.width * (4 * self.attention + 2 * self.hidden)
        return self.layers * layer + self.vocabulary * self.width

    def features(self, site: str) -> int:
        """Native features of a site."""
        return self.attention if site.startswith("attn") else self.hidden


def size_of(config: Config, model: str) -> Size | None:
    """Sizes of a model before anything has run; None where its config.json is not here yet."""
    origin = lineage.origin_of(config, model)
    source = config["models"][origin]
    if "train" in source:
        training = configuration.training_of(dict(config), origin)
        width, words = training["width"], 1 + len(language.words())  # and the start token
        return Size(training["layers"], width, width, 4 * width, words, training["context"])
    if "build" in source:
        build = known.of_name(source["build"])
        made, words = build.SIZE, 1 + len(build.WORDS)
        attention = made.heads * made.head_width
        return Size(made.layers, attention, attention, made.hidden, words, made.context)
    try:
        found = configuration.size_of(dict(config), model)
    except ConnectomeError:
        return None
    if found is None:
        return None
    attention = found.heads * found.head_width
    sizes = (found.layers, found.width, attention, found.hidden, found.vocabulary, found.context)
    return Size(*sizes)


def tokens_of(config: Config, size: Size) -> int:
    """Most tokens that a corpus can have: both of its limits count."""
    corpus = config["corpus"]
    return int(min(corpus["tokens"], corpus["documents"] * size.context))


def work(rule: str, wildcards: Mapping[str, str], config: Config) -> float | None:
    """How much a job of `rule` does, in a unit of the rule; None where the model is unknown.

    1 for what hardly depends on any size (tables, figures, the page).
    """
    if "model" not in wildcards or rule not in _WORK:
        return 1.0
    size = size_of(config, wildcards["model"])
    if size is None:
        return None
    sites = configuration.sites_of(dict(config), wildcards["model"])
    return float(_WORK[rule](config, size, sites, wildcards))


def scaled(rule: str, seconds: float, ratio: float) -> float:
    """Seconds of a job with `ratio` times the work of one that took `seconds`."""
    start = min(TORCH_START if rule in _TORCH else START, 0.99 * seconds)
    return start + (seconds - start) * ratio


def disk(rule: str, wildcards: Mapping[str, str], config: Config) -> int | None:
    """Bytes of the large files that a job writes, 0 where there are none; None where unknown.

    Exact but for file headers: values of activations, moments of a covariance (one matrix of each
    half of the samples, in float64), weights of a model trained here and of its checkpoints.
    """
    if rule not in ("record_activations", "compute_covariance", "train_model"):
        return 0
    size = size_of(config, wildcards["model"])
    if size is None:
        return None
    if rule == "compute_covariance":
        return 2 * 8 * size.features(wildcards["site"]) ** 2
    if rule == "train_model":
        checkpoints = configuration.training_of(dict(config), wildcards["model"])["checkpoints"]
        return 4 * (size.weights + size.context * size.width) * (1 + len(checkpoints))
    return tokens_of(config, size) * row_bytes(config, wildcards["model"], size) // shards(config)


def row_bytes(config: Config, model: str, size: Size) -> int:
    """Bytes of the activations of one token."""
    sites = configuration.sites_of(dict(config), model)
    section = config["activations"]
    columns = sum(map(size.features, sites)) + len(section["outputs"]) * size.width
    return columns * {"float32": 4, "float16": 2}[section["dtype"]]


def shards(config: Config, section: str = "activations") -> int:
    """Jobs over which the work of a section is scattered."""
    return int(config[section]["shards"])


def _samples(config: Config, size: Size, wildcards: Mapping[str, str]) -> int:
    if wildcards.get("kind") == "attribution":
        return len(config["attributions"]["tasks"]) * config["pairs"]["discovery"]
    return tokens_of(config, size)


def _training(config, size, sites, wildcards):
    settings = configuration.training_of(dict(config), wildcards["model"])
    return settings["steps"] * settings["batch_rows"] * settings["context"] * size.weights


def _moments(config, size, sites, wildcards):
    gathers = wildcards.get("kind") == "activation" and shards(config) > 1
    samples = shards(config) if gathers else _samples(config, size, wildcards)
    return samples * size.features(wildcards["site"]) ** 2


def _graph(config, size, sites, wildcards):
    samples = _samples(config, size, wildcards) + config["pairs"]["discovery"]
    return samples * size.features(wildcards["site"]) ** 2 * (1 + config["graph"]["draws"])


def _block_model(config, size, sites, wildcards):
    settings = config["sbm"]
    restarts = settings["seeds"] + 3 * settings["control_seeds"]
    edges = size.features(wildcards["site"]) * config["graph"]["k"]
    return edges * restarts * settings["sweeps"]


def _attribution(config, size, sites, wildcards):
    settings = config["circuits"]
    passes = sum(1 if name == "eap" else settings["steps"] for name in settings["methods"])
    gradients = config["pairs"]["discovery"] * passes * len(settings["partitions"])
    return gradients * size.weights / shards(config, "circuits")


def _evaluation(config, size, sites, wildcards):
    settings = config["evaluation"]
    whole = config["pairs"]["heldout"] * len(settings["sizes"]) * len(settings["methods"])
    draws = settings["random_draws"] * len(settings["random_sizes"]) * settings["random_pairs"]
    runs = (whole + draws) * len(settings["partitions"])
    return runs * size.weights / shards(config, "evaluation")


def _gathered_circuits(config, size, sites, wildcards):
    settings = config["circuits"]
    return config["pairs"]["discovery"] * settings["stability_draws"] * len(settings["partitions"])


def _gathered_evaluation(config, size, sites, wildcards):
    settings = config["evaluation"]
    return config["pairs"]["heldout"] * settings["bootstrap"] * len(settings["partitions"])


def _specificity(config, size, sites, wildcards):
    settings = config["specificity"]
    pairs = settings["pairs"] + settings["draws"] * settings["random_pairs"]
    return len(config["tasks"]) ** 2 * pairs * len(settings["partitions"]) * size.weights


def _regions(config, size, sites, wildcards):
    settings = config["cards"]
    runs = settings["pairs"] * (1 + settings["draws"]) * len(settings["partitions"])
    return runs * len(config["tasks"]) * len(sites) * size.weights


# one product of sizes per rule: the term that a big model or text makes large
_WORK = {
    "train_model": _training,
    "describe_model": lambda config, size, sites, wildcards: size.weights,
    "make_corpus": lambda config, size, sites, wildcards: tokens_of(config, size),
    "make_task": lambda config, size, sites, wildcards: sum(_pairs(config)),
    "measure_competence": lambda config, size, sites, wildcards: sum(_pairs(config)) * size.weights,
    "record_activations": lambda config, size, sites, wildcards: (
        tokens_of(config, size) * size.weights / shards(config)
    ),
    "record_attributions": lambda config, size, sites, wildcards: (
        len(config["attributions"]["tasks"]) * config["pairs"]["discovery"] * size.weights
    ),
    "compute_moments": lambda config, size, sites, wildcards: (
        tokens_of(config, size) * size.features(wildcards["site"]) ** 2 / shards(config)
    ),
    "compute_covariance": _moments,
    "build_graph": _graph,
    "fit_sbm": _block_model,
    "make_partitions": lambda config, size, sites, wildcards: sum(
        size.features(site) ** 2 for site in sites
    ),
    "score_prompts": _attribution,
    "attribute_circuit": _gathered_circuits,
    "run_circuits": _evaluation,
    "evaluate_circuit": _gathered_evaluation,
    "ablate_across_tasks": _specificity,
    "ablate_rois": _regions,
    "describe_rois": lambda config, size, sites, wildcards: (
        tokens_of(config, size) * sum(map(size.features, sites))
    ),
}


def _pairs(config: Config) -> tuple[int, int]:
    return config["pairs"]["discovery"], config["pairs"]["heldout"]
