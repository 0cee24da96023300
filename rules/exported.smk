# Which files the exports are, by the configuration. No rules here.


def may_transcode(dictionary):
    """Whether a dictionary may have transcoders; of one made elsewhere its files tell."""
    sites = dictionary_config.nodes_of(config, dictionary)
    trained = dictionary in TRAINED_DICTIONARIES
    return any(site.startswith("mlp") for site in sites) and (
        not trained or dictionary_config.is_transcoder(config, dictionary)
    )


def exported_tasks(model, dictionary):
    """Tasks whose prompts are exported as graphs; none where a dictionary has no transcoders."""
    chosen = config["exports"]["tasks"]
    if dictionary != NATIVE and not may_transcode(dictionary):
        return []
    tasks = mapped(model)[dictionary]["tasks"]
    return [task for task in tasks if chosen == "all" or task in chosen]


def exported_graphs(model, dictionary):
    """Graphs of a model: some held-out prompts of each of its exported tasks."""
    return expand(
        "<results>/exports/graphs/{model}-{dictionary}-{task}-{prompt}.json",
        model=model,
        dictionary=dictionary,
        task=exported_tasks(model, dictionary),
        prompt=range(config["exports"]["prompts"]),
    )


def graphs_of(wildcards):
    """The graphs of the model on the features of the dictionary."""
    return GRAPHS[wildcards.model, wildcards.dictionary]


def graph_prompts(wildcards):
    """The prompts of those tasks."""
    return expand(
        "<results>/{model}/tasks/{task}.parquet",
        model=wildcards.model,
        task=exported_tasks(wildcards.model, wildcards.dictionary),
    )


def exported_cards(wildcards):
    """Tables of the cards of a dictionary's features; none of native ones."""
    if wildcards.dictionary == NATIVE:
        return []
    return expand(
        "<results>/{model}/{dictionary}/features/{table}.parquet",
        model=wildcards.model,
        dictionary=wildcards.dictionary,
        table=["cards", "examples", "logits"],
    )


def exported_files(ending):
    """Files of circuits, one per partition on the page, in one of two formats."""
    pattern = f"<results>/exports/{ending}/{{model}}.{{dictionary}}.{{task}}"
    suffix = "json" if ending == "edges" else ending
    return [
        f"{path}.{partition}.{suffix}"
        for path in of_all_models(pattern)
        for partition in config["report"]["circuits"]
    ]


def all_exports():
    """All files that the workflow watches; those of single features stand in the lists among them."""
    return [
        *exported_files("edges"),
        *exported_files("graphml"),
        *sum(GRAPHS.values(), []),
        *("<results>/exports/features/{}.{}.json".format(*names) for names in GRAPHS),
    ]


GRAPHS = {
    (model, dictionary): paths
    for model in MODELS
    for dictionary in mapped(model)
    if (paths := exported_graphs(model, dictionary))
}
if len({path for paths in GRAPHS.values() for path in paths}) < sum(map(len, GRAPHS.values())):
    raise WorkflowError(
        "exports: two graphs would have one name; give a model or a task another short name"
    )
