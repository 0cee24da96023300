"""Which tasks each model is asked to do: those whose words it has, unless it lists its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from connectome import known, lineage, starter
from connectome.errors import did_you_mean

Config = Mapping[str, Any]


def built_models(config: Config) -> list[str]:
    """Names of the models that the workflow builds by hand."""
    return [name for name, source in config["models"].items() if "build" in source]


def tasks_of(config: Config, model: str) -> list[str]:
    """Tasks of a model: those it lists, else every task whose words it has.

    A built model has the words of its own generator alone, a model trained here those of the
    micro-language; starter tasks belong to models from elsewhere, which do tasks of the
    micro-language only where they list them or where the configuration has no starter task. Prompt
    files belong to all but built models. A checkpoint that lists none does those of the model it
    belongs to.
    """
    source = config["models"][model]
    if "tasks" not in source:
        source = config["models"][lineage.origin_of(config, model)]
    if "tasks" in source:
        return list(source["tasks"])
    found = [name for name, task in config["tasks"].items() if _speaks(source, task)]
    starters = [name for name in found if _is_starter(config["tasks"][name])]
    if not starters:
        return found
    return [name for name in found if name in starters or "file" in config["tasks"][name]]


def default_tasks(
    models: Mapping[str, Any], language: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    """The section `tasks` where a configuration has none: starter tasks for models from elsewhere.

    language: the tasks of the default configuration, for all other models.
    """
    sources = [source for source in models.values() if isinstance(source, Mapping)]
    ours = [source for source in sources if not _is_foreign(source)]
    foreign = len(ours) < len(sources)
    return {**(language if ours or not foreign else {}), **(starter.tasks() if foreign else {})}


def _is_foreign(source: Mapping[str, Any]) -> bool:
    """Whether a model was made elsewhere, with a tokenizer of its own."""
    return "path" in source or "hub" in source


def _is_starter(task: Mapping[str, Any]) -> bool:
    return starter.family(task.get("generator", "")) is not None


def _speaks(source: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    """Whether the words of a task may be those of a model, as far as the configuration tells."""
    generator = task.get("generator", "")
    if "build" in source:
        return bool(generator == known.generator(source["build"]))
    if _is_starter(task):
        return _is_foreign(source)
    return known.family(generator) is None


def known_tasks_of(config: Config, model: str) -> list[str]:
    """Tasks of a built model in which its heads are known; none of any other model."""
    source = config["models"][model]
    if "build" not in source:
        return []
    return [name for name in tasks_of(config, model) if _speaks(source, config["tasks"][name])]


def mixture_of(config: Config, model: str) -> list[str]:
    """Tasks behind the attribution covariance of a model: those of the list that are its own."""
    own = tasks_of(config, model)
    return [task for task in config["attributions"]["tasks"] if task in own]


def faults(config: Config) -> Iterator[str]:
    """What is wrong with the tasks of each model; one sentence each.

    `build`, `tasks` and `attributions.tasks` are expected to name what there is.
    """
    every = config["tasks"]
    for model, source in config["models"].items():
        for name in source.get("tasks", []):
            if name not in every:
                hint = did_you_mean(name, list(every))
                yield f"models.{model}.tasks: {name!r} is no task; {hint}"
            elif "file" not in every[name] and not _speaks(source, every[name]):
                yield (
                    f"models.{model}.tasks: {name!r} is in the words of another model (generator "
                    f"{every[name]['generator']!r}); {_own(source)}"
                )
        if not tasks_of(config, model):
            yield f"models.{model}: it has no task; {_own(source)}"
        elif not mixture_of(config, model):
            yield (
                f"attributions.tasks: none of them is a task of model {model!r}, whose tasks are "
                f"{', '.join(tasks_of(config, model))}; add one"
            )
    done = {task for model in config["models"] for task in tasks_of(config, model)}
    for name in every:
        if name not in done:
            yield f"tasks.{name}: no model does it; {_remedy(every[name])}"


def _own(source: Mapping[str, Any]) -> str:
    """The tasks that a model can be given."""
    if "build" in source:
        own = known.generator(source["build"])
        return f"give it one with the generator {own!r} under `tasks`"
    kind = "a starter generator" if _is_foreign(source) else "a generator of the micro-language"
    return f"give it one with a file, or with {kind}, under `tasks`"


def _remedy(task: Mapping[str, Any]) -> str:
    generator = task.get("generator", "")
    if _is_starter(task):
        return "add a model {path: ...} or {hub: ...}, or leave it out"
    if known.family(generator) is None:
        return "list it in the `tasks` of a model, or leave it out"
    return f"add a model {{build: {generator.removeprefix('known_')}}}, or leave it out"
