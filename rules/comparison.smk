# Requires: results of at least two models that share a task. Makes: their comparison, as tables and figure.


rule match_rois:
    input:
        left=activations_of("left"),
        right=activations_of("right"),
        partitions_left="<results>/{left}/{dictionary}/partitions.parquet",
        partitions_right="<results>/{right}/{dictionary}/partitions.parquet",
    output:
        matching="<results>/comparison/{dictionary}/{left}.{right}.matching.parquet",
        pairs="<results>/comparison/{dictionary}/{left}.{right}.pairs.parquet",
    log:
        "<logs>/match_rois/{dictionary}.{left}.{right}.log",
    benchmark:
        "<benchmarks>/match_rois/{dictionary}.{left}.{right}.tsv"
    wildcard_constraints:
        left=one_of(COMPARED),
        right=one_of(COMPARED),
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=growing(60),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=pair_slice,
        code=code_of("match_rois"),
    shell:
        "{resources.python:q} {resources.scripts:q}/match_rois.py"
        " --activations-left {input.left:q} --activations-right {input.right:q}"
        " --partitions-left {input.partitions_left:q} --partitions-right {input.partitions_right:q}"
        " --output {output.matching:q} --pairs {output.pairs:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_comparison:
    input:
        models=of_native("<results>/{model}/model.json", COMPARED),
        matching=pair_files("<results>/comparison/{dictionary}/{left}.{right}.matching.parquet"),
        pairs=pair_files("<results>/comparison/{dictionary}/{left}.{right}.pairs.parquet"),
        nodes=of_native("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet", COMPARED),
        edges=of_native("<results>/{model}/{dictionary}/circuits/{task}.edges.parquet", COMPARED),
        graphs=of_native("<results>/{model}/{dictionary}/graph/{site}.{kind}.npz", COMPARED),
        partitions=of_native("<results>/{model}/{dictionary}/partitions.parquet", COMPARED),
        tables=[
            f"<results>/tables/{name}.csv"
            for name in ["competence", "sites", "partitions", "sizes"]
        ],
    output:
        matching="<results>/tables/matching.csv",
        rois="<results>/tables/matched_rois.csv",
        overlap="<results>/tables/overlap.csv",
        growth="<results>/tables/growth.csv",
        comparison="<results>/tables/comparison.csv",
    log:
        "<logs>/tabulate_comparison.log",
    benchmark:
        "<benchmarks>/tabulate_comparison.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=comparison_slice,
        code=code_of("tabulate_comparison"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_comparison.py --models {input.models:q}"
        " --matching {input.matching:q} --pairs {input.pairs:q}"
        " --nodes {input.nodes:q} --edges {input.edges:q} --graphs {input.graphs:q}"
        " --partitions {input.partitions:q} --tables {input.tables:q}"
        ' --output "$(dirname {output.comparison:q})"'
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_comparison:
    input:
        growth="<results>/tables/growth.csv",
        comparison="<results>/tables/comparison.csv",
    output:
        csv="<results>/figures/comparison.{dictionary}.csv",
        drawn=multiext("<results>/figures/comparison.{dictionary}", *FIGURE),
    log:
        "<logs>/plot_comparison/{dictionary}.log",
    benchmark:
        "<benchmarks>/plot_comparison/{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings(*LOOK),
        code=code_of("plot_comparison"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_comparison.py --growth {input.growth:q}"
        " --comparison {input.comparison:q} --dictionary {wildcards.dictionary}"
        " --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
