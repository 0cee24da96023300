# Requires: model.json, the prompts, the partitions. Makes: scores of nodes and edges of every part graph.


rule circuits:
    input:
        of_all_models("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet"),
        of_all_models("<results>/{model}/{dictionary}/circuits/{task}.edges.parquet"),
        of_all_models("<results>/{model}/{dictionary}/circuits/{task}.stability.parquet"),


rule attribute_circuit:
    input:
        model="<results>/{model}/model.json",
        prompts="<results>/{model}/tasks/{task}.parquet",
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
        mem_mb=memory_of("attribute_circuit", 1500),
        runtime=growing(240),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(with_metric("circuits", "seed")),
        code=code_of("attribute_circuit"),
    shell:
        "{resources.python:q} {resources.scripts:q}/attribute_circuit.py --model {input.model:q}"
        " --prompts {input.prompts:q} --partitions {input.partitions:q}"
        " --nodes {output.nodes:q} --edges {output.edges:q} --stability {output.stability:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
