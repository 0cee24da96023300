# Requires: results of the stages above. Makes: tables/*.csv, and figures/* drawn from them alone.


rule figures:
    input:
        [f"<results>/{path}" for path in page.inputs(PLAN) if path.startswith("figures/")],


rule tabulate_models:
    input:
        models=of_all_models("<results>/{model}/model.json"),
    output:
        "<results>/tables/models.csv",
    log:
        "<logs>/tabulate_models.log",
    benchmark:
        "<benchmarks>/tabulate_models.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings(),
        code=code_of("tabulate_models"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_models.py --models {input.models:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_training:
    input:
        curves=of_all_models("<results>/{model}/training.parquet", TRAINED),
    output:
        "<results>/tables/training.csv",
    log:
        "<logs>/tabulate_training.log",
    benchmark:
        "<benchmarks>/tabulate_training.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings(),
        code=code_of("tabulate_training"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_training.py --curves {input.curves:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_competence:
    input:
        competence=of_all_models("<results>/{model}/tasks/{task}.competence.json"),
        prompts=of_all_models("<results>/{model}/tasks/{task}.parquet"),
    output:
        competence="<results>/tables/competence.csv",
        examples="<results>/tables/prompts.csv",
    log:
        "<logs>/tabulate_competence.log",
    benchmark:
        "<benchmarks>/tabulate_competence.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("examples"),
        code=code_of("tabulate_competence"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_competence.py --competence {input.competence:q}"
        " --prompts {input.prompts:q}"
        " --output {output.competence:q} --examples {output.examples:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_sites:
    input:
        graphs=of_all_models("<results>/{model}/{dictionary}/graph/{site}.{kind}.npz"),
        fits=of_all_models("<results>/{model}/{dictionary}/sbm/{site}.{kind}.json"),
    output:
        sites="<results>/tables/sites.csv",
        levels="<results>/tables/levels.csv",
    log:
        "<logs>/tabulate_sites.log",
    benchmark:
        "<benchmarks>/tabulate_sites.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings(),
        code=code_of("tabulate_sites"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_sites.py --graphs {input.graphs:q} --fits {input.fits:q}"
        " --output {output.sites:q} --levels {output.levels:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_rois:
    input:
        covariance=of_all_models("<results>/{model}/{dictionary}/covariance/{site}.{kind}.npz"),
        partitions=of_all_models("<results>/{model}/{dictionary}/partitions.parquet"),
        nodes=of_all_models("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet"),
    output:
        rois="<results>/tables/rois.csv",
        scores="<results>/tables/roi_scores.csv",
    log:
        "<logs>/tabulate_rois.log",
    benchmark:
        "<benchmarks>/tabulate_rois.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("method", "seed"),
        code=code_of("tabulate_rois"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_rois.py --covariance {input.covariance:q}"
        " --partitions {input.partitions:q} --nodes {input.nodes:q}"
        " --output {output.rois:q} --scores {output.scores:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_faithfulness:
    input:
        evaluations=of_all_models("<results>/{model}/{dictionary}/evaluation/{task}.parquet"),
        competence=of_all_models("<results>/{model}/tasks/{task}.competence.json"),
    output:
        faithfulness="<results>/tables/faithfulness.csv",
        sizes="<results>/tables/sizes.csv",
    log:
        "<logs>/tabulate_faithfulness.log",
    benchmark:
        "<benchmarks>/tabulate_faithfulness.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("faithfulness"),
        code=code_of("tabulate_faithfulness"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_faithfulness.py --evaluations {input.evaluations:q}"
        " --competence {input.competence:q}"
        " --output {output.faithfulness:q} --sizes {output.sizes:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_circuits:
    input:
        edges=of_all_models("<results>/{model}/{dictionary}/circuits/{task}.edges.parquet"),
        sizes="<results>/tables/sizes.csv",
    output:
        "<results>/tables/circuits.csv",
    log:
        "<logs>/tabulate_circuits.log",
    benchmark:
        "<benchmarks>/tabulate_circuits.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("circuits", "method"),
        code=code_of("tabulate_circuits"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_circuits.py --edges {input.edges:q} --sizes {input.sizes:q}"
        " --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_agreement:
    input:
        edges=of_all_models("<results>/{model}/{dictionary}/circuits/{task}.edges.parquet"),
    output:
        "<results>/tables/agreement.csv",
    log:
        "<logs>/tabulate_agreement.log",
    benchmark:
        "<benchmarks>/tabulate_agreement.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings(),
        code=code_of("tabulate_agreement"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_agreement.py --edges {input.edges:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_summary:
    input:
        "<results>/tables/models.csv",
        "<results>/tables/competence.csv",
        "<results>/tables/sites.csv",
        "<results>/tables/rois.csv",
        "<results>/tables/roi_scores.csv",
        "<results>/tables/sizes.csv",
        "<results>/tables/agreement.csv",
    output:
        "<results>/tables/summary.csv",
    log:
        "<logs>/tabulate_summary.log",
    benchmark:
        "<benchmarks>/tabulate_summary.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("circuits", "method", "faithfulness"),
        code=code_of("tabulate_summary"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_summary.py --tables {input:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_competence:
    input:
        "<results>/tables/competence.csv",
    output:
        csv="<results>/figures/competence.{model}.csv",
        drawn=multiext("<results>/figures/competence.{model}", *FIGURE),
    log:
        "<logs>/plot_competence/{model}.log",
    benchmark:
        "<benchmarks>/plot_competence/{model}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi"),
        code=code_of("plot_competence"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_competence.py --competence {input:q}"
        " --model {wildcards.model} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_training:
    input:
        "<results>/tables/training.csv",
    output:
        csv="<results>/figures/training.{model}.csv",
        drawn=multiext("<results>/figures/training.{model}", *FIGURE),
    log:
        "<logs>/plot_training/{model}.log",
    benchmark:
        "<benchmarks>/plot_training/{model}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi"),
        code=code_of("plot_training"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_training.py --training {input:q}"
        " --model {wildcards.model} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_covariance:
    input:
        covariance="<results>/{model}/{dictionary}/covariance/{site}.{kind}.npz",
        fit="<results>/{model}/{dictionary}/sbm/{site}.{kind}.json",
    output:
        csv="<results>/figures/covariance.{model}.{dictionary}.{site}.{kind}.csv",
        drawn=multiext("<results>/figures/covariance.{model}.{dictionary}.{site}.{kind}", *FIGURE),
    log:
        "<logs>/plot_covariance/{model}.{dictionary}.{site}.{kind}.log",
    benchmark:
        "<benchmarks>/plot_covariance/{model}.{dictionary}.{site}.{kind}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("bins", "dpi"),
        code=code_of("plot_covariance"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_covariance.py --covariance {input.covariance:q}"
        " --fit {input.fit:q} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_rois:
    input:
        sites="<results>/tables/sites.csv",
        levels="<results>/tables/levels.csv",
    output:
        csv="<results>/figures/rois.{model}.{dictionary}.csv",
        drawn=multiext("<results>/figures/rois.{model}.{dictionary}", *FIGURE),
    log:
        "<logs>/plot_rois/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/plot_rois/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi"),
        code=code_of("plot_rois"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_rois.py --sites {input.sites:q} --levels {input.levels:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_circuit:
    input:
        "<results>/tables/circuits.csv",
        "<results>/tables/roi_scores.csv",
        "<results>/tables/sizes.csv",
        "<results>/tables/competence.csv",
        "<results>/tables/prompts.csv",
    output:
        csv=expand(
            "<results>/figures/circuit.{{model}}.{{dictionary}}.{{task}}.{partition}.csv",
            partition=config["report"]["circuits"],
        ),
        drawn=expand(
            "<results>/figures/circuit.{{model}}.{{dictionary}}.{{task}}.{partition}{kind}",
            partition=config["report"]["circuits"],
            kind=FIGURE,
        ),
    log:
        "<logs>/plot_circuit/{model}.{dictionary}.{task}.log",
    benchmark:
        "<benchmarks>/plot_circuit/{model}.{dictionary}.{task}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("method", "dpi"),
        code=code_of("plot_circuit"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_circuit.py --tables {input:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --task {wildcards.task}"
        " --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_faithfulness:
    input:
        "<results>/tables/faithfulness.csv",
    output:
        csv="<results>/figures/faithfulness.{model}.{dictionary}.{task}.csv",
        drawn=multiext("<results>/figures/faithfulness.{model}.{dictionary}.{task}", *FIGURE),
    log:
        "<logs>/plot_faithfulness/{model}.{dictionary}.{task}.log",
    benchmark:
        "<benchmarks>/plot_faithfulness/{model}.{dictionary}.{task}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("method", "dpi"),
        code=code_of("plot_faithfulness"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_faithfulness.py --faithfulness {input:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --task {wildcards.task}"
        " --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_ablation:
    input:
        "<results>/tables/sizes.csv",
    output:
        csv="<results>/figures/ablation.{model}.{dictionary}.csv",
        drawn=multiext("<results>/figures/ablation.{model}.{dictionary}", *FIGURE),
    log:
        "<logs>/plot_ablation/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/plot_ablation/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("method", "dpi"),
        code=code_of("plot_ablation"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_ablation.py --sizes {input:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
