# Requires: results of the stages above. Makes: tables/*.csv, every number that the page shows.


rule tabulate_models:
    input:
        models=of_native("<results>/{model}/model.json"),
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
        runtime=growing(10),
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
        curves=of_native("<results>/{model}/training.parquet", TRAINED),
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
        runtime=growing(10),
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
        competence=of_native("<results>/{model}/tasks/{task}.competence.json"),
        prompts=of_native("<results>/{model}/tasks/{task}.parquet"),
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
        runtime=growing(10),
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
        partitions=of_all_models("<results>/{model}/{dictionary}/partitions.parquet"),
    output:
        sites="<results>/tables/sites.csv",
        levels="<results>/tables/levels.csv",
        nulls="<results>/tables/nulls.csv",
        classical="<results>/tables/classical.csv",
    log:
        "<logs>/tabulate_sites.log",
    benchmark:
        "<benchmarks>/tabulate_sites.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings(),
        code=code_of("tabulate_sites"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_sites.py --graphs {input.graphs:q} --fits {input.fits:q}"
        " --partitions {input.partitions:q} --output {output.sites:q} --levels {output.levels:q}"
        " --nulls {output.nulls:q} --classical {output.classical:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_partitions:
    input:
        partitions=of_all_models("<results>/{model}/{dictionary}/partitions.parquet"),
    output:
        sizes="<results>/tables/partitions.csv",
        agreement="<results>/tables/partition_agreement.csv",
    log:
        "<logs>/tabulate_partitions.log",
    benchmark:
        "<benchmarks>/tabulate_partitions.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("seed"),
        code=code_of("tabulate_partitions"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_partitions.py --partitions {input.partitions:q}"
        " --output {output.sizes:q} --agreement {output.agreement:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_rois:
    input:
        covariance=of_all_models("<results>/{model}/{dictionary}/covariance/{site}.{kind}.npz"),
        graphs=of_all_models("<results>/{model}/{dictionary}/graph/{site}.{kind}.npz"),
        partitions=of_all_models("<results>/{model}/{dictionary}/partitions.parquet"),
        nodes=of_all_models("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet"),
    output:
        rois="<results>/tables/rois.csv",
        scores="<results>/tables/roi_scores.csv",
        sizes="<results>/tables/roi_sizes.csv",
    log:
        "<logs>/tabulate_rois.log",
    benchmark:
        "<benchmarks>/tabulate_rois.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("method", "seed"),
        code=code_of("tabulate_rois"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_rois.py --covariance {input.covariance:q}"
        " --graphs {input.graphs:q} --partitions {input.partitions:q} --nodes {input.nodes:q}"
        " --output {output.rois:q} --scores {output.scores:q} --sizes {output.sizes:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_faithfulness:
    input:
        evaluations=of_all_models("<results>/{model}/{dictionary}/evaluation/{task}.parquet"),
        curves=of_all_models("<results>/{model}/{dictionary}/evaluation/{task}.summaries.parquet"),
        competence=of_native("<results>/{model}/tasks/{task}.competence.json"),
    output:
        faithfulness="<results>/tables/faithfulness.csv",
        errors="<results>/tables/errors.csv",
        sizes="<results>/tables/sizes.csv",
        tests="<results>/tables/tests.csv",
        summaries="<results>/tables/summaries.csv",
    log:
        "<logs>/tabulate_faithfulness.log",
    benchmark:
        "<benchmarks>/tabulate_faithfulness.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("faithfulness"),
        code=code_of("tabulate_faithfulness"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_faithfulness.py --evaluations {input.evaluations:q}"
        " --curves {input.curves:q} --competence {input.competence:q}"
        " --output {output.faithfulness:q} --errors {output.errors:q} --sizes {output.sizes:q}"
        " --tests {output.tests:q} --summaries {output.summaries:q}"
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
        runtime=growing(20),
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
        stability=of_all_models("<results>/{model}/{dictionary}/circuits/{task}.stability.parquet"),
        faithfulness="<results>/tables/faithfulness.csv",
    output:
        agreement="<results>/tables/agreement.csv",
        stability="<results>/tables/stability.csv",
    log:
        "<logs>/tabulate_agreement.log",
    benchmark:
        "<benchmarks>/tabulate_agreement.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings(),
        code=code_of("tabulate_agreement"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_agreement.py --edges {input.edges:q}"
        " --resampled {input.stability:q} --faithfulness {input.faithfulness:q}"
        " --output {output.agreement:q} --stability {output.stability:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_specificity:
    input:
        cells=of_native("<results>/{model}/{dictionary}/specificity.parquet"),
        matrices=of_native("<results>/{model}/{dictionary}/specificity.summary.parquet"),
    output:
        cells="<results>/tables/specificity.csv",
        summary="<results>/tables/specificity_summary.csv",
    log:
        "<logs>/tabulate_specificity.log",
    benchmark:
        "<benchmarks>/tabulate_specificity.tsv"
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
        code=code_of("tabulate_specificity"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_specificity.py --cells {input.cells:q}"
        " --matrices {input.matrices:q} --output {output.cells:q} --summary {output.summary:q}"
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
        [f"<results>/{path}" for path in page.inputs(PLAN) if path == "tables/dictionaries.csv"],
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
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("circuits", "method", "faithfulness"),
        code=code_of("tabulate_summary"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_summary.py --tables {input:q} --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
