# Requires: model.json, the prompts, the partitions. Makes: scores of nodes and edges of every part graph.


rule circuits:
    input:
        of_all_models("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet"),
        of_all_models("<results>/{model}/{dictionary}/circuits/{task}.edges.parquet"),
        of_all_models("<results>/{model}/{dictionary}/circuits/{task}.stability.parquet"),


rule score_prompts:
    input:
        model="<results>/{model}/model.json",
        prompts="<results>/{model}/tasks/{task}.parquet",
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
        dictionaries=engine_dictionaries,
    output:
        part_of(
            "circuits",
            "<results>/{model}/{dictionary}/circuits/{task}.scores/part-{shard}-of-N.npz",
        ),
    log:
        "<logs>/score_prompts/{model}.{dictionary}.{task}.{shard}.log",
    benchmark:
        "<benchmarks>/score_prompts/{model}.{dictionary}.{task}.{shard}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("score_prompts", 1500),
        runtime=growing(240),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(scores_slice),
        code=code_of("score_prompts"),
    shell:
        "{resources.python:q} {resources.scripts:q}/score_prompts.py --model {input.model:q}"
        " --prompts {input.prompts:q} --partitions {input.partitions:q}"
        " --shard {wildcards.shard} --output {output:q}"
        " --dictionaries {input.dictionaries:q} --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule attribute_circuit:
    input:
        scores=parts_of(
            "circuits",
            "<results>/{model}/{dictionary}/circuits/{task}.scores/part-{shard}-of-N.npz",
        ),
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
    output:
        nodes="<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet",
        edges="<results>/{model}/{dictionary}/circuits/{task}.edges.parquet",
        stability="<results>/{model}/{dictionary}/circuits/{task}.stability.parquet",
    log:
        "<logs>/attribute_circuit/{model}.{dictionary}.{task}.log",
    benchmark:
        "<benchmarks>/attribute_circuit/{model}.{dictionary}.{task}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=growing(60),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=with_metric("circuits", "seed"),
        code=code_of("attribute_circuit"),
    shell:
        "{resources.python:q} {resources.scripts:q}/attribute_circuit.py --scores {input.scores:q}"
        " --partitions {input.partitions:q}"
        " --nodes {output.nodes:q} --edges {output.edges:q} --stability {output.stability:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
