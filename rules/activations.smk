# Requires: model.json, the corpus, the prompts. Makes: activations.parquet and attributions.parquet.


rule activations:
    input:
        [path for model in MODELS for path in activation_parts(model)],


rule record_activations:
    input:
        model="<results>/{model}/model.json",
        corpus="<results>/{model}/corpus.parquet",
    output:
        part_of("activations", "<results>/{model}/activations.parquet/part-{shard}-of-N.parquet"),
    log:
        "<logs>/record_activations/{model}.{shard}.log",
    benchmark:
        "<benchmarks>/record_activations/{model}.{shard}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("record_activations", 1500),
        runtime=growing(120),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(recording_slice),
        code=code_of("record_activations"),
    shell:
        "{resources.python:q} {resources.scripts:q}/record_activations.py --model {input.model:q}"
        " --corpus {input.corpus:q} --shard {wildcards.shard} --output {output:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule record_attributions:
    input:
        model="<results>/{model}/model.json",
        prompts=mixture_files("<results>/{model}/tasks/{task}.parquet"),
        competence=mixture_files("<results>/{model}/tasks/{task}.competence.json"),
        dictionaries=engine_dictionaries,
    output:
        "<results>/{model}/{dictionary}/attributions.parquet",
    log:
        "<logs>/record_attributions/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/record_attributions/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("record_attributions", 1500),
        runtime=growing(120),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(attribution_slice),
        code=code_of("record_attributions"),
    shell:
        "{resources.python:q} {resources.scripts:q}/record_attributions.py --model {input.model:q}"
        " --prompts {input.prompts:q} --competence {input.competence:q} --output {output:q}"
        " --dictionaries {input.dictionaries:q} --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
