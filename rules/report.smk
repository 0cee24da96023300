# Requires: tables, figures and the page's fragments. Makes: report.html.


rule report:
    input:
        "<results>/report.html",


rule build_report:
    input:
        [f"<results>/{path}" for path in page.inputs(PLAN)],
    output:
        "<results>/report.html",
    log:
        "<logs>/build_report.log",
    benchmark:
        "<benchmarks>/build_report.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=page_slice,
        code=with_files(code_of("build_report"), "report"),
    shell:
        "{resources.python:q} {resources.scripts:q}/build_report.py --output {output:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
