# Requires: activations.parquet, and the folders of dictionaries made elsewhere. Makes: the dictionaries of each site in the
# SAELens layout, how well they give back what the model does, and the features that they find in every token.


rule dictionaries:
    input:
        of_all_runs("<results>/{model}/{dictionary}/{run}/{site}/metrics.json", DICTIONARIES),


rule train_dictionary:
    input:
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
        mem_mb=memory_of("train_dictionary", 1500),
        runtime=growing(240),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=dictionary_slice,
        code=code_of("train_dictionary"),
    shell:
        "{resources.python:q} {resources.scripts:q}/train_dictionary.py"
        " --activations {input.activations:q} --site {wildcards.site}"
        " --config {output.config:q} --weights {output.weights:q} --sparsity {output.sparsity:q}"
        " --record {output.record:q} --curve {output.curve:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
