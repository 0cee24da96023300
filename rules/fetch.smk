# Requires: a network, and nothing else of this workflow does. Makes: the hub models and data sets of the config in the
# Hugging Face cache.


localrules:
    fetch,


rule fetch:
    log:
        "<logs>/fetch.log",
    benchmark:
        "<benchmarks>/fetch.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(600),
        cache=CACHE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=canonical(configuration.to_fetch(config)),
        code=code_of("fetch"),
    shell:
        "{resources.python:q} {resources.scripts:q}/fetch.py --cache {resources.cache:q}"
        " --cfg {params.cfg:q} --code {params.code:q} 2>&1 | tee {log:q}"
