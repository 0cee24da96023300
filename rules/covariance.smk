# Requires: activations.parquet, attributions.parquet. Makes: the covariance of each fitted site.
# compute_moments runs where activations have several parts, by the same script: what it makes of one part is what
# compute_covariance merges.


rule compute_moments:
    input:
        samples=part_of(
            "activations", "<results>/{model}/activations.parquet/part-{shard}-of-N.parquet"
        ),
    output:
        temp(
            part_of(
                "activations",
                "<results>/{model}/{dictionary}/covariance/{site}.parts/part-{shard}-of-N.npz",
            )
        ),
    log:
        "<logs>/compute_moments/{model}.{dictionary}.{site}.{shard}.log",
    benchmark:
        "<benchmarks>/compute_moments/{model}.{dictionary}.{site}.{shard}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("compute_covariance", 1000),
        runtime=growing(60),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=slice_of("covariance"),
        code=code_of("compute_covariance"),
    shell:
        "{resources.python:q} {resources.scripts:q}/compute_covariance.py"
        " --samples {input.samples:q} --site {wildcards.site} --kind activation"
        " --dictionary {wildcards.dictionary} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule compute_covariance:
    input:
        samples=covariance_samples,
    output:
        "<results>/{model}/{dictionary}/covariance/{site}.{kind}.npz",
    log:
        "<logs>/compute_covariance/{model}.{dictionary}.{site}.{kind}.log",
    benchmark:
        "<benchmarks>/compute_covariance/{model}.{dictionary}.{site}.{kind}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("compute_covariance", 1000),
        runtime=growing(60),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=slice_of("covariance"),
        code=code_of("compute_covariance"),
    shell:
        "{resources.python:q} {resources.scripts:q}/compute_covariance.py"
        " --samples {input.samples:q} --site {wildcards.site} --kind {wildcards.kind}"
        " --dictionary {wildcards.dictionary} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
