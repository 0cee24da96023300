# Requires: tables, figures, page, exports and provenance. Makes: figures/index.html, and what a paper takes along: exports/methods.md, exports/methods.bib, exports/supplement.zip.


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


rule methods:
    input:
        "<results>/exports/methods.md",


rule write_methods:
    input:
        tables=methods_tables(),
        provenance="<results>/provenance.json",
    output:
        text="<results>/exports/methods.md",
        works="<results>/exports/methods.bib",
    log:
        "<logs>/write_methods.log",
    benchmark:
        "<benchmarks>/write_methods.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=methods_slice,
        code=with_files(code_of("write_methods"), "methods"),
    shell:
        "{resources.python:q} {resources.scripts:q}/write_methods.py --tables {input.tables:q}"
        " --provenance {input.provenance:q} --output {output.text:q} --bibliography {output.works:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule supplement:
    input:
        "<results>/exports/supplement.zip",


rule pack_supplement:
    input:
        page="<results>/report.html",
        gallery="<results>/figures/index.html",
        drawn=figure_files(".svg"),
        captions=figure_files(".json"),
        tables=page_tables(),
        exported=all_exports(),
        methods=["<results>/exports/methods.md", "<results>/exports/methods.bib"],
        provenance="<results>/provenance.json",
    output:
        "<results>/exports/supplement.zip",
    log:
        "<logs>/pack_supplement.log",
    benchmark:
        "<benchmarks>/pack_supplement.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(20),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=supplement_slice,
        code=code_of("pack_supplement"),
    shell:
        "{resources.python:q} {resources.scripts:q}/pack_supplement.py --metadata .snakemake/metadata"
        " --output {output:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
