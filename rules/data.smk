# Requires: model.json. Makes: the corpus, the prompts of each task, and what the model can do of them.


rule make_corpus:
    input:
        model="<results>/{model}/model.json",
        text=corpus_files,
    output:
        "<results>/{model}/corpus.parquet",
    log:
        "<logs>/make_corpus/{model}.log",
    benchmark:
        "<benchmarks>/make_corpus/{model}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(30),
        cache=CACHE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=corpus_slice,
        code=code_of("make_corpus"),
    shell:
        "{resources.python:q} {resources.scripts:q}/make_corpus.py --model {input.model:q}"
        " --cache {resources.cache:q} --output {output:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule make_task:
    input:
        model="<results>/{model}/model.json",
        prompts=task_files,
    output:
        "<results>/{model}/tasks/{task}.parquet",
    log:
        "<logs>/make_task/{model}.{task}.log",
    benchmark:
        "<benchmarks>/make_task/{model}.{task}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=task_slice,
        code=code_of("make_task"),
    shell:
        "{resources.python:q} {resources.scripts:q}/make_task.py --model {input.model:q}"
        " --output {output:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule measure_competence:
    input:
        model="<results>/{model}/model.json",
        prompts="<results>/{model}/tasks/{task}.parquet",
    output:
        "<results>/{model}/tasks/{task}.competence.json",
    log:
        "<logs>/measure_competence/{model}.{task}.log",
    benchmark:
        "<benchmarks>/measure_competence/{model}.{task}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("measure_competence", 1000),
        runtime=growing(30),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(with_metric("competence", "seed")),
        code=code_of("measure_competence"),
    shell:
        "{resources.python:q} {resources.scripts:q}/measure_competence.py --model {input.model:q}"
        " --prompts {input.prompts:q} --output {output:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
