"""The configuration: defaults, schema and checks against the models, before any job starts.

Runs whenever the workflow is parsed (twice in every cluster job), so it imports neither torch
nor pandas and reads only small files.
"""

import json
import math
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from connectome import (
    architectures,
    checkpoint,
    dictionary_config,
    folders,
    generators,
    hub,
    known,
    lineage,
    model_tasks,
)
from connectome.architectures import Dimensions
from connectome.errors import ConfigError, ConnectomeError, NotFetchedError, did_you_mean

# Sections that a user's configuration replaces as a whole: mixing two lists of models or tasks
# would run what nobody asked for.
WHOLE = ("models", "tasks", "corpus", "attributions", "dictionaries")

PARTITIONS = (
    "modules",
    "heads",
    "rois",
    "rois_attribution",
    "kmeans",
    "spectral",
    "leiden",
    "infomap",
    "classical",
    "random",
    "features",
    "top_features",
)
TEXT_ROWS = (".jsonl", ".ndjson", ".parquet")  # endings of corpus files that have columns
EXACT_FEATURES = 64  # single nodes whose edges can still be run one by one
METHODS = ("eap", "eap-ig-inputs", "clean-corrupted", "path")

# JSON Schema takes 2.0 for a whole number and has no word for NaN; a slice or a draw takes neither.
_TYPES = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda _, value: (
            isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        ),
    }
)
_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_TYPES)

Config = dict[str, Any]


def read_yaml(path: Path) -> Any:
    """Content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def complete(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> Config:
    """`config` with every key that it leaves out taken from `defaults`.

    Sections in WHOLE are taken from one of the two, never mixed; models from elsewhere get starter
    tasks where `tasks` is left out. An `attributions` section left out by a config with tasks or
    models of its own means all tasks. A config with models of its own that does not name the page
    has it named after them, and one that has no `dictionaries` has the native one alone, which
    every config has.
    """
    result = _merge(defaults, config)
    for section in WHOLE:
        if section in config:
            result[section] = config[section]
    # what is no mapping is left for the schema to refuse
    models, tasks, report = (config.get(name, {}) for name in ("models", "tasks", "report"))
    if "tasks" not in config and isinstance(models, Mapping) and models:
        result["tasks"] = tasks = model_tasks.default_tasks(models, defaults["tasks"])
    if tasks and isinstance(tasks, Mapping) and "attributions" not in config:
        result["attributions"] = {"tasks": list(tasks)}
    if "models" in config and "dictionaries" not in config:
        result["dictionaries"] = {}
    if isinstance(result["dictionaries"], Mapping):
        result["dictionaries"] = {dictionary_config.NATIVE: {}, **result["dictionaries"]}
    named = not isinstance(report, Mapping) or "name" in report
    if "models" in config and isinstance(models, Mapping) and not named:
        result["report"] = {**result["report"], "name": ", ".join(map(str, models))}
    return result


def _merge(defaults: Mapping[str, Any], config: Mapping[str, Any]) -> Config:
    result = dict(defaults)
    for key, value in config.items():
        old = result.get(key)
        mergeable = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = _merge(old, value) if mergeable else value  # type: ignore[arg-type]
    return result


def validate(config: Config, schema: Mapping[str, Any]) -> None:
    """Raise ConfigError naming every key that the schema refuses, its value and what is right."""
    validator = _Validator(schema)
    faults = sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path)))
    if faults:
        _refuse([sentence for fault in faults for sentence in _sentences(fault, schema)])


def _refuse(sentences: list[str]) -> None:
    raise ConfigError("the configuration is wrong:\n" + "\n".join(f"  - {s}" for s in sentences))


def _sentences(fault: jsonschema.ValidationError, schema: Mapping[str, Any]) -> Iterator[str]:
    key = ".".join(str(part) for part in fault.absolute_path) or "(top level)"
    if fault.validator == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        for name in fault.instance:
            if name not in known and not _matches_pattern(name, fault.schema):
                where = name if key == "(top level)" else f"{key}.{name}"
                yield f"{where}: unknown key; {did_you_mean(str(name), known)}"
        return
    right = fault.schema.get("description") or fault.message
    if fault.validator == "enum" and isinstance(fault.instance, str):
        right += f"; {did_you_mean(fault.instance, fault.validator_value)}"
    yield f"{key}: {json.dumps(fault.instance, default=str)} cannot be used; {right}"


def _matches_pattern(name: str, schema: Mapping[str, Any]) -> bool:
    return any(re.search(pattern, name) for pattern in schema.get("patternProperties", {}))


def training_of(config: Config, model: str) -> Config:
    """Settings of a model trained here: `training` with the model's own keys on top."""
    return {**config["training"], **config["models"][model]["train"]}


def trained_models(config: Config) -> list[str]:
    """Names of the models that the workflow trains itself."""
    return [name for name, source in config["models"].items() if "train" in source]


def layers_of(config: Config, model: str) -> int:
    """Number of transformer blocks, known without running anything."""
    model = lineage.origin_of(config, model)
    source = config["models"][model]
    if "train" in source:
        return int(training_of(config, model)["layers"])
    if "build" in source:
        return int(known.of_name(source["build"]).SIZE.layers)
    if "layers" in source:
        return int(source["layers"])
    return checkpoint.dimensions(directory_of(config, model)).layers


def width_of(config: Config, model: str) -> int | None:
    """Width of the residual stream, or None where it is not known before the model is fetched."""
    model = lineage.origin_of(config, model)
    source = config["models"][model]
    if "train" in source:
        return int(training_of(config, model)["width"])
    if "build" in source:
        return int(known.of_name(source["build"]).SIZE.width)
    try:
        return checkpoint.dimensions(directory_of(config, model)).width
    except NotFetchedError:
        return None


def directory_of(config: Config, model: str) -> Path:
    """Local directory of a model by path, or of a hub model in the local cache.

    Raises NotFetchedError where the hub model is not in the cache.
    """
    source = config["models"][model]
    if "path" in source:
        return Path(source["path"])
    return hub.cached_model(source["hub"], source.get("revision"), cache_of(config)).directory


def cache_of(config: Config) -> Path | None:
    """Folder of the Hugging Face cache; None for its own default."""
    folder = config["hub"]["cache"]
    return None if folder is None else Path(folder)


def to_fetch(config: Config) -> dict[str, list[dict[str, str | None]]]:
    """What the configuration takes from the hub: names and revisions of all."""
    sources = [source for source in config["models"].values() if "hub" in source]
    models = [{"name": s["hub"], "revision": s.get("revision")} for s in sources]
    corpus = config["corpus"]
    datasets: list[dict[str, str | None]] = []
    if "dataset" in corpus and not Path(corpus["dataset"]).is_dir():
        datasets.append({"name": corpus["dataset"], "revision": corpus.get("revision")})
    dictionaries = dictionary_config.to_fetch(config)
    return {"models": models, "datasets": datasets, "dictionaries": dictionaries}


def size_of(config: Config, model: str) -> Dimensions | None:
    """Sizes of a model by path or hub id; None of one that is made here, small by nature.

    Raises ModelError where its config.json is not to be had.
    """
    if {"train", "build", "checkpoint"} & set(config["models"][model]):
        return None
    directory = directory_of(config, model)
    content = checkpoint.config_of(directory)
    return architectures.adapter(content, directory).dimensions(content)


def sites_of(config: Config, model: str) -> list[str]:
    """Sites whose native features are recorded and mapped, in the order of the forward pass."""
    wanted = config["activations"]["sites"]
    every = [f"{kind}.{i}" for i in range(layers_of(config, model)) for kind in ("attn", "mlp")]
    return every if wanted == "all" else [site for site in every if site in wanted]


def dtype_of(config: Config, model: str) -> str:
    """Number format in which a model runs."""
    return str(config["models"][model].get("dtype", config["engine"]["dtype"]))


def metric_of(config: Config, task: str) -> str:
    """Metric of a task: its own key, else the generator's, else the logit difference."""
    settings = config["tasks"][task]
    if "metric" in settings:
        return str(settings["metric"])
    if "generator" in settings:
        return generators.metric(settings["generator"])
    return "logit_difference"


def check(config: Config, conda: bool = False) -> None:
    """Raise ConfigError (all faults in one message) where the config does not fit its models.

    Hub models need not be in the cache: `fetch` brings them, and the rules say so to all else.
    Checked: paths, model directories and their weight files, sites and layers, task generators
    and files, the tasks of each model, names used in one section and defined in another, the
    interpreters (not under conda, which brings its own).
    """
    faults = [*folders.path_faults(config), *lineage.faults(config)]
    layers, widths = {}, {}
    for name in config["models"]:
        if "checkpoint" in config["models"][name] and not lineage.has_origin(config, name):
            continue  # said above
        try:
            if "path" in config["models"][name]:
                checkpoint.check_header(Path(config["models"][name]["path"]))
            layers[name], widths[name] = layers_of(config, name), width_of(config, name)
            faults.extend(_site_faults(config, name, layers[name]))
        except NotFetchedError:
            continue
        except ConnectomeError as error:
            faults.append(f"models.{name}: {error}")
    faults.extend(_task_faults(config))
    faults.extend(_reference_faults(config))
    faults.extend(_shard_faults(config))
    faults.extend(dictionary_config.faults(config, layers, widths, cache_of(config)))
    if not faults:  # it builds on names that are right
        faults.extend(model_tasks.faults(config))
    if not conda:
        faults.extend(_interpreter_faults(config["interpreters"]))
    if faults:
        _refuse(faults)


def _site_faults(config: Config, model: str, layers: int) -> Iterator[str]:
    section = config["activations"]
    listed = {"sites": [] if section["sites"] == "all" else section["sites"]}
    listed["outputs"] = section["outputs"]
    for key, sites in listed.items():
        for site in sites:
            if "." in site and int(site.split(".")[1]) >= layers:
                yield (
                    f"activations.{key}: {site!r} does not exist: model {model!r} has {layers} "
                    f"layers, numbered 0 to {layers - 1}"
                )
    if "train" in config["models"][model]:
        settings = training_of(config, model)
        if settings["width"] % settings["heads"]:
            yield (
                f"models.{model}: width {settings['width']} is not a multiple of "
                f"{settings['heads']} heads"
            )
        for step in settings["checkpoints"]:
            if step >= settings["steps"]:
                yield (
                    f"training.checkpoints: step {step} is not below the {settings['steps']} "
                    f"training steps of model {model!r}"
                )


def _task_faults(config: Config) -> Iterator[str]:
    known_generators = generators.names()
    for name, task in config["tasks"].items():
        if "generator" in task and task["generator"] not in known_generators:
            hint = did_you_mean(task["generator"], known_generators)
            yield f"tasks.{name}.generator: {task['generator']!r} is no generator; {hint}"
        if "file" in task and not Path(task["file"]).is_file():
            yield f"tasks.{name}.file: {task['file']!r} is missing (relative to {Path.cwd()})"
    yield from _corpus_faults(config["corpus"])


def _corpus_faults(corpus: Mapping[str, Any]) -> Iterator[str]:
    text = corpus.get("file")
    if text is not None and not Path(text).is_file():
        yield f"corpus.file: {text!r} is missing (relative to {Path.cwd()})"
    rows = "dataset" in corpus or Path(text or "").suffix.lower() in TEXT_ROWS
    for key in ("text", "label", "classes"):
        if key in corpus and not rows:
            yield f"corpus.{key}: only JSONL and Parquet files and data sets have columns"
    for key in ("split", "config", "revision"):
        if key in corpus and "dataset" not in corpus:
            yield f"corpus.{key}: only a `dataset` has one"


def _reference_faults(config: Config) -> Iterator[str]:
    tasks = list(config["tasks"])
    for task in config["attributions"]["tasks"]:
        if task not in tasks:
            yield f"attributions.tasks: {task!r} is no task; {did_you_mean(task, tasks)}"
    yield from _partition_faults(config)
    for share in config["evaluation"]["random_sizes"]:
        if share not in config["evaluation"]["sizes"]:
            yield (
                f"evaluation.random_sizes: {share} is not among evaluation.sizes: "
                f"{config['evaluation']['sizes']}"
            )
    for name, path in config["partitions"]["files"].items():
        if not Path(path).is_file():
            yield f"partitions.files.{name}: {path!r} is missing (relative to {Path.cwd()})"


def _shard_faults(config: Config) -> Iterator[str]:
    """Shards that would have no prompts: each takes whole batches."""
    for section, split in (("circuits", "discovery"), ("evaluation", "heldout")):
        size, pairs = config[section]["batch_pairs"], config["pairs"][split]
        batches = -(-pairs // size)
        if config[section]["shards"] > batches:
            yield (
                f"{section}.shards: {config[section]['shards']} shards are more than the {batches} "
                f"batches of {size} that {pairs} {split} pairs make; take at most {batches}, or "
                f"lower {section}.batch_pairs"
            )


def _partition_faults(config: Config) -> Iterator[str]:
    circuits, evaluation = config["circuits"], config["evaluation"]
    known = [*PARTITIONS, *config["partitions"]["files"]]
    for key, names, allowed in (
        ("circuits.partitions", circuits["partitions"], known),
        ("circuits.exact", circuits["exact"], circuits["partitions"]),
        ("circuits.slots", circuits["slots"], circuits["partitions"]),
        ("circuits.methods", circuits["methods"], METHODS),
        ("evaluation.partitions", evaluation["partitions"], circuits["partitions"]),
        ("evaluation.methods", evaluation["methods"], circuits["methods"]),
        ("specificity.partitions", config["specificity"]["partitions"], circuits["partitions"]),
        ("specificity.method", [config["specificity"]["method"]], circuits["methods"]),
        ("report.circuits", config["report"]["circuits"], evaluation["partitions"]),
        ("report.method", [config["report"]["method"]], evaluation["methods"]),
    ):
        for name in names:
            if name not in allowed:
                yield f"{key}: {name!r} cannot be used here; {did_you_mean(name, allowed)}"
    if "classical" in circuits["partitions"] and not config["sbm"]["classical_features"]:
        yield (
            "circuits.partitions: 'classical' is not made while sbm.classical_features is 0; set "
            "it to the largest number of live features to run on"
        )
    if "top_features" in config["specificity"]["partitions"]:
        yield (
            "specificity.partitions: 'top_features' are other parts in every task; leave it out, "
            "or name 'features'"
        )
    if "features" in circuits["exact"]:
        yield "circuits.exact: 'features' has too many edges to run each ablation; leave it out"
    if "top_features" in circuits["exact"] and circuits["top_features"] > EXACT_FEATURES:
        yield (
            f"circuits.exact: 'top_features' with {circuits['top_features']} single features has "
            f"too many edges to run each ablation; leave it out, or set circuits.top_features to "
            f"at most {EXACT_FEATURES}"
        )
    if "top_features" in config["specificity"]["partitions"]:
        yield (
            "specificity.partitions: 'top_features' are other features for each task, so tasks "
            "cannot be compared on them; leave it out"
        )
    if "top_features" in circuits["partitions"] and "features" not in circuits["partitions"]:
        yield (
            "circuits.partitions: 'top_features' are chosen by the scores of 'features'; "
            "list that too"
        )


def _interpreter_faults(interpreters: Mapping[str, str]) -> Iterator[str]:
    for key, path in interpreters.items():
        if path != "auto" and shutil.which(path) is None:
            yield (
                f"interpreters.{key}: {path!r} is no program on this machine; name a Python "
                "(`make setup` installs Debian's, with graph_tool)"
            )


def interpreter(config: Config, key: str, conda: bool) -> str:
    """Command that runs the scripts: the environment's own under conda, else as configured."""
    if conda:
        return "python"
    value = config["interpreters"][key]
    return sys.executable if value == "auto" else value
