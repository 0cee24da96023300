# Requires: covariance and the samples behind it, model.json. Makes: graph, block model, partitions.


rule rois:
    input:
        expand(
            "<results>/{model}/{dictionary}/partitions.parquet",
            model=MODELS,
            dictionary=DICTIONARIES,
        ),


rule build_graph:
    input:
        covariance="<results>/{model}/{dictionary}/covariance/{site}.{kind}.npz",
        samples=site_samples,
    output:
        "<results>/{model}/{dictionary}/graph/{site}.{kind}.npz",
    log:
        "<logs>/build_graph/{model}.{dictionary}.{site}.{kind}.log",
    benchmark:
        "<benchmarks>/build_graph/{model}.{dictionary}.{site}.{kind}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("build_graph", 1000),
        runtime=growing(60),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=slice_of("graph", "seed"),
        code=code_of("build_graph"),
    shell:
        "{resources.python:q} {resources.scripts:q}/build_graph.py"
        " --covariance {input.covariance:q} --samples {input.samples:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule fit_sbm:
    input:
        graph="<results>/{model}/{dictionary}/graph/{site}.{kind}.npz",
        covariance="<results>/{model}/{dictionary}/covariance/{site}.{kind}.npz",
    output:
        "<results>/{model}/{dictionary}/sbm/{site}.{kind}.json",
    log:
        "<logs>/fit_sbm/{model}.{dictionary}.{site}.{kind}.log",
    benchmark:
        "<benchmarks>/fit_sbm/{model}.{dictionary}.{site}.{kind}.tsv"
    conda:
        "../envs/graph-tool.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(60),
        python=GRAPH_TOOL_PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=slice_of("sbm", "seed"),
        code=code_of("fit_sbm"),
    shell:
        "{resources.python:q} {resources.scripts:q}/fit_sbm.py"
        " --graph {input.graph:q} --covariance {input.covariance:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule make_partitions:
    input:
        model="<results>/{model}/model.json",
        sbm=each_fitted_site("<results>/{model}/{dictionary}/sbm/{site}.{kind}.json"),
        covariance=each_fitted_site("<results>/{model}/{dictionary}/covariance/{site}.{kind}.npz"),
        graphs=each_fitted_site("<results>/{model}/{dictionary}/graph/{site}.{kind}.npz"),
        files=list(map(own, config["partitions"]["files"].values())),
        base=native_partitions,
    output:
        "<results>/{model}/{dictionary}/partitions.parquet",
    log:
        "<logs>/make_partitions/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/make_partitions/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("make_partitions", 1000),
        runtime=growing(30),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=slice_of("partitions", "seed"),
        code=code_of("make_partitions"),
    shell:
        "{resources.python:q} {resources.scripts:q}/make_partitions.py --model {input.model:q}"
        " --sbm {input.sbm:q} --covariance {input.covariance:q} --graphs {input.graphs:q}"
        " --base {input.base:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
