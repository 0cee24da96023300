# Requires: the config. Makes: the models trained, taken from a training or built here, and model.json, the handle of all.


rule train_model:
    output:
        config="<results>/{model}/model/config.json",
        generation="<results>/{model}/model/generation_config.json",
        weights="<results>/{model}/model/model.safetensors",
        tokenizer="<results>/{model}/model/tokenizer.json",
        tokenizer_config="<results>/{model}/model/tokenizer_config.json",
        checkpoints=expand(
            "<results>/{{model}}/checkpoints/{step}/{file}",
            step=CHECKPOINTS,
            file=["config.json", "model.safetensors"],
        ),
        curve="<results>/{model}/training.parquet",
    log:
        "<logs>/train_model/{model}.log",
    benchmark:
        "<benchmarks>/train_model/{model}.tsv"
    wildcard_constraints:
        model=one_of(TRAINED),
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=growing(60),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=training_slice,
        code=code_of("train_model"),
    shell:
        "root=$(dirname {output.curve:q}) && {resources.python:q} {resources.scripts:q}/train_model.py"
        ' --model-dir "$root/model" --checkpoint-dir "$root/checkpoints" --state "$root/.training"'
        " --curve {output.curve:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule build_model:
    output:
        config="<results>/{model}/model/config.json",
        generation="<results>/{model}/model/generation_config.json",
        weights="<results>/{model}/model/model.safetensors",
        tokenizer="<results>/{model}/model/tokenizer.json",
        tokenizer_config="<results>/{model}/model/tokenizer_config.json",
        known="<results>/{model}/known.json",
    log:
        "<logs>/build_model/{model}.log",
    benchmark:
        "<benchmarks>/build_model/{model}.tsv"
    wildcard_constraints:
        model=one_of(BUILT),
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=build_slice,
        code=code_of("build_model"),
    shell:
        "root=$(dirname {output.known:q}) && {resources.python:q} {resources.scripts:q}/build_model.py"
        ' --model-dir "$root/model" --known {output.known:q}'
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule take_checkpoint:
    input:
        checkpoint_files,
    output:
        config="<results>/{model}/model/config.json",
        generation="<results>/{model}/model/generation_config.json",
        weights="<results>/{model}/model/model.safetensors",
        tokenizer="<results>/{model}/model/tokenizer.json",
        tokenizer_config="<results>/{model}/model/tokenizer_config.json",
    log:
        "<logs>/take_checkpoint/{model}.log",
    benchmark:
        "<benchmarks>/take_checkpoint/{model}.tsv"
    wildcard_constraints:
        model=one_of(TAKEN),
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=200,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=checkpoint_slice,
        code=code_of("take_checkpoint"),
    shell:
        "{resources.python:q} {resources.scripts:q}/take_checkpoint.py --files {input:q}"
        ' --model-dir "$(dirname {output.config:q})"'
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule describe_model:
    input:
        files=model_files,
    output:
        "<results>/{model}/model.json",
    log:
        "<logs>/describe_model/{model}.log",
    benchmark:
        "<benchmarks>/describe_model/{model}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("describe_model", 1500),
        runtime=growing(30),
        cache=CACHE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=model_slice,
        code=code_of("describe_model"),
    shell:
        "{resources.python:q} {resources.scripts:q}/describe_model.py --files {input.files:q}"
        " --cache {resources.cache:q} --output {output:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
