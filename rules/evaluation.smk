# Requires: circuits, prompts, partitions. Makes: faithfulness of circuits of every size, and what the parts of one task mean to
# the others; all on held-out prompts.


rule run_circuits:
    input:
        model="<results>/{model}/model.json",
        prompts="<results>/{model}/tasks/{task}.parquet",
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
        nodes="<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet",
        edges="<results>/{model}/{dictionary}/circuits/{task}.edges.parquet",
        dictionaries=engine_dictionaries,
    output:
        part_of(
            "evaluation",
            "<results>/{model}/{dictionary}/evaluation/{task}.runs/part-{shard}-of-N.npz",
        ),
    log:
        "<logs>/run_circuits/{model}.{dictionary}.{task}.{shard}.log",
    benchmark:
        "<benchmarks>/run_circuits/{model}.{dictionary}.{task}.{shard}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("run_circuits", 1500),
        runtime=growing(240),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(evaluation_slice),
        code=code_of("run_circuits"),
    shell:
        "{resources.python:q} {resources.scripts:q}/run_circuits.py --model {input.model:q}"
        " --prompts {input.prompts:q} --partitions {input.partitions:q}"
        " --nodes {input.nodes:q} --edges {input.edges:q}"
        " --shard {wildcards.shard} --output {output:q}"
        " --dictionaries {input.dictionaries:q} --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule evaluate_circuit:
    input:
        runs=parts_of(
            "evaluation",
            "<results>/{model}/{dictionary}/evaluation/{task}.runs/part-{shard}-of-N.npz",
        ),
    output:
        curves="<results>/{model}/{dictionary}/evaluation/{task}.parquet",
        summaries="<results>/{model}/{dictionary}/evaluation/{task}.summaries.parquet",
    log:
        "<logs>/evaluate_circuit/{model}.{dictionary}.{task}.log",
    benchmark:
        "<benchmarks>/evaluate_circuit/{model}.{dictionary}.{task}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(60),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=statistics_slice,
        code=code_of("evaluate_circuit"),
    shell:
        "{resources.python:q} {resources.scripts:q}/evaluate_circuit.py --runs {input.runs:q}"
        " --output {output.curves:q} --summaries {output.summaries:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule ablate_across_tasks:
    input:
        model="<results>/{model}/model.json",
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
        prompts=each_task("<results>/{model}/tasks/{task}.parquet"),
        competence=each_task("<results>/{model}/tasks/{task}.competence.json"),
        nodes=each_task("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet"),
    output:
        cells="<results>/{model}/{dictionary}/specificity.parquet",
        summary="<results>/{model}/{dictionary}/specificity.summary.parquet",
    log:
        "<logs>/ablate_across_tasks/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/ablate_across_tasks/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("ablate_across_tasks", 1500),
        runtime=growing(240),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(specificity_slice),
        code=code_of("ablate_across_tasks"),
    shell:
        "{resources.python:q} {resources.scripts:q}/ablate_across_tasks.py --model {input.model:q}"
        " --partitions {input.partitions:q} --prompts {input.prompts:q} --competence {input.competence:q}"
        " --nodes {input.nodes:q} --output {output.cells:q} --summary {output.summary:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
