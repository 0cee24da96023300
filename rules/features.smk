# Requires: the features of sparse dictionaries, scores of single features. Makes: what some features are (respond to, write,
# matter to) in cards.parquet and its like, and the tables of the feature cards.


rule describe_features:
    input:
        model="<results>/{model}/model.json",
        dictionaries=engine_dictionaries,
        features=encoded_parts,
        prompts=each_task("<results>/{model}/tasks/{task}.parquet"),
        competence=each_task("<results>/{model}/tasks/{task}.competence.json"),
        nodes=each_task("<results>/{model}/{dictionary}/circuits/{task}.nodes.parquet"),
    output:
        cards="<results>/{model}/{dictionary}/features/cards.parquet",
        examples="<results>/{model}/{dictionary}/features/examples.parquet",
        tokens="<results>/{model}/{dictionary}/features/tokens.parquet",
        logits="<results>/{model}/{dictionary}/features/logits.parquet",
        scores="<results>/{model}/{dictionary}/features/scores.parquet",
    log:
        "<logs>/describe_features/{model}.{dictionary}.log",
    benchmark:
        "<benchmarks>/describe_features/{model}.{dictionary}.tsv"
    conda:
        "../envs/connectome.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("describe_features", 1500),
        runtime=growing(60),
        gpu=GPU,
        device=DEVICE,
        python=PYTHON,
        scripts=SCRIPTS,
    params:
        cfg=of_model(feature_slice),
        code=code_of("describe_features"),
    shell:
        "{resources.python:q} {resources.scripts:q}/describe_features.py --model {input.model:q}"
        " --dictionaries {input.dictionaries:q} --features {input.features:q}"
        " --prompts {input.prompts:q} --competence {input.competence:q} --nodes {input.nodes:q}"
        " --cards {output.cards:q} --examples {output.examples:q} --tokens {output.tokens:q}"
        " --logits {output.logits:q} --scores {output.scores:q}"
        " --device {resources.device:q} --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"


rule tabulate_features:
    input:
        cards=of_sparse("<results>/{model}/{dictionary}/features/cards.parquet"),
        examples=of_sparse("<results>/{model}/{dictionary}/features/examples.parquet"),
        tokens=of_sparse("<results>/{model}/{dictionary}/features/tokens.parquet"),
        logits=of_sparse("<results>/{model}/{dictionary}/features/logits.parquet"),
        scores=of_sparse("<results>/{model}/{dictionary}/features/scores.parquet"),
        partitions=of_sparse("<results>/{model}/{dictionary}/partitions.parquet"),
    output:
        cards="<results>/tables/feature_cards.csv",
        examples="<results>/tables/feature_examples.csv",
        tokens="<results>/tables/feature_tokens.csv",
        logits="<results>/tables/feature_logits.csv",
        scores="<results>/tables/feature_scores.csv",
    log:
        "<logs>/tabulate_features.log",
    benchmark:
        "<benchmarks>/tabulate_features.tsv"
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
        code=code_of("tabulate_features"),
    shell:
        "{resources.python:q} {resources.scripts:q}/tabulate_features.py --cards {input.cards:q}"
        " --examples {input.examples:q} --tokens {input.tokens:q} --logits {input.logits:q}"
        " --scores {input.scores:q} --partitions {input.partitions:q}"
        ' --output "$(dirname {output.cards:q})"'
        " --cfg {params.cfg:q} --code {params.code:q} > {log:q} 2>&1"
