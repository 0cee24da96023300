# Requires: the report. Makes: provenance.json, what the results themselves leave out.


rule record_provenance:
    input:
        page="<results>/report.html",
    output:
        "<results>/provenance.json",
    log:
        "<logs>/record_provenance.log",
    benchmark:
        "<benchmarks>/record_provenance.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
        graph_tool=GRAPH_TOOL_PYTHON,
    params:
        cfg=lambda wildcards: canonical(config),
        code=code_of("record_provenance"),
    shell:
        "{resources.python:q} {resources.scripts:q}/record_provenance.py"
        ' --benchmarks "$(dirname {output:q})/benchmark" --graph-tool-python {resources.graph_tool:q}'
        " --output {output:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
