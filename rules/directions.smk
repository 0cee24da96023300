# Requires: partitions, dictionaries, activations. Makes: directions in which the members of a ROI write and read, the
# heads of the features of attention sites, and their tables.


rule compare_directions:
    input:
        model="<results>/{model}/model.json",
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
        dictionaries=engine_dictionaries,
    output:
        "<results>/{model}/{dictionary}/directions.parquet",
    log:
        "<logs>/compare_directions/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/compare_directions/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("compare_directions", 1500),
        runtime=growing(30),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(directions_slice),
        code=code_of("compare_directions"),
    shell:
        "{resources.python:q} {resources.scripts:q}/compare_directions.py --model {input.model:q}"
        " --partitions {input.partitions:q} --dictionaries {input.dictionaries:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule assign_heads:
    input:
        model="<results>/{model}/model.json",
        activations=lambda wildcards: activation_parts(wildcards.model),
        features=attention_parts,
        dictionaries=attention_dictionaries,
    output:
        "<results>/{model}/{dictionary}/heads.parquet",
    log:
        "<logs>/assign_heads/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/assign_heads/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("assign_heads", 1500),
        runtime=growing(30),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(heads_slice),
        code=code_of("assign_heads"),
    shell:
        "{resources.python:q} {resources.scripts:q}/assign_heads.py --model {input.model:q}"
        " --activations {input.activations:q} --features {input.features:q}"
        " --dictionaries {input.dictionaries:q} --output {output:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_directions:
    input:
        directions=of_all_models("<results>/{model}/{dictionary}/directions.parquet"),
        heads=of_attention("<results>/{model}/{dictionary}/heads.parquet"),
        partitions=of_attention("<results>/{model}/{dictionary}/partitions.parquet"),
    output:
        directions="<results>/tables/directions.csv",
        heads="<results>/tables/feature_heads.csv",
        overlap="<results>/tables/head_overlap.csv",
    log:
        "<logs>/tabulate_directions.log",
    benchmark:
        "<benchmarks>/tabulate_directions.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=overlap_slice,
        code=code_of("tabulate_directions"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_directions.py --directions {input.directions:q}"
        " --heads {input.heads:q} --partitions {input.partitions:q} --output {output.directions:q}"
        " --feature-heads {output.heads:q} --overlap {output.overlap:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
