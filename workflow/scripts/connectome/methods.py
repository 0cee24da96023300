"""The methods paragraph of a run: what was done, by its configuration, tables and provenance.

Each sentence is made of what is there: a stage that was not run has none, and a method that was not
used is not cited. Pandoc reads the citations (`[@key]`); references stand in the file beside it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectome import dictionary_config
from connectome.bibliography import Catalogue
from connectome.plots.phrases import counted, ranged

Rows = Sequence[Mapping[str, str]]
MAIN = dictionary_config.MAIN
_CONTROLS = ("kmeans", "spectral", "leiden", "infomap")


@dataclass(frozen=True)
class Run:
    """What a run is told by."""

    config: Mapping[str, Any]
    derived: Mapping[str, Mapping[str, Any]]  # `dtype` and `training` by model, `metric` by task
    plan: Mapping[str, Any]  # as the page gets it
    tables: Mapping[str, Rows]  # by name, without the ending; those that are there
    provenance: Mapping[str, Any]
    catalogue: Catalogue

    def rows(self, table: str, **wanted: str) -> list[Mapping[str, str]]:
        """Rows of a table whose columns have these values."""
        return [
            row
            for row in self.tables.get(table, ())
            if all(row[column] == value for column, value in wanted.items())
        ]

    def sparse(self) -> list[str]:
        """Dictionaries of features that any model has."""
        return [name for name in self.config["dictionaries"] if name != self.plan["native"]]


def text(run: Run) -> str:
    """The paragraphs as Markdown, with a heading each."""
    parts = [
        ("Models", _models(run)),
        ("Tasks", _tasks(run)),
        ("Activity and features", [*_activity(run), *_dictionaries(run)]),
        ("Regions of interest", _regions(run)),
        ("Circuits", _circuits(run)),
        ("Evaluation", _evaluation(run)),
        ("Comparison of models", _comparison(run)),
        ("Software", _software(run)),
    ]
    told = [(title, list(sentences)) for title, sentences in parts]
    body = "\n\n".join(f"## {title}\n\n{' '.join(said)}" for title, said in told if said)
    return f"# Methods\n\n{body}\n"


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *before, last = list(words) or ["none"]
    return f"{', '.join(before)} and {last}" if before else last


def _models(run: Run) -> Iterator[str]:
    for row in run.rows("models"):
        size = (
            f"{row['layers']} layers, {row['heads']} heads, width {row['width']} and "
            f"{int(row['parameters']):,} weights"
        )
        source = run.config["models"][row["model"]]
        dtype = run.derived["dtype"][row["model"]]
        yield f"The model `{row['model']}` ({size}) {_origin(run, row, source)}; it ran in {dtype}."


def _origin(run: Run, row: Mapping[str, str], source: Mapping[str, Any]) -> str:
    said = run.catalogue.said
    if "train" in source:
        settings = run.derived["training"][row["model"]]
        return (
            f"has {said('training', 'gpt2')} and was trained for {settings['steps']:,} steps of "
            f"{said('training', 'adamw')} on a generated language, {settings['batch_rows']} rows "
            f"of {settings['context']} tokens in each, at a learning rate of "
            f"{settings['learning_rate']:g}"
        )
    if "build" in source:
        return f"was built by hand, so that its circuit of {source['build']} is known"
    if "checkpoint" in source:
        taken = source["checkpoint"]
        return f"has the weights of `{taken['of']}` at step {taken['step']:,} of its training"
    if "hub" in source:
        return f"is `{row['hub']}` at commit `{row['revision']}` of the Hugging Face hub"
    return f"is a checkpoint of architecture {row['architecture']} from a local folder"


def _tasks(run: Run) -> Iterator[str]:
    for model in run.plan["models"]:
        held = run.rows("competence", model=model, split="heldout")
        if not held:
            continue
        able = [row["task"] for row in held if row["competent"] == "true"]
        names = listed(_task(run, row["task"]) for row in held)
        yield f"`{model}` was tested on {counted(len(held), 'task')}: {names}."
        found = run.rows("competence", model=model, split="discovery")
        parts = [ranged((int(row["pairs"]) for row in rows if row["pairs"]), "pairs of prompts")
                 for rows in (found, held) if any(row["pairs"] for row in rows)]  # fmt: skip
        if len(parts) == 2:
            yield (
                f"Each has {parts[0]} for discovery and {parts[1]} held out; every reported number "
                "comes from the latter."
            )
        metrics = {run.derived["metric"][row["task"]] for row in held}
        measured = listed(run.catalogue.said("metrics", name) for name in sorted(metrics))
        yield (
            f"The metric is {measured}. A task counts where the accuracy lies above chance on "
            "clean and on corrupted prompts, by "
            f"{run.catalogue.said('statistics', 'score_interval')}, "
            "and the gap of the metric between them lies above zero in a "
            f"{run.catalogue.said('statistics', 'bootstrap')} of "
            f"{run.config['competence']['draws']:,} draws over distinct prompts: {len(able)} of "
            f"{len(held)} do{f' ({listed(able)})' if able else ''}."
        )


def _task(run: Run, name: str) -> str:
    task = run.config["tasks"][name]
    if "generator" not in task:
        return f"`{name}` (prompts of our own)"
    return f"`{name}` ({run.catalogue.said('tasks', task['generator'])})"


def _activity(run: Run) -> Iterator[str]:
    corpus = run.config["corpus"]
    source = "a generated language" if "language" in corpus else "a text of our own"
    if "dataset" in corpus:
        source = "a data set"
    for model in run.plan["models"]:
        samples = {
            int(row["samples"])
            for row in run.rows("sites", model=model, kind="activation")
            if row["samples"]
        }
        if samples:
            yield (
                f"The activity of `{model}` was recorded at {ranged(samples, 'token positions')} "
                f"of {source}."
            )
    yield (
        "Native features are the hidden units of MLPs and, for attention, the singular directions "
        "of each head's product of value and output weights; both are exact."
    )


def _dictionaries(run: Run) -> Iterator[str]:
    said = run.catalogue.said
    rows = run.rows("dictionaries", run=MAIN, status="ok")
    own = [row for row in rows if row["kind"] == "dictionary"]
    for name in run.sparse():
        for first, sites in _alike([row for row in own if row["dictionary"] == name]):
            trained = "train" in run.config["dictionaries"][name]
            kind = first["architecture"] if trained else first["activation"]
            form = "autoencoder"
            if first["transcoder"] == "true":
                form = "skip" if first["skip"] == "true" else "transcoder"
            k = f", {first['k']} of them wanted on a token" if first["k"] else ""
            made = (
                f"trained here on {int(first['trained_tokens']):,} tokens from seed {first['seed']}"
                if trained
                else "made elsewhere and loaded"
            )
            yield (
                f"The dictionary `{name}` of `{first['model']}` at {listed(sites)} is made of "
                f"{said('dictionaries', kind)} {said('forms', form)} with "
                f"{int(first['features']):,} features{k}, {made}."
            )
    controls = dict.fromkeys(row["kind"] for row in rows if row["kind"] != "dictionary")
    if controls:
        yield (
            "Their reconstructions were held against "
            f"{listed(said('controls', name) for name in controls)}."
        )
    if any(row["probe_features_1"] for row in own):
        probes = said("statistics", "sparse_probing")
        yield f"Classes of texts were read off their features by {probes}."


def _alike(rows: Rows) -> list[tuple[Mapping[str, str], list[str]]]:
    """(a row, sites of all rows that are told like it), in order."""
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    columns = (
        *("model", "architecture", "activation", "transcoder", "skip"),
        *("features", "k", "trained_tokens", "seed"),
    )
    for row in rows:
        groups.setdefault(tuple(row[name] for name in columns), []).append(row)
    return [(group[0], [row["site"] for row in group]) for group in groups.values()]


def _regions(run: Run) -> Iterator[str]:
    fitted = run.rows("sites", status="ok")
    if not fitted:
        return
    said, graph, sbm = run.catalogue.said, run.config["graph"], run.config["sbm"]
    kinds = listed(dict.fromkeys(row["kind"] for row in fitted))
    sites = len({(row["model"], row["dictionary"], row["site"]) for row in fitted})
    sparse = any(row["dictionary"] != run.plan["native"] for row in fitted)
    alike = "the absolute correlation"
    if sparse:
        alike += " (of sparse features: the correlation of whether they fire)"
    yield (
        f"Regions of interest were found at {counted(sites, 'site')}, by {kinds}, "
        f"from {said('statistics', 'moments')}: each feature was joined to its {graph['k']} "
        f"nearest ({graph['small_k']} below {graph['small_site']} features) by {alike} above a "
        f"threshold that leaves {graph['false_pairs']:g} neighbours by chance, in series rolled "
        "at random."
    )
    restarts = ranged((int(row["restarts"]) for row in fitted if row["restarts"]), "seeds")
    yield (
        f"On this graph {said('statistics', 'block_model')} was fitted by "
        f"{said('statistics', 'merge_split')} from {restarts}, and the shortest description kept; "
        f"the same was done with {counted(graph['draws'], 'draw')} of each null, which should "
        "give one block."
    )
    yield (
        f"Agreement between seeds, halves of the data and partitions is "
        f"{said('statistics', 'agreement')}."
    )
    made = {row["partition"] for row in run.rows("partitions", status="ok")}
    controls = [name for name in _CONTROLS if name in made]
    if controls:
        yield f"Beside them stand {listed(said('partitions', name) for name in controls)}."
    if "classical" in made:
        yield (
            f"Sites of at most {sbm['classical_features']} live features also got "
            f"{said('partitions', 'classical')}."
        )


def _circuits(run: Run) -> Iterator[str]:
    circuits, said = run.config["circuits"], run.catalogue.said
    if not any(facts["tasks"] for facts in run.plan["models"].values()):
        return
    names = listed(_partition(run, name) for name in circuits["partitions"])
    methods = listed(said("attribution", name) for name in circuits["methods"])
    steps = f" ({circuits['steps']} steps where a path is integrated)" if _integrated(run) else ""
    yield (
        f"Nodes of the causal graph are {names}. Nodes and edges were scored by {methods}{steps}, "
        f"on the discovery prompts."
    )
    if circuits["exact"]:
        exact = listed(_partition(run, name) for name in circuits["exact"])
        yield (
            f"For {exact}, {said('attribution', 'exact')} on up to {circuits['exact_pairs']} pairs "
            "is the yardstick."
        )
    yield f"An ablated node or edge carries {said('ablation', circuits['ablation'])}."
    if _mapped_sparse(run):
        errors = listed(said("errors", name) for name in run.config["evaluation"]["error"])
        yield f"What a dictionary leaves out was, in turn, {errors}."
    yield (
        f"Stability is {said('statistics', 'stability')} over {circuits['stability_draws']} "
        "resamples of the prompts."
    )


def _mapped_sparse(run: Run) -> bool:
    mapped = [name for facts in run.plan["models"].values() for name in facts["dictionaries"]]
    return bool(set(mapped) - {run.plan["native"]})


def _integrated(run: Run) -> bool:
    return bool({"eap-ig-inputs", "path"} & set(run.config["circuits"]["methods"]))


def _evaluation(run: Run) -> Iterator[str]:
    evaluation, said = run.config["evaluation"], run.catalogue.said
    if not any(facts["tasks"] for facts in run.plan["models"].values()):
        return
    sizes = listed(f"{100 * size:g} %" for size in evaluation["sizes"])
    yield (
        f"Circuits of {sizes} of all edges (or nodes), ranked by {evaluation['ranking']} score, "
        f"were run on held-out prompts; their {said('statistics', 'faithfulness')} is the share of "
        f"the metric they keep between the fully ablated and the intact model."
    )
    yield (
        f"Intervals are a {said('statistics', 'bootstrap')} of {evaluation['bootstrap']:,} draws "
        f"over distinct prompts, and curves are summarised by {said('statistics', 'areas')}."
    )
    if evaluation["random_draws"]:
        drawn = listed(f"{100 * size:g} %" for size in evaluation["random_sizes"])
        yield (
            f"At {drawn} they were held against {evaluation['random_draws']} random circuits, so "
            f"that no p value is below 1/{evaluation['random_draws'] + 1}, by "
            f"{said('statistics', 'circuit_tests')}, corrected for their "
            f"{said('statistics', 'false_discovery')}."
        )
    specificity = run.config["specificity"]
    parts = listed(_partition(run, name) for name in specificity["partitions"])
    yield (
        f"Whether parts belong to one task was asked of {parts} in circuits of "
        f"{100 * specificity['size']:g} % of all parts, beside {specificity['draws']} random sets "
        "of as many."
    )
    cards = run.config["cards"]
    yield (
        f"Each region was ablated alone, beside {cards['draws']} random sets of as many features "
        "of its site."
    )


def _partition(run: Run, name: str) -> str:
    known = run.catalogue.methods["partitions"]
    return run.catalogue.words("partitions", name) if name in known else f"the partition `{name}`"


def _comparison(run: Run) -> Iterator[str]:
    compared = run.plan["compared"]
    if len(compared) < 2:
        return
    settings = run.config["comparison"]
    yield (
        f"{listed(f'`{name}`' for name in compared)} were compared pair by pair: regions were "
        f"matched by {run.catalogue.said('statistics', 'assignment')}, and circuits by the edges "
        f"they share, beside {settings['draws']} draws of each null."
    )


def _software(run: Run) -> Iterator[str]:
    said, provenance = run.catalogue.said, run.provenance
    revision = provenance["git_revision"]
    code = f" at revision `{revision[:12]}`" if revision else ""
    changed = ", with changes that are not committed" if provenance["git_dirty"] else ""
    yield (
        f"All of this is one workflow, lm-connectome{code}{changed}, run by "
        f"{said('software', 'snakemake')} {provenance['packages']['snakemake']} under Python "
        f"{provenance['python']}; every random draw follows from seed {run.config['seed']}."
    )
    versions = {**provenance["packages"], "graph-tool": provenance["graph_tool"]}
    used = [name for name in _packages(run) if versions.get(name)]
    libraries = listed(f"{said('software', name)} {versions[name]}" for name in used)
    yield f"It used {libraries}."


def _packages(run: Run) -> list[str]:
    """Libraries behind what was done, of those that ask to be cited."""
    made = {row["partition"] for row in run.rows("partitions", status="ok")}
    return [
        "torch",
        "transformers",
        "numpy",
        "scipy",
        *(["graph-tool"] if run.rows("sites", status="ok") else []),
        *(["scikit-learn"] if made & {"kmeans", "spectral"} else []),
        *(["igraph"] if made & {"leiden", "infomap"} else []),
        "matplotlib",
    ]
