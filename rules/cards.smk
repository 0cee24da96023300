# Requires: activations, partitions, covariance, prompts. Makes: what each ROI is (responds to, writes,
# does) in rois/*.parquet, and the tables of the ROI cards.


rule describe_rois:
    input:
        model="<results>/{model}/model.json",
        activations=lambda wildcards: activation_parts(wildcards.model),
        features=encoded_parts,
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
        covariance=each_fitted_site(
            "<results>/{model}/{dictionary}/covariance/{site}.activation.npz"
        ),
    output:
        profiles="<results>/{model}/{dictionary}/rois/profiles.parquet",
        members="<results>/{model}/{dictionary}/rois/members.parquet",
        examples="<results>/{model}/{dictionary}/rois/examples.parquet",
        tokens="<results>/{model}/{dictionary}/rois/tokens.parquet",
    log:
        "<logs>/describe_rois/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/describe_rois/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=growing(60),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=card_slice("partitions", "firing", "examples", "window", "tokens", "min_count"),
        code=code_of("describe_rois"),
    shell:
        "{resources.python:q} {resources.scripts:q}/describe_rois.py --model {input.model:q}"
        " --activations {input.activations:q} --features {input.features:q} --partitions {input.partitions:q}"
        " --covariance {input.covariance:q} --profiles {output.profiles:q} --members {output.members:q}"
        " --examples {output.examples:q} --tokens {output.tokens:q}"
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule ablate_rois:
    input:
        model="<results>/{model}/model.json",
        members="<results>/{model}/{dictionary}/rois/members.parquet",
        partitions="<results>/{model}/{dictionary}/partitions.parquet",
        covariance=each_fitted_site(
            "<results>/{model}/{dictionary}/covariance/{site}.activation.npz"
        ),
        prompts=each_task("<results>/{model}/tasks/{task}.parquet"),
        dictionaries=engine_dictionaries,
    output:
        effects="<results>/{model}/{dictionary}/rois/effects.parquet",
        writing="<results>/{model}/{dictionary}/rois/writing.parquet",
        logits="<results>/{model}/{dictionary}/rois/logits.parquet",
    log:
        "<logs>/ablate_rois/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/ablate_rois/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("ablate_rois", 1500),
        runtime=growing(120),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(
            card_slice("partitions", "pairs", "draws", "bootstrap", "logits", metrics=True)
        ),
        code=code_of("ablate_rois"),
    shell:
        "{resources.python:q} {resources.scripts:q}/ablate_rois.py --model {input.model:q}"
        " --members {input.members:q} --partitions {input.partitions:q}"
        " --covariance {input.covariance:q} --prompts {input.prompts:q}"
        " --effects {output.effects:q} --writing {output.writing:q} --logits {output.logits:q}"
        " --dictionaries {input.dictionaries:q} --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_cards:
    input:
        competence=of_native("<results>/{model}/tasks/{task}.competence.json"),
        nodes=of_all_models("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet"),
        profiles=of_traced("<results>/{model}/{dictionary}/rois/profiles.parquet"),
        members=of_traced("<results>/{model}/{dictionary}/rois/members.parquet"),
        examples=of_traced("<results>/{model}/{dictionary}/rois/examples.parquet"),
        tokens=of_traced("<results>/{model}/{dictionary}/rois/tokens.parquet"),
        effects=of_traced("<results>/{model}/{dictionary}/rois/effects.parquet"),
        writing=of_traced("<results>/{model}/{dictionary}/rois/writing.parquet"),
        logits=of_traced("<results>/{model}/{dictionary}/rois/logits.parquet"),
    output:
        cards="<results>/tables/roi_cards.csv",
        examples="<results>/tables/roi_examples.csv",
        tokens="<results>/tables/roi_tokens.csv",
        logits="<results>/tables/roi_logits.csv",
        effects="<results>/tables/roi_effects.csv",
        tests="<results>/tables/roi_tests.csv",
    log:
        "<logs>/tabulate_cards.log",
    benchmark:
        "<benchmarks>/tabulate_cards.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=growing(10),
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=settings("method"),
        code=code_of("tabulate_cards"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_cards.py --competence {input.competence:q}"
        " --nodes {input.nodes:q} --members {input.members:q}"
        " --profiles {input.profiles:q} --examples {input.examples:q} --tokens {input.tokens:q}"
        " --effects {input.effects:q} --writing {input.writing:q} --logits {input.logits:q}"
        ' --output "$(dirname {output.cards:q})"'
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
