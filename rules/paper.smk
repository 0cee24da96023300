# Requires: tables, figures, page and provenance. Makes: figures/index.html, and what a paper takes along: exports/methods.md, exports/methods.bib, exports/supplement.zip.


rule build_gallery:
    input:
        sidecars=figure_files(".json"),
        drawn=figure_files(".svg"),
    output:
        "<results>/figures/index.html",
    log:
        "<logs>/build_gallery.log",
    benchmark:
        "<benchmarks>/build_gallery.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("name", "palette"),
        code=with_files(code_of("build_gallery"), "gallery"),
    shell:
        "{resources.python:q} {resources.scripts:q}/build_gallery.py --sidecars {input.sidecars:q}"
        " --output {output:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
