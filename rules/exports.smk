# Requires: model.json, prompts, partitions, scores of circuits, sizes.csv. Makes: exports/*, what other tools read: edge
# scores, GraphML, and graphs of direct effects within single prompts with the files of their features.


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


rule exports:
    input:
        exported_files("edges"),
        exported_files("graphml"),
        sum(GRAPHS.values(), []),
        ["<results>/exports/features/{}.{}.json".format(*names) for names in GRAPHS],


rule export_circuit:
    input:
        nodes="<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet",
        edges="<results>/{model}/{dictionary}/circuits/{task}.edges.parquet",
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
        sizes="<results>/tables/sizes.csv",
    output:
        scores="<results>/exports/edges/{model}.{dictionary}.{task}.{partition}.json",
        graphml="<results>/exports/graphml/{model}.{dictionary}.{task}.{partition}.graphml",
    log:
        "<logs>/export_circuit/{model}.{dictionary}.{task}.{partition}.log",
    benchmark:
        "<benchmarks>/export_circuit/{model}.{dictionary}.{task}.{partition}.tsv"
    wildcard_constraints:
        partition=one_of(config["report"]["circuits"]),
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=circuit_export_slice,
        code=code_of("export_circuit"),
    shell:
        "{resources.python:q} {resources.scripts:q}/export_circuit.py --model {wildcards.model}"
        " --dictionary {wildcards.dictionary} --task {wildcards.task} --partition {wildcards.partition}"
        " --nodes {input.nodes:q} --edges {input.edges:q} --partitions {input.partitions:q}"
        " --sizes {input.sizes:q} --scores {output.scores:q} --graphml {output.graphml:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule export_graph:
    input:
        model="<results>/{model}/model.json",
        prompts="<results>/{model}/tasks/{task}.parquet",
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
        dictionaries=engine_dictionaries,
    output:
        "<results>/exports/graphs/{model}-{dictionary}-{task}-{prompt}.json",
    log:
        "<logs>/export_graph/{model}-{dictionary}-{task}-{prompt}.log",
    benchmark:
        "<benchmarks>/export_graph/{model}-{dictionary}-{task}-{prompt}.tsv"
    wildcard_constraints:
        prompt=r"\d+",
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("export_graph", 1500),
        runtime=growing(60),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(graph_export_slice),
        code=code_of("export_graph"),
    shell:
        "{resources.python:q} {resources.scripts:q}/export_graph.py --model {input.model:q}"
        " --prompts {input.prompts:q} --partitions {input.partitions:q} --prompt {wildcards.prompt}"
        " --dictionaries {input.dictionaries:q} --output {output:q} --device {resources.device:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule export_features:
    input:
        model="<results>/{model}/model.json",
        graphs=graphs_of,
        prompts=graph_prompts,
        dictionaries=engine_dictionaries,
        cards=exported_cards,
    output:
        "<results>/exports/features/{model}.{dictionary}.json",
    log:
        "<logs>/export_features/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/export_features/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("export_features", 1500),
        runtime=growing(60),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(feature_export_slice),
        code=code_of("export_features"),
    shell:
        "{resources.python:q} {resources.scripts:q}/export_features.py --model {input.model:q}"
        " --graphs {input.graphs:q} --prompts {input.prompts:q} --output {output:q}"
        " --dictionaries {input.dictionaries:q} --cards {input.cards:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
