# `cfg` of every rule: the part of the configuration that it uses, as canonical JSON. No rules here.


def of_model(slice_for):
    """`cfg` of what runs the model: the slice of `slice_for`, with the number format of the model."""

    def with_dtype(wildcards):
        dtype = configuration.dtype_of(config, wildcards.model)
        return canonical({"model_dtype": dtype, **json.loads(slice_for(wildcards))})

    return with_dtype


def slice_of(*sections):
    """`cfg` of a rule that uses these sections, one section as it is, several by their names."""
    if len(sections) == 1:
        return lambda wildcards: canonical(config[sections[0]])
    return lambda wildcards: canonical({name: config[name] for name in sections})


def training_slice(wildcards):
    """`cfg` of train_model: the settings of this model."""
    settings = configuration.training_of(config, wildcards.model)
    return canonical({"seed": config["seed"], **settings})


def build_slice(wildcards):
    """`cfg` of build_model: which model, and the seed of what is random in it."""
    return canonical({"build": config["models"][wildcards.model]["build"], "seed": config["seed"]})


def checkpoint_slice(wildcards):
    """`cfg` of take_checkpoint: which step of which model."""
    return canonical(config["models"][wildcards.model]["checkpoint"])


def model_slice(wildcards):
    """`cfg` of describe_model: the name of the model and where it comes from."""
    source = {
        key: value
        for key, value in config["models"][wildcards.model].items()
        if key not in ("tasks", "dtype")
    }
    return canonical(
        {
            "name": wildcards.model,
            "source": {"train": True} if "train" in source else source,
        }
    )


def corpus_slice(wildcards):
    """`cfg` of make_corpus; a built model has a text of its own, in its own words."""
    source = config["models"][wildcards.model]
    own = {"build": source["build"]} if "build" in source else {}
    return canonical({"corpus": config["corpus"], "seed": config["seed"], **own})


def task_slice(wildcards):
    """`cfg` of what works on one task (the task, the pair numbers, the seed)."""
    return canonical(
        {
            "name": wildcards.task,
            "task": config["tasks"][wildcards.task],
            "pairs": config["pairs"],
            "seed": config["seed"],
        }
    )


def metrics_of(tasks):
    """The metric of each of these tasks."""
    return {task: configuration.metric_of(config, task) for task in tasks}


def with_metric(*sections):
    """`cfg` of a rule that uses these sections and measures by the metric of its task."""

    def slice_for(wildcards):
        metric = configuration.metric_of(config, wildcards.task)
        return canonical({"metric": metric} | {name: config[name] for name in sections})

    return slice_for


def exact_slice(wildcards):
    """`cfg` of tabulate_truth: the partitions that were scored by running every ablation."""
    return canonical({"exact": config["circuits"]["exact"]})


def recording_slice(wildcards):
    """`cfg` of record_activations: its section, with the columns that dictionaries need."""
    columns = {
        "sites": dictionary_config.natives_of(config, wildcards.model),
        "outputs": dictionary_config.recorded_of(config, wildcards.model),
    }
    return canonical(config["activations"] | columns)


def attribution_slice(wildcards):
    """`cfg` of record_attributions: the mixture, the metric of each of its tasks, and the sites."""
    metrics = metrics_of(model_tasks.mixture_of(config, wildcards.model))
    sites = config["activations"]["sites"]
    if wildcards.dictionary != NATIVE:
        sites = dictionary_config.nodes_of(config, wildcards.dictionary)
    return canonical({"metrics": metrics, "sites": sites})


def dictionary_slice(wildcards):
    """`cfg` of train_dictionary: the settings of the run, complete."""
    settings = dict(RUNS[wildcards.dictionary][wildcards.run])
    return canonical({"seed": settings.pop("seed"), "train": settings})


def foreign_slice(wildcards):
    """`cfg` of load_dictionary: what is taken for granted of the files."""
    source = config["dictionaries"][wildcards.dictionary]["load"][wildcards.site]
    return canonical({"options": dictionary_config.options_of(source)})


def directions_slice(wildcards):
    """`cfg` of compare_directions: which ROIs, beside how many random groups."""
    chosen = {"partitions": config["cards"]["partitions"], "draws": config["directions"]["draws"]}
    return canonical({"directions": chosen, "seed": config["seed"]})


def heads_slice(wildcards):
    """`cfg` of assign_heads: which tokens count."""
    return canonical({"skip_start": config["covariance"]["skip_start"]})


def overlap_slice(wildcards):
    """`cfg` of tabulate_directions: which ROIs are held against heads."""
    return canonical({"partitions": config["cards"]["partitions"], "seed": config["seed"]})


def feature_slice(wildcards):
    """`cfg` of describe_features: how many, and what is shown of each."""
    names = ("features", "examples", "window", "tokens", "min_count", "logits")
    cards = {name: config["cards"][name] for name in names}
    return canonical({"cards": cards, "method": config["report"]["method"], "seed": config["seed"]})


def quality_slice(wildcards):
    """`cfg` of evaluate_dictionary: how much is measured."""
    return canonical({"quality": config["dictionary_quality"], "seed": config["seed"]})


def card_slice(*names, metrics=False):
    """`cfg` of a rule that uses these keys of `cards`, with `metrics` that of each task too."""

    def slice_for(wildcards):
        chosen = {"cards": {name: config["cards"][name] for name in names}, "seed": config["seed"]}
        if metrics:
            chosen["metrics"] = metrics_of(TASKS_OF[wildcards.model])
        return canonical(chosen)

    return slice_for


def scores_slice(wildcards):
    """`cfg` of score_prompts: what is scored, and how."""
    metric = configuration.metric_of(config, wildcards.task)
    scored = {name: x for name, x in config["circuits"].items() if "stability" not in name}
    return canonical({"metric": metric, "circuits": scored, "seed": config["seed"]})


def evaluation_slice(wildcards):
    """`cfg` of run_circuits: what selects, draws and runs circuits."""
    metric = configuration.metric_of(config, wildcards.task)
    circuits = {name: config["circuits"][name] for name in ("partitions", "slots", "ablation")}
    runs = {name: x for name, x in config["evaluation"].items() if name != "bootstrap"}
    return canonical(
        {"metric": metric, "circuits": circuits, "evaluation": runs, "seed": config["seed"]}
    )


def statistics_slice(wildcards):
    """`cfg` of evaluate_circuit: what the statistics of those runs need, and say about them."""
    metric = configuration.metric_of(config, wildcards.task)
    statistics = {name: config["evaluation"][name] for name in ("bootstrap", "ranking")}
    circuits = {"ablation": config["circuits"]["ablation"]}
    return canonical(
        {"metric": metric, "circuits": circuits, "evaluation": statistics, "seed": config["seed"]}
    )


def specificity_slice(wildcards):
    """`cfg` of ablate_across_tasks: its section, the seed and the metric of each task."""
    return canonical(
        {
            "metrics": metrics_of(TASKS_OF[wildcards.model]),
            "specificity": config["specificity"],
            "seed": config["seed"],
        }
    )


def pair_slice(wildcards):
    """`cfg` of match_rois: how ROIs are compared, and whether the features are the same ones."""
    left, right = (lineage.origin_of(config, name) for name in (wildcards.left, wildcards.right))
    return canonical(
        {
            "comparison": {
                key: config["comparison"][key] for key in ["partitions", "tokens", "draws"]
            },
            "same_run": left == right,
            "seed": config["seed"],
            "skip_start": config["covariance"]["skip_start"],
        }
    )


def comparison_slice(wildcards):
    """`cfg` of tabulate_comparison: the models in order, the pairs of them, and what is compared."""
    return canonical(
        {
            "models": lineage.described(config, COMPARED),
            "pairs": [lineage.relation(config, COMPARED, *pair) for pair in PAIRS],
            "method": config["report"]["method"],
            "sizes": config["comparison"]["sizes"],
            "draws": config["comparison"]["draws"],
            "seed": config["seed"],
        }
    )


def settings(*names):
    """`cfg` of a rule that uses these keys of `report`, `figures` or `partitions`, or the seed."""

    def slice_for(wildcards):
        sections = config["report"] | config["figures"] | config["partitions"]
        known = sections | {"seed": config["seed"]}
        return canonical({name: known[name] for name in names})

    return slice_for


def circuit_export_slice(wildcards):
    """`cfg` of export_circuit: whose scores, and whose ROIs single features are in."""
    partition = config["exports"]["partition"]
    return canonical({"method": config["report"]["method"], "partition": partition})


def graph_export_slice(wildcards):
    """`cfg` of export_graph: what of a prompt becomes nodes and edges."""
    exports = {x: y for x, y in config["exports"].items() if x not in ("tasks", "prompts")}
    return canonical({"exports": exports})


def feature_export_slice(wildcards):
    """`cfg` of export_features: whose prompts are exported."""
    exports = {name: config["exports"][name] for name in ("tasks", "prompts")}
    return canonical({"exports": exports})


def page_slice(wildcards):
    """`cfg` of build_report: what the page is expected to show."""
    return canonical(PLAN)


def without_machine(*left_out):
    """The configuration without what is of one machine, and without these sections."""
    left_out = {"pathvars", "interpreters", "hub", *left_out}
    return {name: section for name, section in config.items() if name not in left_out}


def methods_slice(wildcards):
    """`cfg` of write_methods: all that says what was done."""
    said = without_machine("report", "figures")
    plan = {name: PLAN[name] for name in ("models", "compared", "native")}
    derived = {
        "dtype": {model: configuration.dtype_of(config, model) for model in MODELS},
        "training": {model: configuration.training_of(config, model) for model in TRAINED},
        "metric": metrics_of(TASKS),
    }
    return canonical({"config": said, "derived": derived, "plan": plan})


def supplement_slice(wildcards):
    """`cfg` of pack_supplement: the configuration, and which figures, tables and exports there are."""
    files = {"figures": figure_files(".svg"), "tables": page_tables()}
    names = {kind: [Path(path).stem for path in paths] for kind, paths in files.items()}
    names["exports"] = [path.removeprefix("<results>/") for path in all_exports()]
    return canonical({"config": without_machine(), **names})
