# What the rules share: the configuration, which targets exist, and which files each rule reads. No rules here.
import functools
import json
import re
import sys
from pathlib import Path

HOME = Path(str(workflow.current_basedir)).parent
SCRIPTS = str(HOME / "workflow" / "scripts")
sys.path.insert(0, SCRIPTS)

from connectome import checkpoint, configuration, digest, folders, footprint, lineage, model_tasks
from connectome import report as page
from connectome.command import canonical
from connectome.errors import ConnectomeError, NotFetchedError
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
CONDA_PREFIX = workflow.deployment_settings.conda_prefix or Path.cwd() / ".snakemake" / "conda"
KINDS = ["activation", "attribution"]

# bound anew, not updated: in a module, `config` is a dict of the workflow that imports this one
config = configuration.complete(config, configuration.read_yaml(HOME / "config" / "config.yaml"))
try:
    folders.check(HOME, Path.cwd(), CONDA_PREFIX if CONDA else None)
    configuration.validate(
        config,
        configuration.read_yaml(HOME / "workflow" / "schemas" / "config.schema.yaml"),
    )
    configuration.check(config, CONDA)
    folders.check_prefix(config, workflow.modifier.modify_path("<results>"))
    PYTHON = configuration.interpreter(config, "python", CONDA)
    GRAPH_TOOL_PYTHON = configuration.interpreter(config, "graph_tool", CONDA)
except ConnectomeError as error:
    raise WorkflowError(str(error))


def check_submission():
    """Stop a run that other machines should do, and could not, before its first job."""
    if not workflow.local_exec:
        try:
            folders.check_submission(HOME, Path.cwd(), sys.executable)
        except ConnectomeError as error:
            raise WorkflowError(str(error))


# Which device is no part of any `cfg`: results move between machines. One job per card; `auto` asks for one where
# the machine that starts Snakemake has one, so on a cluster whose login node has none say `cuda`.
DEVICE = config["engine"]["device"]
GPU = footprint.cards_asked_for(DEVICE)


pathvars:
    results=config["pathvars"]["results"],


# where a workflow that imports this one has moved the results of all its modules, it is that
config["pathvars"] = {"results": workflow.pathvars.get("results")}
CACHE = str(configuration.cache_of(config) or "default")
MODELS = list(config["models"])
TRAINED = configuration.trained_models(config)
BUILT = model_tasks.built_models(config)
TAKEN = lineage.taken_models(config)
TASKS = list(config["tasks"])
TASKS_OF = {model: model_tasks.tasks_of(config, model) for model in MODELS}
COMPARED = lineage.series(config, TASKS_OF)
PAIRS = lineage.pairs(config, TASKS_OF)
DICTIONARIES = config["dictionaries"]
CHECKPOINTS = config["training"]["checkpoints"]


def one_of(names):
    """Wildcard constraint that admits these names alone; nothing where there is none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def growing(minutes):
    """`runtime` of a job: these minutes, and as many again at each further attempt."""
    return lambda wildcards, attempt: minutes * attempt


def checkpoint_files(wildcards):
    """Files of a checkpoint: its own weights, and what the model it belongs to has besides."""
    source = config["models"][wildcards.model]["checkpoint"]
    root, own = f"<results>/{source['of']}", ["config.json", "model.safetensors"]
    rest = ["generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    weights = [f"{root}/checkpoints/{source['step']}/{name}" for name in own]
    return weights + [f"{root}/model/{name}" for name in rest]


@functools.cache
def code_of(script):
    """`code` of a rule: the digests of its script and of every local module behind it, as JSON."""
    root = Path(SCRIPTS)
    return canonical(digest.code_digests(root / f"{script}.py", root))


def with_files(code, folder):
    """`code` of a rule whose script reads this folder of the checkout too, its files by content.

    As input files they would be named by where the checkout lies, and stale wherever it moved.
    """
    return canonical(json.loads(code) | digest.file_digests(HOME / "workflow" / folder))


def own(path):
    """A file of the user's: taken from the folder where the run works, also under the prefix that
    another workflow gives to this one as its module."""
    return local(str(path))


@functools.cache
def fitted_sites(model):
    """Sites of a model on which ROIs are fitted; none while it is yet to be fetched."""
    try:
        return configuration.sites_of(config, model)
    except NotFetchedError:
        return []


@functools.cache
def size_of(model):
    """Sizes of a model from its config.json; None where it is not there yet, or made here."""
    try:
        return configuration.size_of(config, model)
    except ConnectomeError:
        return None


def memory_of(script, least):
    """`mem_mb` of what works on one model: so many, and more where the model is big."""

    def megabytes(wildcards):
        model = wildcards.model
        dtype, sites = configuration.dtype_of(config, model), len(fitted_sites(model))
        return footprint.stated(script, least, size_of(model), dtype, config, sites)

    return megabytes


def model_files(wildcards):
    """Files that describe_model reads: declared, so that new weights make all below stale."""
    if wildcards.model in TRAINED + BUILT + TAKEN:
        names = [
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
        return [f"<results>/{wildcards.model}/model/{name}" for name in names]
    if "hub" in config["models"][wildcards.model]:
        try:
            configuration.layers_of(config, wildcards.model)
        except NotFetchedError as error:
            raise WorkflowError(f"models.{wildcards.model}: {error}")
        return []
    directory = config["models"][wildcards.model]["path"]
    return [own(path) for path in checkpoint.files_of(Path(directory))]


def task_files(wildcards):
    """The user's prompt file of a task; none for a generated one."""
    task = config["tasks"][wildcards.task]
    return [own(task["file"])] if "file" in task else []


def corpus_files(wildcards):
    """The user's corpus: its file, or the files of a local data set; none for a generated one."""
    corpus = config["corpus"]
    if wildcards.model in BUILT:
        return []
    folder = Path(corpus.get("dataset", ""))
    if "dataset" in corpus and folder.is_dir():
        return sorted(own(path) for path in folder.rglob("*.*") if path.is_file())
    return [own(corpus["file"])] if "file" in corpus else []


def mixture_files(pattern):
    """Input function: the files of `pattern` for the tasks behind a model's attributions."""
    return lambda wildcards: expand(
        pattern, model=wildcards.model, task=model_tasks.mixture_of(config, wildcards.model)
    )


def part_of(section, pattern):
    """A part file: `N` in the pattern is the number of shards of this section of the config."""
    return pattern.replace("-of-N.", f"-of-{config[section]['shards']}.")


def parts_of(section, pattern):
    """The part files of all shards, in order; other wildcards stay."""
    shards = range(config[section]["shards"])
    return expand(part_of(section, pattern), shard=shards, allow_missing=True)


def activation_parts(model):
    """Part files of the activations of a model, in order."""
    parts = parts_of(
        "activations", "<results>/{model}/activations.parquet/part-{shard}-of-N.parquet"
    )
    return expand(parts, model=model)


def site_samples(wildcards):
    """Tables that hold the samples of a site: tokens for activations, prompts for attributions."""
    if wildcards.kind == "attribution":
        return f"<results>/{wildcards.model}/{wildcards.dictionary}/attributions.parquet"
    return activation_parts(wildcards.model)


def covariance_samples(wildcards):
    """What a covariance is made of: a table of samples; where there are several, their moments."""
    if wildcards.kind == "attribution" or config["activations"]["shards"] == 1:
        return site_samples(wildcards)
    parts = parts_of(
        "activations",
        "<results>/{model}/{dictionary}/covariance/{site}.parts/part-{shard}-of-N.npz",
    )
    return expand(parts, **wildcards)


def each_fitted_site(pattern):
    """Input function: the files of `pattern` for all fitted sites of a model, both kinds."""

    def files(wildcards):
        return expand(
            pattern,
            model=wildcards.model,
            dictionary=wildcards.dictionary,
            kind=KINDS,
            site=fitted_sites(wildcards.model),
        )

    return files


def each_task(pattern):
    """Input function: the files of `pattern` for all tasks of a model, in order."""

    def files(wildcards):
        return expand(
            pattern,
            model=wildcards.model,
            dictionary=wildcards.dictionary,
            task=TASKS_OF[wildcards.model],
        )

    return files


def activations_of(side):
    """Input function: the activations of the model on this side of a pair."""
    return lambda wildcards: activation_parts(wildcards[side])


def pair_files(pattern):
    """Files of a pattern for every pair of compared models and dictionary."""
    return [
        pattern.replace("{dictionary}", dictionary)
        .replace("{left}", left)
        .replace("{right}", right)
        for dictionary in DICTIONARIES
        for left, right in PAIRS
    ]


PLAN = {
    "models": {
        model: {
            "trained": model in TRAINED,
            "known": model_tasks.known_tasks_of(config, model),
            "tasks": TASKS_OF[model],
            "sites": fitted_sites(model),
        }
        for model in MODELS
    },
    "compared": COMPARED,
    "dictionaries": DICTIONARIES,
    "report": config["report"],
}
FIGURE = [".pdf", ".svg", ".png"]


def of_all_models(pattern, models=MODELS):
    """Files of a pattern for every model and dictionary, and the tasks and sites of each model."""
    return [
        path
        for model in models
        for path in expand(
            pattern,
            model=model,
            dictionary=DICTIONARIES,
            task=TASKS_OF[model],
            site=fitted_sites(model),
            kind=KINDS,
        )
    ]


def known_files(pattern):
    """Files of a pattern for every built model, dictionary and task of its own."""
    return [
        path
        for model in BUILT
        for path in expand(
            pattern, model=model, dictionary=DICTIONARIES, task=PLAN["models"][model]["known"]
        )
    ]


include: "slices.smk"


onstart:
    check_submission()


wildcard_constraints:
    model=one_of(MODELS),
    dictionary=one_of(DICTIONARIES),
    task=one_of(TASKS),
    site=r"embed|(attn|mlp|resid)\.\d+",
    kind=one_of(KINDS),
    shard=r"\d+",
