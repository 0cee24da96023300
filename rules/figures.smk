# Requires: the tables. Makes: figures/*, each as pdf, svg and png with the csv it is drawn from.


rule figures:
    input:
        [f"<results>/{path}" for path in page.inputs(PLAN) if path.startswith("figures/")],


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
        runtime=growing(10),
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
        runtime=growing(10),
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
        runtime=growing(10),
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
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi"),
        code=code_of("plot_rois"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_rois.py --sites {input.sites:q} --levels {input.levels:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_partitions:
    input:
        "<results>/tables/partition_agreement.csv",
    output:
        csv="<results>/figures/partitions.{model}.{dictionary}.csv",
        drawn=multiext("<results>/figures/partitions.{model}.{dictionary}", *FIGURE),
    log:
        "<logs>/plot_partitions/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/plot_partitions/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi"),
        code=code_of("plot_partitions"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_partitions.py --agreement {input:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_hierarchy:
    input:
        sites="<results>/tables/sites.csv",
        levels="<results>/tables/levels.csv",
    output:
        csv="<results>/figures/hierarchy.{model}.{dictionary}.{site}.csv",
        drawn=multiext("<results>/figures/hierarchy.{model}.{dictionary}.{site}", *FIGURE),
    log:
        "<logs>/plot_hierarchy/{model}.{dictionary}.{site}.log",
    benchmark:
        "<benchmarks>/plot_hierarchy/{model}.{dictionary}.{site}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi", "rois_blocks"),
        code=code_of("plot_hierarchy"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_hierarchy.py --sites {input.sites:q} --levels {input.levels:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --site {wildcards.site}"
        " --output {output.csv:q}"
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
        runtime=growing(10),
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
        runtime=growing(10),
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
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("method", "dpi"),
        code=code_of("plot_ablation"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_ablation.py --sizes {input:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_specificity:
    input:
        "<results>/tables/specificity.csv",
    output:
        csv=expand(
            "<results>/figures/specificity.{{model}}.{{dictionary}}.{sets}.csv",
            sets=["circuit", "assigned"],
        ),
        drawn=expand(
            "<results>/figures/specificity.{{model}}.{{dictionary}}.{sets}{kind}",
            sets=["circuit", "assigned"],
            kind=FIGURE,
        ),
    log:
        "<logs>/plot_specificity/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/plot_specificity/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi"),
        code=code_of("plot_specificity"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_specificity.py --specificity {input:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary}"
        " --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_heads:
    input:
        overlap="<results>/tables/head_overlap.csv",
        heads="<results>/tables/feature_heads.csv",
    output:
        csv="<results>/figures/heads.{model}.{dictionary}.{site}.csv",
        drawn=multiext("<results>/figures/heads.{model}.{dictionary}.{site}", *FIGURE),
    log:
        "<logs>/plot_heads/{model}.{dictionary}.{site}.log",
    benchmark:
        "<benchmarks>/plot_heads/{model}.{dictionary}.{site}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi"),
        code=code_of("plot_heads"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_heads.py --overlap {input.overlap:q}"
        " --heads {input.heads:q} --model {wildcards.model} --dictionary {wildcards.dictionary}"
        " --site {wildcards.site} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_dictionaries:
    input:
        dictionaries="<results>/tables/dictionaries.csv",
        training="<results>/tables/dictionary_training.csv",
        density="<results>/tables/dictionary_density.csv",
    output:
        csv="<results>/figures/dictionaries.{model}.{dictionary}.csv",
        drawn=multiext("<results>/figures/dictionaries.{model}.{dictionary}", *FIGURE),
    log:
        "<logs>/plot_dictionaries/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/plot_dictionaries/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("dpi"),
        code=code_of("plot_dictionaries"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_dictionaries.py"
        " --dictionaries {input.dictionaries:q} --training {input.training:q} --density {input.density:q}"
        " --model {wildcards.model} --dictionary {wildcards.dictionary} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule plot_units:
    input:
        faithfulness="<results>/tables/faithfulness.csv",
        errors="<results>/tables/errors.csv",
    output:
        csv="<results>/figures/units.{model}.{task}.csv",
        drawn=multiext("<results>/figures/units.{model}.{task}", *FIGURE),
    log:
        "<logs>/plot_units/{model}.{task}.log",
    benchmark:
        "<benchmarks>/plot_units/{model}.{task}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        native=NATIVE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("method", "dpi"),
        code=code_of("plot_units"),
    shell:
        "{resources.python:q} {resources.scripts:q}/plot_units.py --faithfulness {input.faithfulness:q}"
        " --errors {input.errors:q} --model {wildcards.model} --native {resources.native:q} --task {wildcards.task} --output {output.csv:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
