# Requires: model.json, prompts, partitions, scores of circuits, sizes.csv. Makes: exports/*, what other tools read: edge
# scores, GraphML, and graphs of direct effects within single prompts with the files of their features.
include: "exported.smk"


rule exports:
    input:
        all_exports(),


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
