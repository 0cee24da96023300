# Requires: built models and their circuits. Makes: tables that hold the methods against what is known.


rule check_known:
    input:
        model="<results>/{model}/model.json",
        known="<results>/{model}/known.json",
        prompts="<results>/{model}/tasks/{task}.parquet",
    output:
        "<results>/{model}/known/{task}.parquet",
    log:
        "<logs>/check_known/{model}.{task}.log",
    benchmark:
        "<benchmarks>/check_known/{model}.{task}.tsv"
    wildcard_constraints:
        model=one_of(BUILT),
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(10),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(settings()),
        code=code_of("check_known"),
    shell:
        "{resources.python:q} {resources.scripts:q}/check_known.py --model {input.model:q}"
        " --known {input.known:q} --prompts {input.prompts:q} --output {output:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_truth:
    input:
        known=known_files("<results>/{model}/known.json"),
        attention=known_files("<results>/{model}/known/{task}.parquet"),
        competence=known_files("<results>/{model}/tasks/{task}.competence.json"),
        nodes=known_files("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet"),
        edges=known_files("<results>/{model}/{dictionary}/circuits/{task}.edges.parquet"),
        circuits="<results>/tables/circuits.csv",
    output:
        truth="<results>/tables/truth.csv",
        heads="<results>/tables/known_heads.csv",
        certificates="<results>/tables/certificates.csv",
    log:
        "<logs>/tabulate_truth.log",
    benchmark:
        "<benchmarks>/tabulate_truth.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=exact_slice,
        code=code_of("tabulate_truth"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_truth.py --known {input.known:q}"
        " --attention {input.attention:q} --competence {input.competence:q}"
        " --nodes {input.nodes:q} --edges {input.edges:q} --circuits {input.circuits:q}"
        " --output {output.truth:q} --heads {output.heads:q} --certificates {output.certificates:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
