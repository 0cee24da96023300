# Requires: activations.parquet, and the folders of dictionaries made elsewhere. Makes: the dictionaries of each site in the
# SAELens layout, how well they give back what the model does, and the features that they find in every token.


rule dictionaries:
    input:
        of_all_runs("<results>/{model}/{dictionary}/{run}/{site}/metrics.json", DICTIONARIES),


rule train_dictionary:
    input:
        model="<results>/{model}/model.json",
        activations=lambda wildcards: activation_parts(wildcards.model),
    output:
        config="<results>/{model}/{dictionary}/{run}/{site}/cfg.json",
        weights="<results>/{model}/{dictionary}/{run}/{site}/sae_weights.safetensors",
        sparsity="<results>/{model}/{dictionary}/{run}/{site}/sparsity.safetensors",
        record="<results>/{model}/{dictionary}/{run}/{site}/train.json",
        curve="<results>/{model}/{dictionary}/{run}/{site}/loss.csv",
    log:
        "<logs>/train_dictionary/{model}.{dictionary}.{run}.{site}.log",
    benchmark:
        "<benchmarks>/train_dictionary/{model}.{dictionary}.{run}.{site}.tsv"
    wildcard_constraints:
        dictionary=one_of(TRAINED_DICTIONARIES),
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=dictionary_memory(1500),
        runtime=growing(240),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=dictionary_slice,
        code=code_of("train_dictionary"),
    shell:
        "{resources.python:q} {resources.scripts:q}/train_dictionary.py --model {input.model:q}"
        " --activations {input.activations:q} --site {wildcards.site}"
        ' --state "$(dirname {output.config:q})/.training"'
        " --config {output.config:q} --weights {output.weights:q} --sparsity {output.sparsity:q}"
        " --record {output.record:q} --curve {output.curve:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule load_dictionary:
    input:
        model="<results>/{model}/model.json",
        files=foreign_files,
    output:
        config="<results>/{model}/{dictionary}/dictionary/{site}/cfg.json",
        weights="<results>/{model}/{dictionary}/dictionary/{site}/sae_weights.safetensors",
        record="<results>/{model}/{dictionary}/dictionary/{site}/train.json",
    log:
        "<logs>/load_dictionary/{model}.{dictionary}.{site}.log",
    benchmark:
        "<benchmarks>/load_dictionary/{model}.{dictionary}.{site}.tsv"
    wildcard_constraints:
        dictionary=one_of(LOADED_DICTIONARIES),
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=dictionary_memory(1500),
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=foreign_slice,
        code=code_of("load_dictionary"),
    shell:
        "{resources.python:q} {resources.scripts:q}/load_dictionary.py --model {input.model:q}"
        " --files {input.files:q} --site {wildcards.site} --config {output.config:q} --weights {output.weights:q} --record {output.record:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule evaluate_dictionary:
    input:
        model="<results>/{model}/model.json",
        corpus="<results>/{model}/corpus.parquet",
        activations=lambda wildcards: activation_parts(wildcards.model),
        dictionary=dictionary_files("{run}"),
    output:
        "<results>/{model}/{dictionary}/{run}/{site}/metrics.json",
    log:
        "<logs>/evaluate_dictionary/{model}.{dictionary}.{run}.{site}.log",
    benchmark:
        "<benchmarks>/evaluate_dictionary/{model}.{dictionary}.{run}.{site}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=dictionary_memory(1500),
        runtime=growing(60),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(quality_slice),
        code=code_of("evaluate_dictionary"),
    shell:
        "{resources.python:q} {resources.scripts:q}/evaluate_dictionary.py --model {input.model:q}"
        " --corpus {input.corpus:q} --activations {input.activations:q}"
        " --dictionary {input.dictionary:q} --site {wildcards.site} --output {output:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule encode_features:
    input:
        activations=part_of(
            "activations", "<results>/{model}/activations.parquet/part-{shard}-of-N.parquet"
        ),
        dictionary=dictionary_files(dictionary_config.MAIN),
    output:
        part_of(
            "activations",
            "<results>/{model}/{dictionary}/features/{site}/part-{shard}-of-N.parquet",
        ),
    log:
        "<logs>/encode_features/{model}.{dictionary}.{site}.{shard}.log",
    benchmark:
        "<benchmarks>/encode_features/{model}.{dictionary}.{site}.{shard}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=dictionary_memory(1500),
        runtime=growing(60),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=canonical({}),
        code=code_of("encode_features"),
    shell:
        "{resources.python:q} {resources.scripts:q}/encode_features.py --activations {input.activations:q}"
        " --dictionary {input.dictionary:q} --site {wildcards.site} --output {output:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_dictionaries:
    input:
        metrics=of_all_runs(
            "<results>/{model}/{dictionary}/{run}/{site}/metrics.json", DICTIONARIES
        ),
        records=of_all_runs(
            "<results>/{model}/{dictionary}/{run}/{site}/train.json", TRAINED_DICTIONARIES
        ),
        curves=of_all_runs(
            "<results>/{model}/{dictionary}/{run}/{site}/loss.csv", TRAINED_DICTIONARIES
        ),
        weights=of_all_runs(
            "<results>/{model}/{dictionary}/{run}/{site}/sae_weights.safetensors",
            TRAINED_DICTIONARIES,
        ),
    output:
        dictionaries="<results>/tables/dictionaries.csv",
        training="<results>/tables/dictionary_training.csv",
        density="<results>/tables/dictionary_density.csv",
    log:
        "<logs>/tabulate_dictionaries.log",
    benchmark:
        "<benchmarks>/tabulate_dictionaries.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings(),
        code=code_of("tabulate_dictionaries"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_dictionaries.py --metrics {input.metrics:q}"
        " --records {input.records:q} --curves {input.curves:q} --weights {input.weights:q}"
        " --output {output.dictionaries:q} --training {output.training:q} --density {output.density:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
