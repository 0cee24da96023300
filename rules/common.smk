# What the rules share: the configuration, which targets exist, and which files each rule reads. No rules here.
import functools
import json
import re
import sys
from pathlib import Path

HOME = Path(str(workflow.current_basedir)).parent
SCRIPTS = str(HOME / "workflow" / "scripts")
sys.path.insert(0, SCRIPTS)

from connectome import checkpoint, configuration, dictionary_config
from connectome import digest, folders, footprint, lineage, model_tasks
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
NATIVE = dictionary_config.NATIVE
DICTIONARIES = list(config["dictionaries"])
TRAINED_DICTIONARIES = [
    name for name in DICTIONARIES if name != NATIVE and dictionary_config.is_trained(config, name)
]
LOADED_DICTIONARIES = [name for name in DICTIONARIES if name not in [NATIVE, *TRAINED_DICTIONARIES]]
RUNS = {name: dictionary_config.runs_of(config, name) for name in TRAINED_DICTIONARIES}
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
def mapped(model):
    """Per dictionary of a model the sites on which ROIs are fitted, and the tasks of its circuits."""
    found = {NATIVE: {"sites": fitted_sites(model), "tasks": TASKS_OF[model]}}
    for dictionary in dictionary_config.sparse_of(config, model):
        if sites := dictionary_config.nodes_of(config, dictionary):
            tasks = dictionary_config.tasks_of(config, model, dictionary)
            found[dictionary] = {"sites": sites, "tasks": tasks}
    return found


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


def dictionary_memory(least):
    """`mem_mb` of what works on a dictionary: so many, and more where it or the model is big."""

    def megabytes(wildcards):
        size, name = size_of(wildcards.model), wildcards.dictionary
        if size is None:
            return least
        run = config["dictionary_training"]
        if name in RUNS:
            run = RUNS[name][wildcards.get("run", dictionary_config.MAIN)]
            features = run["features"]
        else:
            files = map(Path, foreign_files(wildcards))
            features = sum(path.stat().st_size for path in files) // (8 * size.width)
        dtype = configuration.dtype_of(config, wildcards.model)
        needed = footprint.dictionary(size, dtype, features, run["batch_tokens"])
        return max(least, footprint.BASE + needed // 10**6)

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


def feature_parts(wildcards):
    """Part files that hold the features of a site of a dictionary, in order."""
    if wildcards.dictionary == NATIVE:
        return activation_parts(wildcards.model)
    parts = parts_of(
        "activations",
        "<results>/{model}/{dictionary}/features/{site}/part-{shard}-of-N.parquet",
    )
    return expand(parts, **wildcards)


def feature_part(wildcards):
    """The part file of one shard of them."""
    return feature_parts(wildcards)[int(wildcards.shard)]


def dictionary_files(run):
    """Patterns of the two files that hold the weights of a dictionary at a site."""
    folder = f"<results>/{{model}}/{{dictionary}}/{run}/{{site}}"
    return [f"{folder}/cfg.json", f"{folder}/sae_weights.safetensors"]


def engine_dictionaries(wildcards):
    """Files of the dictionaries that stand for modules in the engine; none for the native one."""
    if wildcards.dictionary == NATIVE:
        return []
    return expand(
        dictionary_files(dictionary_config.MAIN),
        model=wildcards.model,
        dictionary=wildcards.dictionary,
        site=dictionary_config.nodes_of(config, wildcards.dictionary),
    )


def attention_dictionaries(wildcards):
    """Those of them that stand for attention modules."""
    return [
        path for path in engine_dictionaries(wildcards) if Path(path).parent.name.startswith("attn")
    ]


def attention_parts(wildcards):
    """Part files of the features of attention sites."""
    return [path for path in encoded_parts(wildcards) if Path(path).parent.name.startswith("attn")]


def foreign_files(wildcards):
    """Files of a dictionary that was made elsewhere: declared, so that new ones make all stale."""
    try:
        source = config["dictionaries"][wildcards.dictionary]["load"][wildcards.site]
        files = dictionary_config.foreign_files(source, configuration.cache_of(config))
        return [own(path) for path in files]
    except ConnectomeError as error:
        raise WorkflowError(f"dictionaries.{wildcards.dictionary}.load.{wildcards.site}: {error}")


def encoded_parts(wildcards):
    """Part files of the features of all mapped sites of a dictionary; none of the native one."""
    if wildcards.dictionary == NATIVE:
        return []
    parts = parts_of(
        "activations",
        "<results>/{model}/{dictionary}/features/{site}/part-{shard}-of-N.parquet",
    )
    sites = mapped(wildcards.model)[wildcards.dictionary]["sites"]
    return expand(parts, model=wildcards.model, dictionary=wildcards.dictionary, site=sites)


def native_partitions(wildcards):
    """Partitions of the sites that a dictionary does not cover: the native ones."""
    if wildcards.dictionary == NATIVE:
        return []
    return f"<results>/{wildcards.model}/{NATIVE}/partitions.parquet"


def site_samples(wildcards):
    """Tables that hold the samples of a site: tokens for activations, prompts for attributions."""
    if wildcards.kind == "attribution":
        return f"<results>/{wildcards.model}/{wildcards.dictionary}/attributions.parquet"
    return feature_parts(wildcards)


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
    """Input function: the files of `pattern` for all fitted sites of a dictionary, both kinds."""

    def files(wildcards):
        return expand(
            pattern,
            model=wildcards.model,
            dictionary=wildcards.dictionary,
            kind=KINDS,
            site=mapped(wildcards.model)[wildcards.dictionary]["sites"],
        )

    return files


def each_task(pattern):
    """Input function: the files of `pattern` for all tasks of a dictionary, in order."""

    def files(wildcards):
        return expand(
            pattern,
            model=wildcards.model,
            dictionary=wildcards.dictionary,
            task=mapped(wildcards.model)[wildcards.dictionary]["tasks"],
        )

    return files


def activations_of(side):
    """Input function: the activations of the model on this side of a pair."""
    return lambda wildcards: activation_parts(wildcards[side])


def pair_files(pattern):
    """Files of a pattern for every pair of compared models; their native features are compared."""
    return [
        path
        for left, right in PAIRS
        for path in expand(pattern, dictionary=NATIVE, left=left, right=right)
    ]


PLAN = {
    "models": {
        model: {
            "trained": model in TRAINED,
            "known": model_tasks.known_tasks_of(config, model),
            "tasks": TASKS_OF[model],
            "dictionaries": mapped(model),
            "judged": dictionary_config.sparse_of(config, model),
        }
        for model in MODELS
    },
    "compared": COMPARED,
    "native": NATIVE,
    "report": config["report"],
}
FIGURE = [".pdf", ".svg", ".png"]


def of_all_models(pattern, models=MODELS):
    """Files of a pattern for every model, its dictionaries, and the tasks and sites of each."""
    return list(
        dict.fromkeys(
            path
            for model in models
            for dictionary, covered in mapped(model).items()
            for path in expand(
                pattern,
                model=model,
                dictionary=dictionary,
                task=covered["tasks"],
                site=covered["sites"],
                kind=KINDS,
            )
        )
    )


def of_traced(pattern):
    """Files of a pattern for every model and each of its dictionaries on which circuits are traced."""
    return [
        path
        for model in MODELS
        for dictionary, covered in mapped(model).items()
        if covered["tasks"]
        for path in expand(pattern, model=model, dictionary=dictionary)
    ]


def of_attention(pattern):
    """Files of a pattern for every model and each of its dictionaries at attention sites."""
    return [
        path
        for model in MODELS
        for dictionary, covered in mapped(model).items()
        if dictionary != NATIVE and any(site.startswith("attn") for site in covered["sites"])
        for path in expand(pattern, model=model, dictionary=dictionary)
    ]


def of_sparse(pattern):
    """Files of a pattern for every model and each of its dictionaries of features with circuits."""
    every = of_traced(pattern)
    return [path for path in every if NATIVE not in path.split("/")]


def of_native(pattern, models=MODELS):
    """The same of native features alone."""
    return [
        path
        for model in models
        for path in expand(
            pattern,
            model=model,
            dictionary=NATIVE,
            task=TASKS_OF[model],
            site=fitted_sites(model),
            kind=KINDS,
        )
    ]


def of_all_runs(pattern, dictionaries):
    """Files of a pattern for every run of these dictionaries, at every site of every model."""
    return [
        path
        for model in MODELS
        for dictionary in dictionary_config.sparse_of(config, model)
        if dictionary in dictionaries
        for path in expand(
            pattern,
            model=model,
            dictionary=dictionary,
            run=list(RUNS.get(dictionary, [dictionary_config.MAIN])),
            site=dictionary_config.sites_of(config, dictionary),
        )
    ]


def known_files(pattern):
    """Files of a pattern for every built model and task of its own, on native features."""
    return [
        path
        for model in BUILT
        for path in expand(
            pattern, model=model, dictionary=NATIVE, task=PLAN["models"][model]["known"]
        )
    ]


include: "slices.smk"


onstart:
    check_submission()


wildcard_constraints:
    model=one_of(MODELS),
    dictionary=one_of(DICTIONARIES),
    run=one_of(
        dict.fromkeys(
            run for runs in [{dictionary_config.MAIN: {}}, *RUNS.values()] for run in runs
        )
    ),
    task=one_of(TASKS),
    site=r"embed|(attn|mlp|resid)\.\d+",
    kind=one_of(KINDS),
    shard=r"\d+",
